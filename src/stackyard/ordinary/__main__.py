"""Answers which Python an ordinary task is to be run with: JSON on stdin, JSON on stdout, what it does on stderr.

``{"wish": Wish, "settled": Settled}`` in; a ``Choice`` out, or ``{"refused": sentence, "kind": kind}``.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any, NoReturn

from stackyard.errors import AwayError, BadInputError, NotRunnableError, StackyardError
from stackyard.ordinary import imaging, making, repository
from stackyard.settings import Settings
from stackyard_task import records
from stackyard_task.wishes import Settled, Wish

#: Progress is said at most so often.
_SAY_SECONDS = 2.0
_MOST_BYTES = 16 << 20
_MOST_NAMED = 5


def main() -> int:
    """Answer one question."""
    signal.signal(signal.SIGTERM, _ended)
    # who asks us has blocked what it passes on to its task, and we would never hear of an abort
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        asked = records.parse(sys.stdin.buffer.read(_MOST_BYTES).decode(), "the question")
        wish = records.from_json(Wish, asked["wish"], "wish")
        how = records.from_json(Settled, asked["settled"], "settled")
        settings, say = Settings.from_environment(), _Progress()
        if wish.repository is not None:
            wish = repository.read(wish, say)
        make = making.made if how.images is None else imaging.made
        answer: dict[str, Any] = records.to_json(make(wish, how, settings, say))
    except AwayError as error:
        said = str(error) if wish.repository is not None else _away(wish, str(error))
        answer = {"refused": said, "kind": "infrastructure"}
    except (BadInputError, NotRunnableError) as error:
        answer = {"refused": str(error), "kind": "bad_input"}
    except (records.RecordError, KeyError, TypeError, UnicodeDecodeError) as error:
        answer = {"refused": f"the question cannot be read ({error})", "kind": "infrastructure"}
    except StackyardError as error:
        answer = {"refused": str(error), "kind": "infrastructure"}
    except OSError as error:
        answer = {"refused": f"{error.filename}: {error.strerror}", "kind": "infrastructure"}
    print(json.dumps(answer), flush=True)
    return 0


def _away(wish: Wish, why: str) -> str:
    """Of an index that does not answer: what was wanted of it. No address is told, it may hold a login."""
    lines = [line.strip() for line in (wish.requirements or "").splitlines()]
    wanted = [line[:60] for line in lines if line and line[0] not in "#-" and "://" not in line][:_MOST_NAMED]
    named = f" ({', '.join(wanted)})" if wanted else ""
    return f"{wish.requirements_from}{named} cannot be had from this machine: {why}; run the task again when it can"


class _Progress:
    """Says on stderr, now and then, what is done."""

    def __init__(self) -> None:
        self._at = 0.0

    def __call__(self, text: str) -> None:
        if time.monotonic() - self._at >= _SAY_SECONDS:
            self._at = time.monotonic()
            print(f"stackyard: {text}", file=sys.stderr, flush=True)


def _ended(_number: int, _frame: Any) -> NoReturn:
    raise SystemExit(1)  # what is half made is tidied up on the way


if __name__ == "__main__":
    sys.exit(main())
