"""The run folder: its layout, its lock, and which runs in it count as done.

Everything a matrix leaves lies below one folder (see docs/scenarios.md). This module reads and writes it;
it starts nothing and judges nothing. May import scenarios and the records of the seam.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stackyard.errors import BadInputError, StackyardError
from stackyard.matrix import resuming
from stackyard.matrix.plan import KIND, Plan
from stackyard_task import records
from stackyard_task.records import RunRecord
from stackyard_task.studies import STUDY_FILE

SCENARIO_FILE = "scenario.toml"
#: In a run folder: how each command's folder differed from its commit, as git says it.
CODE_FOLDER = "code"
_LOCK_FILE = ".lock"
#: What `fresh` may remove from a run folder; anything else in it is the user's and stays.
_OURS = (
    records.PLAN_FILE,
    SCENARIO_FILE,
    STUDY_FILE,
    CODE_FOLDER,
    "prepared",
    "runs",
    "abandoned",
    "report.html",
    "report.json",
    "report.csv",
    "report.md",
)

#: Failures that say nothing about the workload: such a run is made again on resume.
_REPEATED_KINDS = ("interrupted", "infrastructure", "stack_mismatch")
#: What goes wrong by writing only.
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
#: What goes wrong whatever file it is.
_TOO_MANY = (errno.EMFILE, errno.ENFILE)
_FOREIGN_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class RunFolder:
    """One ``OUT`` folder.

    Args:
        path: where.
        again: the command that continues its matrix, but for ``--out`` and ``--resume``; ``None``: the one that was
            called takes ``--resume``.
    """

    def __init__(self, path: Path, again: str | None = None) -> None:
        self.path = path
        self._again = again

    def continuing(self) -> str:
        """How somebody continues the matrix, as the end of a sentence."""
        if self._again is None:
            return "continue with --resume"
        return f"continue with: {self._again} --out {shlex.quote(str(self.path))} --resume"

    # -- layout ------------------------------------------------------------------------------------

    @property
    def plan_path(self) -> Path:
        """Where the plan lies."""
        return self.path / records.PLAN_FILE

    def run(self, block: str, cell: str) -> Path:
        """The folder of one run."""
        return self.path / "runs" / f"{block}-{cell}"

    def preparation(self, name: str) -> Path:
        """The folder of one preparation."""
        return self.path / "prepared" / name

    def prepared_file(self, reference: str) -> Path:
        """The path behind ``prepared:NAME/FILE`` (given without its prefix)."""
        name, _, rest = reference.partition("/")
        return self.preparation(name) / records.OUTPUTS_FOLDER / rest

    # -- plan --------------------------------------------------------------------------------------

    def plan(self) -> Plan | None:
        """The plan that lies here, or ``None``.

        Raises:
            BadInputError: a plan.json that is not ours or cannot be read.
        """
        if not self.plan_path.exists():
            return None
        try:
            plan = records.read_json(Plan, self.plan_path, records.LIST_BYTES)
        except records.RecordError as error:
            raise BadInputError(f"{error}; choose another --out") from error
        if plan.kind != KIND:
            raise BadInputError(f"{self.plan_path}: not a plan of stackyard; choose another --out")
        return plan

    def begin(self, plan: Plan, scenario_text: str, *, resume: bool = False, fresh: bool = False) -> None:
        """Make the folder ready for ``plan``: new, continued (``resume``) or emptied first (``fresh``).

        Call it with the lock held.

        Raises:
            BadInputError: the folder holds runs and neither is asked for; nothing to resume; it is not ours.
        """
        self.refuse(plan, resume=resume, fresh=fresh)
        if fresh and self.plan() is not None:
            self._clear()
        (self.path / "runs").mkdir(exist_ok=True)
        write_text(scenario_text, self.path / SCENARIO_FILE)
        records.write_json(plan, self.plan_path)

    def refuse(self, plan: Plan, *, resume: bool = False, fresh: bool = False) -> None:
        """Refuse what ``begin`` would refuse; nothing is written.

        Raises:
            BadInputError: as of ``begin``.
        """
        old = self.plan()
        if resume:
            if old is None:
                raise self._nothing_to_resume()
            resuming.refuse_if_different(old, plan, self.path)
        elif fresh and old is not None:
            return
        elif old is not None and self._has_runs():
            raise BadInputError(
                f"{self.path}: already holds runs of {old.name!r}; continue them with --resume, "
                "replace them with --fresh, or choose another --out"
            )
        elif old is None and self._foreign():
            raise BadInputError(
                f"{self.path}: is not empty and not a run folder (found {self._foreign()[0]!r}); "
                "choose another --out"
            )

    def kept(self, plan: Plan) -> set[str]:
        """Names of the run folders whose runs stand, of those that ``plan`` has; nothing is moved."""
        names = {(block.name, cell) for block in plan.blocks for cell in block.order}
        places = (self.run(block, cell) for block, cell in names)
        return {place.name for place in places if counts_as_done(self.record(place))}

    def _nothing_to_resume(self) -> BadInputError:
        return BadInputError(f"{self.path.absolute()}: holds no run to resume; leave --resume away")

    def _has_runs(self) -> bool:
        return any(any((self.path / part).glob("*")) for part in ("runs", "prepared"))

    def _foreign(self) -> list[str]:
        """What is not ours in a folder without a plan; a start that ended before its plan leaves the other three."""
        if not self.path.exists():
            return []
        if not self.path.is_dir():
            raise BadInputError(f"{self.path} is no folder; choose another --out")
        ours = {_LOCK_FILE, SCENARIO_FILE} | (set() if self._has_runs() else {"runs"})
        return sorted(p.name for p in self.path.iterdir() if p.name not in ours)

    def _clear(self) -> None:
        # The plan goes last: a removal cut short still leaves a folder we know as ours.
        for name in reversed(_OURS):
            entry = self.path / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)

    # -- records -----------------------------------------------------------------------------------

    def record(self, folder: Path) -> RunRecord | None:
        """The record of a run, or ``None`` where there is none that can be read."""
        try:
            return records.read_json(RunRecord, folder / records.RECORD_FILE)
        except records.RecordError:
            return None

    def why_unreadable(self, folder: Path) -> str | None:
        """Why the record of a run cannot be read; ``None``: it can, or there is none."""
        if (folder / records.RECORD_FILE).exists():
            try:
                records.read_json(RunRecord, folder / records.RECORD_FILE)
            except records.RecordError as error:
                return str(error)
        return None

    def set_aside(self, folder: Path) -> None:
        """Move a run that did not count to ``abandoned/``, so that its output stays and its place is free."""
        if not folder.exists():
            return
        shelf = self.path / "abandoned"
        shelf.mkdir(exist_ok=True)
        taken = {entry.name for entry in shelf.iterdir()}
        number = next(n for n in range(1, len(taken) + 2) if f"{folder.name}.{n}" not in taken)
        folder.rename(shelf / f"{folder.name}.{number}")

    @contextmanager
    def locked(self, made: bool = True) -> Iterator[int]:
        """Hold the folder for one runner; answers the lock's descriptor, which a running supervisor inherits.

        So a supervisor that outlives its runner keeps the folder held until its own record is written.

        Args:
            made: whether a folder that is not there is made.

        Raises:
            BadInputError: another runner holds it, it is no folder, or it is not there and not to be made.
            StackyardError: it cannot be made, or not written.
        """
        if not made and not self.path.exists():
            raise self._nothing_to_resume()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileExistsError as error:
            raise BadInputError(f"{self.path} is no folder; choose another --out") from error
        except NotADirectoryError as error:
            raise BadInputError(
                f"{self.path}: cannot be written ({error.strerror}); choose another --out"
            ) from error
        except OSError as error:
            raise self.unwritable(error) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip()
                raise BadInputError(
                    f"{self.path}: another runner (process {holder or 'unknown'}) or its last run is still "
                    "at work there; wait for it or choose another --out"
                ) from error
            try:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
            except OSError as error:  # the first bytes that a full disk does not take
                raise self.unwritable(error) from error
            yield descriptor
        finally:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Whether a runner, or a run that outlives it, is at work here now."""
        try:
            descriptor = os.open(self.path / _LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    # -- what goes wrong ---------------------------------------------------------------------------

    def unusable(self, error: OSError) -> StackyardError:
        """The one sentence for an error below this folder, or of a file elsewhere that a run reads."""
        other = error.filename
        if isinstance(other, str | bytes | os.PathLike):
            file = Path(os.fsdecode(other)).absolute()
            inside = any(
                file.is_relative_to(folder) for folder in (self.path.absolute(), self.path.resolve())
            )
            if not inside and error.errno not in (*_WRITING, *_TOO_MANY):
                return StackyardError(
                    f"{file}: cannot be read ({error.strerror or error}); mend that. {self._what_stays()}"
                )
        return self.unwritable(error)

    def unwritable(self, error: OSError) -> StackyardError:
        """The one sentence for this folder where it cannot be written."""
        reason = error.strerror or str(error)
        advice = {
            errno.ENOSPC: "free some space",
            errno.EDQUOT: "free some space",
            errno.EROFS: "choose another --out",
            errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
            errno.EISDIR: "a run laid a folder in the place of its record: let it leave its run folder alone",
            errno.EMFILE: "raise the limit of open files (ulimit -n)",
            errno.ENFILE: "end other programs that hold files open",
        }.get(error.errno or 0, "check its permissions or choose another --out")
        return StackyardError(f"{self.path}: cannot be written ({reason}); {advice}. {self._what_stays()}")

    def _what_stays(self) -> str:
        if not self.plan_path.exists():
            return "Nothing was started"
        return f"Finished runs are kept; {self.continuing()}"


def counts_as_done(record: RunRecord | None) -> bool:
    """Whether a run stands: it completed or was stopped at a criterion, or failed by its own code and would again."""
    if record is None:
        return False
    if record.failure is None:
        return True
    if record.failure.kind == "killed":
        return record.failure.signal not in _FOREIGN_SIGNALS
    return record.failure.kind not in _REPEATED_KINDS


def write_text(text: str, path: Path) -> None:
    """Write ``text`` atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
