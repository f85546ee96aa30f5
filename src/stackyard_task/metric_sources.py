"""Where a script says its result figures, as text in a scenario: ``metrics = { loss = "line:loss=(?P<value>.+)" }``.

Pure: text in, a Source or one sentence out. Both sides of the seam may import it; ``metrics`` reads what it names.
Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict

#: Kind -> how its sources are written.
FORMS: Dict[str, str] = {
    "line": r"line:PATTERN, a regular expression with a group (?P<value>...)",
    "json": "json:FILE#KEY.KEY, a value of a JSON file",
    "jsonl": "jsonl:FILE#KEY or jsonl:FILE#KEY@STEP, a value of each line of a JSON lines file",
    "csv": "csv:FILE#COLUMN or csv:FILE#COLUMN@STEP, a column of a table with a header row",
    "tensorboard": "tensorboard:TAG or tensorboard:FOLDER/TAG, a scalar of TensorBoard event files",
    "clearml": "clearml:TITLE/SERIES, a scalar that the ClearML SDK reports",
}
_IN_A_FILE = ("json", "jsonl", "csv")
#: What a source may be long.
SOURCE_LETTERS = 2000


@dataclass(frozen=True)
class Source:
    """Where one figure is said."""

    #: One of FORMS.
    kind: str
    #: The pattern, the path of keys, the column, the tag, or "title/series"; with "@" and where its step stands.
    key: str
    #: The file, relative to the outputs or the working folder; may hold the wildcards ``*``, ``?`` and ``**``.
    file: str = ""


def parsed(source: str) -> Source:
    """A source as it is meant.

    Raises:
        ValueError: it is not one; the message is one sentence.
    """
    kind, colon, rest = source.partition(":")
    if not colon or kind not in FORMS:
        raise ValueError(
            f"{_shown(source)} is no source of a metric; write one of: {'; '.join(FORMS.values())}"
        )
    if len(source) > SOURCE_LETTERS:
        raise ValueError(f"{_shown(source)} is {len(source)} letters long; {SOURCE_LETTERS} may be")
    if kind not in _IN_A_FILE:
        _check_key(kind, rest, source)
        return Source(kind, rest)
    file, hash_sign, key = rest.partition("#")
    if not file or not hash_sign or not key:
        raise ValueError(
            f"{_shown(source)} lacks {'its file' if not file else 'what to read'}; write {FORMS[kind]}"
        )
    if file.startswith("/") or ".." in file.split("/") or "\0" in file:
        raise ValueError(
            f"{_shown(source)} names a file elsewhere; it is looked for in the run's outputs and working folder"
        )
    return Source(kind, key, file)


def checked(source: str) -> None:
    """Say what is wrong with a source.

    Raises:
        ValueError: something is; the message is one sentence.
    """
    parsed(source)


def _check_key(kind: str, key: str, source: str) -> None:
    if not key.strip():
        raise ValueError(f"{_shown(source)} says nothing after {kind}:; write {FORMS[kind]}")
    if kind == "clearml" and not all(key.partition("/")[::2]):
        raise ValueError(f"{_shown(source)} names no series; write {FORMS[kind]}")
    if kind != "line":
        return
    try:
        pattern = re.compile(key)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{_shown(source)} is no regular expression ({error})") from error
    if "value" not in pattern.groupindex:
        raise ValueError(f"{_shown(source)} has no group (?P<value>...) that holds the figure")


def _shown(source: str) -> str:
    text = " ".join(source.split())
    return repr(text if len(text) <= 120 else text[:117] + "...")
