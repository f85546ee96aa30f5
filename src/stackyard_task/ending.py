"""Why a run did not complete: what the supervisor knows about its end, as one Failure. Pure."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass
from typing import Optional

from stackyard_task.records import LOG_FILE, Failure, Measurement, TaskSpec

#: Signals the code brings on itself.
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS)
#: Signals by which somebody ends a process.
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
#: How Python and torch name an end for lack of memory.
_NO_MEMORY = (
    "MemoryError",
    "torch.OutOfMemoryError",
    "torch.cuda.OutOfMemoryError",
    "numpy._core._exceptions._ArrayMemoryError",
)
#: Kernels count in pages and in batches of them.
_ROUNDING = 0.02
#: What to do about an error of the system, by its number.
_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free space there"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "choose a folder that can be written to"),
    **dict.fromkeys(
        (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY), "let the run leave the files of its run folder alone"
    ),
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "end programs that hold many files open",
}


@dataclass(frozen=True)
class LastWords:
    """What a command's output ends with."""

    #: Why Python could not begin; ``None``: it does not say so.
    not_begun: Optional[str] = None
    #: The exception of a traceback that is its end, or nearly so; ``None``: there is none.
    raised: Optional[str] = None
    #: Whether nothing was said after it.
    is_end: bool = True
    #: Its last line; ``None``: there is none, or nobody can read it again.
    line: Optional[str] = None


@dataclass
class Ending:
    """What is known when the tree has ended."""

    #: wait(2) status of the child.
    status: int
    #: Why the supervisor itself ended the tree: "interrupted", "time_limit", "out_of_memory" or ``None``.
    stop: Optional[str] = None
    #: Processes the kernel ended for lack of memory in the run's cgroup.
    kernel_kills: int = 0
    #: What the child said of its failure.
    said: Optional[Failure] = None
    #: Whether the workload's function returned, or ended the program in order.
    returned: bool = True
    signal_received: int = 0
    #: What the run could use at most, by its own limit or its container's; ``None``: no limit.
    memory_limit_bytes: Optional[int] = None
    last_words: LastWords = LastWords()
    #: Whether its output was kept; at a terminal it was the terminal's.
    logged: bool = True
    #: Whether whoever started the supervisor was killed.
    alone: bool = False


def failure_of(ending: Ending, spec: TaskSpec, measurement: Measurement) -> Optional[Failure]:
    """The failure, or ``None`` for a run that completed."""
    signalled = os.WTERMSIG(ending.status) if os.WIFSIGNALED(ending.status) else None
    code = os.WEXITSTATUS(ending.status) if os.WIFEXITED(ending.status) else None
    failure = _reason(ending, spec, measurement, signalled, code)
    if failure is not None:
        failure.exit_code, failure.signal = code, signalled
    return failure


def advice(number: Optional[int]) -> Optional[str]:
    """What to do about an error of the system, by its number (errno(3)); ``None``: nothing that we know."""
    return _ADVICE.get(number or 0)


def system_sentence(error: OSError) -> str:
    """An error of the system as a sentence, with what to do about it where we know."""
    reason = error.strerror or str(error)
    said = reason[:1].lower() + reason[1:]
    if error.filename is not None and error.errno not in (
        errno.EMFILE,
        errno.ENFILE,
    ):  # those are of no one file
        said = f"{error.filename}: {reason}"
    known = advice(error.errno)
    return said if known is None else f"{said}; {known}"


def _reason(
    ending: Ending, spec: TaskSpec, measurement: Measurement, signalled: Optional[int], code: Optional[int]
) -> Optional[Failure]:
    # whoever ends a machine's tasks signals supervisor and workload alike, and the workload may be the quicker one
    ended_alike = ending.stop is None and ending.signal_received and signalled in ENDINGS
    if ending.stop == "interrupted" or ended_alike:
        name = _signal_name(ending.signal_received)
        if ending.alone:
            return Failure(
                "interrupted",
                f"ended after {_seconds(measurement)}, for the process that had it measured was killed",
            )
        return Failure(
            "interrupted", f"stopped by {name} after {_seconds(measurement)}; run it again to complete it"
        )
    if ending.stop == "time_limit":
        return Failure(
            "time_limit",
            f"still running at the time limit of {spec.time_limit_seconds:g} s, and so ended; "
            "raise the limit or shrink the work",
        )
    fell = signalled is not None or code != 0 or ending.said is not None
    if ending.stop == "out_of_memory" or (ending.kernel_kills and fell):
        return Failure("out_of_memory", _memory_sentence("ended for lack of memory", ending, measurement))
    if ending.said is not None:
        if ending.said.kind == "out_of_memory":
            return Failure("out_of_memory", _memory_sentence(ending.said.message, ending, measurement))
        return ending.said
    if signalled is not None:
        name = _signal_name(signalled)
        if signalled in CRASHES:
            return Failure("code", f"the {_what(spec)} crashed with {name}{_see(ending)}")
        if not ending.logged:  # at a terminal the user's own signals reach it, by us or without us
            return Failure("killed", f"the command was killed by {name} after {_seconds(measurement)}")
        return Failure("killed", f"the {_what(spec)} was killed by {name}, which the supervisor did not send")
    if code != 0:
        exited = f"the {_what(spec)} exited with status {code}"
        # Python exits with 1 where nothing catches an exception: with another status, somebody did and went on
        words = ending.last_words
        raised = words.not_begun or (words.raised if code == 1 else None)
        if raised is not None:
            return Failure(
                "out_of_memory" if raised.startswith(_NO_MEMORY) else "code", f"{exited}: {raised}"
            )
        if words.line is not None:
            return Failure("code", f"{exited}; its last words: {words.line}")
        return Failure("code", f"{exited}{_see(ending)}")
    if not ending.returned:
        return Failure(
            "code",
            "the workload's process ended with status 0 before its function returned, or closed its channel; "
            f"see {LOG_FILE}",
        )
    return None


def _see(ending: Ending) -> str:
    return f"; see {LOG_FILE}" if ending.logged else ""


def _what(spec: TaskSpec) -> str:
    return "workload" if spec.command is None else "command"


def _memory_sentence(what: str, ending: Ending, measurement: Measurement) -> str:
    peak = (
        "an unknown peak"
        if measurement.peak_rss_bytes is None
        else f"a peak of {_mb(measurement.peak_rss_bytes)}"
    )
    limit = ending.memory_limit_bytes
    bound = "without a limit of its own" if limit is None else f"under a limit of {_mb(limit)}"
    if _contradicts(measurement, limit):
        bound += f", of which the limit counted {_mb(measurement.cgroup_peak_bytes or 0)}"
    return f"{what}, at {peak} {bound}; give it more memory or smaller batches"


def memory_note(measurement: Measurement, limit_bytes: Optional[int], escaped: bool) -> Optional[str]:
    """Why the figures of a run contradict each other or its limits; ``None``: they do not.

    Args:
        measurement: the figures.
        limit_bytes: of its memory.
        escaped: whether processes had left the cgroup that counts and limits them.
    """
    if escaped:
        return (
            "processes of the run left the group in which it is measured and limited: CPU is what they had used when "
            "they ended, the peak of memory may be that of the others only, and no limit held them"
        )
    if not _contradicts(measurement, limit_bytes):
        return None
    counted = measurement.cgroup_peak_bytes or 0
    if counted > (limit_bytes or 0) * (1 + _ROUNDING):
        return (
            f"the run lifted its limit of {_mb(limit_bytes or 0)}, or left the group that it holds for: what the limit "
            f"counts had a peak of {_mb(counted)}"
        )
    return (
        f"the peak of {_mb(measurement.peak_rss_bytes or 0)} holds libraries and files mapped into memory that the "
        f"limit of {_mb(limit_bytes or 0)} does not count here, for others on this machine had read them before; what "
        f"it counts had a peak of {_mb(counted)}"
    )


def _contradicts(measurement: Measurement, limit_bytes: Optional[int]) -> bool:
    peak, counted = measurement.peak_rss_bytes, measurement.cgroup_peak_bytes
    return limit_bytes is not None and peak is not None and counted is not None and peak > limit_bytes


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def _seconds(measurement: Measurement) -> str:
    return "an unknown time" if measurement.wall_seconds is None else f"{measurement.wall_seconds:.1f} s"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
