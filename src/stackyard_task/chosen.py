"""Which Python an ordinary task is run with: what the machine's operator settled, what was found before, or asked now.

Where our side looks after the agent, it chooses: a process of its own, in its own Python, told by JSON and answering by
JSON. What it answered is kept, under the digest of all that decides it, so the next task of the same kind does not
wait. Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Callable, List, Mapping, Optional

from stackyard_task import installed, records
from stackyard_task.interpreter import PYTHON_VARIABLE
from stackyard_task.records import RecordError
from stackyard_task.wishes import CHOICES_FOLDER, GIVEN, SETTLED_VARIABLE, Choice, Settled, Wish

#: Where what was found is kept, and what lists the stacks that are built here.
CACHE_VARIABLE, STACKS_VARIABLE = "STACKYARD_CACHE", "STACKYARD_STACKS_FILE"
_MOST_BYTES = 8 << 20
#: Counts how the same wish came to mean another stack, or needs another hook in it: what was found by older rules is
#: not taken.
_RULES = 4
_POLL_SECONDS = 0.05
#: How long the choosing process gets to tidy up when its task is aborted.
_GRACE_SECONDS = 5.0


class NotMet(Exception):
    """What a task wants cannot be met here; the message says what is wanted and what is here.

    Args:
        message: one sentence.
        kind: of ``records.FAILURE_KINDS``.
    """

    def __init__(self, message: str, kind: str = "bad_input") -> None:
        super().__init__(message)
        self.kind = kind


def settled(variables: Mapping[str, str]) -> Optional[Settled]:
    """What the operator settled for this agent; ``None``: nothing, as on a machine that is not ours.

    Raises:
        NotMet: the file that says it cannot be read.
    """
    path = variables.get(SETTLED_VARIABLE)
    if not path:
        return None
    try:
        return records.read_json(Settled, Path(path))
    except RecordError as error:
        raise NotMet(f"how tasks are run here cannot be read ({error})", "infrastructure") from error


def choose(
    wish: Wish,
    how: Optional[Settled],
    variables: Mapping[str, str],
    over: Callable[[], bool] = lambda: False,
    has_image: Callable[[str], bool] = lambda image: True,
) -> Choice:
    """The Python for a task.

    Args:
        wish: what it wants.
        how: what the operator settled.
        variables: the environment.
        over: whether the task was ended meanwhile; then nothing is waited for.
        has_image: whether an image that was found before is still here.

    Raises:
        NotMet: there is none that meets the wish, or the task was ended.
    """
    if how is None or how.environment == "agent":
        return Choice(variables.get(PYTHON_VARIABLE) or sys.executable)
    if how.environment == GIVEN and how.given is not None:
        return how.given
    kept = _kept(wish, how, variables)
    found = None if kept is None else _known(kept, has_image)
    if kept is not None and found is not None:
        with contextlib.suppress(OSError):  # when it was last used: what nobody uses may go
            os.utime(kept)
        return found
    answer = _asked(wish, how, variables, over)
    if kept is not None and installed.since_built(answer.python) is None:  # else it holds for now
        with contextlib.suppress(OSError):  # no cache is no obstacle
            kept.parent.mkdir(parents=True, exist_ok=True)
            records.write_json(answer, kept)
            kept.chmod(0o600)
    return answer


def _kept(wish: Wish, how: Settled, variables: Mapping[str, str]) -> Optional[Path]:
    """Where the answer to this wish is kept: named by all that decides it."""
    cache = variables.get(CACHE_VARIABLE)
    if not cache or _may_move(wish):
        return None
    stacks = b""
    with contextlib.suppress(OSError), open(variables.get(STACKS_VARIABLE, ""), "rb") as stream:
        stacks = stream.read(_MOST_BYTES)
    settled = {**records.to_json(how), "runs": None, "witness": None}
    decides = json.dumps([_RULES, records.to_json(wish), settled], sort_keys=True).encode()
    digest = hashlib.sha256(decides + b"\0" + stacks).hexdigest()
    return Path(cache) / CHOICES_FOLDER / f"{digest}.json"


def _may_move(wish: Wish) -> bool:
    """Whether the same wish may mean something else tomorrow: it names a branch, whose files nobody has read yet."""
    return wish.repository is not None and not wish.repository.commit


def _known(kept: Path, has_image: Callable[[str], bool]) -> Optional[Choice]:
    """What was found before, if it is still there."""
    try:
        found = records.read_json(Choice, kept)
        if found.image is not None:
            return found if has_image(found.image) else None
        if found.stack is None:  # this machine's own Python, as it is
            return found if os.access(found.python, os.X_OK) else None
        prefix = os.path.dirname(os.path.dirname(found.python))
        with open(os.path.join(prefix, installed.MARKER), "rb") as stream:
            marker = json.loads(stream.read(_MOST_BYTES))
        digest = marker.get("digest")
        if installed.untouched(prefix, marker) is False:  # our side looks what it is now
            return None
    except (RecordError, OSError, ValueError, AttributeError, RecursionError):
        return None
    if digest != found.stack.digest or not os.access(found.python, os.X_OK):
        return None
    return found


def changed(choice: Choice) -> List[str]:
    """A sentence, where the environment that a task ran in has other packages now than it was built with."""
    if choice.stack is None or choice.image is not None:
        return []  # the agent's own, or a container's, which goes with it
    what = installed.since_built(choice.python)
    if what is None or any(sentence.endswith(f": {what}") for sentence in choice.said):
        return []  # as it was when the task began
    return [
        f"the environment, which other tasks share, was changed while the task ran: {what}; the next task gets it as "
        "it was built, so list what this one needs among its packages"
    ]


def _asked(wish: Wish, how: Settled, variables: Mapping[str, str], over: Callable[[], bool]) -> Choice:
    """What our side answers; it builds what is missing, and says meanwhile on stderr what it does."""
    with tempfile.TemporaryFile() as answered:  # a pipe would be full before anybody reads from it
        status = _asked_of(wish, how, variables, over, answered)
        answered.seek(0)
        said = answered.read(_MOST_BYTES)
    try:
        answer = json.loads(said)
        if "refused" in answer:
            raise NotMet(str(answer["refused"]), str(answer["kind"]))
        return records.from_json(Choice, answer, "the choice of an environment")
    except (ValueError, TypeError, KeyError, RecordError):
        raise NotMet(
            f"what makes environments here ended with status {status} and without an answer; the task's "
            "console shows what it said",
            "infrastructure",
        ) from None


def _asked_of(
    wish: Wish, how: Settled, variables: Mapping[str, str], over: Callable[[], bool], answered: IO[bytes]
) -> int:
    """Have our side answer into a file; its exit status."""
    asking = subprocess.Popen(
        [how.python, "-I", "-m", "stackyard.ordinary"],  # what lies in the task's folder has any name
        stdin=subprocess.PIPE,
        stdout=answered,
        env={**variables, **how.variables},
    )
    assert asking.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        asking.stdin.write(
            json.dumps({"wish": records.to_json(wish), "settled": records.to_json(how)}).encode()
        )
        asking.stdin.close()
    try:
        while asking.poll() is None and not over():
            time.sleep(_POLL_SECONDS)
        if asking.poll() is None:
            raise NotMet("it ended while its environment was made", "interrupted")
        return asking.returncode
    finally:
        if asking.poll() is None:
            asking.terminate()
            try:
                asking.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                asking.kill()
                asking.wait()
