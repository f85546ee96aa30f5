"""The quarantine: where lines go that cannot be read, with their number and the reason.

One JSON object a line: ``{"source", "line", "reason", "text"}``. The text is the beginning of the line, or, where a
line was read and its fields do not make an event, these fields. The file appears with the first such line.
Standard library only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any, Dict, Optional, Union

from stackyard_task.channel import BadInput

#: How much of a corrupt line is kept.
TEXT_CHARACTERS = 200
#: How a text begins that is no beginning of a line, but the wanted fields of a row.
FIELDS_OF_ROW = "fields of the row: "
#: A reason may quote what it found.
REASON_CHARACTERS = 300
#: A share is first judged after so many lines, and again at the end: one bad line of two is not half a file.
SHARE_FROM_LINES = 1000


class QuarantineLimit(BadInput):
    """More lines are corrupt than the user allows."""


class Quarantine:
    """Keeps and counts the lines that could not be read; stops the run past a limit.

    Args:
        path: the quarantine file; ``None``: count only.
        limit: greatest number of corrupt lines (an integer) or greatest share of all lines (a float up to
            1); ``None``: no limit.

    Raises:
        BadInput: a negative limit, or a share above 1.
    """

    def __init__(self, path: Optional[Path] = None, limit: Union[int, float, None] = None) -> None:
        if isinstance(limit, bool) or (limit is not None and (limit != limit or limit < 0)):
            raise BadInput(f"quarantine limit is {limit!r}, expected a count or a share of 0 or more")
        if isinstance(limit, float) and limit > 1:
            if not limit.is_integer():
                raise BadInput(f"quarantine limit is {limit!r}, expected a whole count, or a share up to 1")
            limit = int(limit)
        self.path = path
        self.limit = limit
        #: Corrupt lines so far.
        self.count = 0
        #: Lines or records read so far, corrupt ones included.
        self.lines = 0
        #: The first corrupt line as "file: line N: reason".
        self.first: Optional[str] = None
        self._stream: Optional[IO[str]] = None

    def add(self, source: Path, line: int, reason: str, text: Union[str, bytes] = "") -> None:
        """Put one corrupt line away.

        Raises:
            QuarantineLimit: the limit is passed.
            BadInput: the quarantine file cannot be written.
        """
        self.count += 1
        reason = reason if len(reason) <= REASON_CHARACTERS else reason[:REASON_CHARACTERS] + "..."
        if self.first is None:
            self.first = f"{source}: line {line}: {reason}"
        if isinstance(text, bytes):
            text = text[: 4 * TEXT_CHARACTERS].decode("utf-8", "backslashreplace")
        entry = {
            "source": str(source),
            "line": line,
            "reason": reason,
            "text": text.rstrip("\r\n")[:TEXT_CHARACTERS],
        }
        if self.path is not None:
            try:
                if self._stream is None:
                    self._stream = self.path.open("w", encoding="utf-8")
                self._stream.write(json.dumps(entry) + "\n")
            except OSError as error:
                raise BadInput(
                    f"{self.path}: the quarantine file cannot be written ({error.strerror})"
                ) from error
        self._judge(at_end=False)

    def finish(self) -> None:
        """Judge a share over everything read and close the file.

        Raises:
            QuarantineLimit: the limit is passed.
        """
        self.close()
        self._judge(at_end=True)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def results(self) -> Dict[str, Any]:
        """What belongs into the record's results."""
        return {"quarantined_lines": self.count, "lines_read": self.lines}

    def _judge(self, at_end: bool) -> None:
        if self.limit is None or self.count == 0:
            return
        if isinstance(self.limit, float):
            if not at_end and self.lines < SHARE_FROM_LINES:
                return
            passed = self.count > self.limit * max(self.lines, self.count)
            allowed = f"{100 * self.limit:g} % of the lines"
        else:
            passed = self.count > self.limit
            allowed = f"{self.limit}"
        if passed:
            self.close()
            where = f"; see {self.path}" if self.path is not None else ""
            raise QuarantineLimit(
                f"{self.count} of {max(self.lines, self.count)} lines read are corrupt, {allowed} allowed "
                f"(first: {self.first}){where}"
            )
