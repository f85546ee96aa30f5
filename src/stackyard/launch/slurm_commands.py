"""What is asked of Slurm and told to it: ``sinfo``, ``squeue``, ``sacct`` and ``scancel``, and what they print.

One call for all runs that are waited for. Output is read up to a bound, and every call has an end. No state.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stackyard.launch import outside_programs
from stackyard.launch.outside_programs import RefusedError
from stackyard.launch.scheduled import Seen, SilentError
from stackyard_task.records import Failure

#: The programs that are needed; ``sacct`` is asked where it is there.
PROGRAMS = ("sbatch", "squeue", "scancel", "sinfo")
#: Variables by which a user tells Slurm what no setting says.
PASSED = ("SLURM_CONF", "SBATCH_ACCOUNT", "SBATCH_QOS", "SBATCH_RESERVATION", "SBATCH_CONSTRAINT")
#: Runs that one call asks for; a longer list is asked for in several.
MOST_IDS = 1000
#: How Slurm's programs say that the controller does not answer.
_SILENT = re.compile(
    r"unable to contact|connection refused|timed out|communications? (error|failure)|zero bytes were transmitted"
    r"|connection (failure|reset)|no route to host|backup controller|protocol authentication",
    re.IGNORECASE,
)
#: And that of one run it knows nothing.
_UNKNOWN = re.compile(r"invalid job id", re.IGNORECASE)
#: And that a run is over already.
_OVER = re.compile(r"already completing|already completed|invalid job id|not (yet )?running", re.IGNORECASE)
_WAITING = (
    "PENDING",
    "CONFIGURING",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "RESV_DEL_HOLD",
    "SPECIAL_EXIT",
)
#: State -> the kind of failure where a run that ended so left no record, and what happened, in words.
_ENDS: Mapping[str, tuple[str, str]] = {
    "COMPLETED": ("infrastructure", "ended in order, without a record: its node may not see the run folder"),
    "FAILED": (
        "infrastructure",
        "failed, without a record: its node may not see the run folder or the stack",
    ),
    "CANCELLED": ("interrupted", "was cancelled, and not by this runner"),
    "TIMEOUT": ("time_limit", "was ended at Slurm's own time limit; raise the run's, or the partition's"),
    "DEADLINE": ("time_limit", "was ended at its deadline"),
    "OUT_OF_MEMORY": (
        "out_of_memory",
        "was ended by Slurm for lack of memory; give it more, or smaller batches",
    ),
    "NODE_FAIL": ("infrastructure", "was lost: its node failed"),
    "BOOT_FAIL": ("infrastructure", "was lost: its node could not be started"),
    "PREEMPTED": ("infrastructure", "gave way to a run of higher priority"),
    "REVOKED": ("infrastructure", "was taken back by Slurm"),
}
#: Of those, the ends that a supervisor sees as no more than a signal.
_EXPLAINING = ("TIMEOUT", "DEADLINE", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED")
#: Reasons for which a run waits forever, unless a person changes something.
_HOPELESS = (
    *("PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints", "InvalidAccount", "InvalidQOS"),
    *(
        "AccountNotAllowed",
        "QOSNotAllowed",
        "QOSTimeLimit",
        "JobHeldAdmin",
        "JobHeldUser",
        "DependencyNeverSatisfied",
    ),
)


@dataclass(frozen=True)
class Node:
    """A node of a partition, as ``sinfo`` has it."""

    partition: str
    is_default: bool
    name: str
    cores: int
    memory_mib: int
    gpus: Mapping[str, int]
    #: Whether it may take a run now or when others have ended.
    is_up: bool
    #: The longest that a run may take there; ``None``: as long as it likes.
    minutes: int | None


def called(program: str, arguments: Sequence[str], text: str | None = None) -> str:
    """What a program of Slurm prints.

    Args:
        program: its name.
        arguments: its arguments.
        text: what it reads; ``None``: nothing.

    Raises:
        SilentError: the controller does not answer it.
        RefusedError: it ends with another error.
    """
    return outside_programs.called(
        [program, *arguments], _SILENT, "Slurm's controller", text, own_environment()
    )


def nodes() -> list[Node]:
    """The nodes of all partitions, one for each partition they are in.

    Raises:
        SilentError: Slurm does not answer.
    """
    try:
        said = called("sinfo", ["--noheader", "--Node", "--format=%P|%N|%c|%m|%G|%T|%a|%l"])
    except RefusedError as error:
        raise SilentError(f"sinfo: {error}") from error
    return [node for line in said.splitlines() if (node := _node(line)) is not None]


def _node(line: str) -> Node | None:
    parts = line.strip().split("|")
    if len(parts) != 8:
        return None
    partition, name, cores, memory, gres, state, available, limit = (part.strip() for part in parts)
    lost = (
        "down",
        "drain",
        "fail",
        "unk",
        "boot",
        "power_down",
        "powering_down",
        "perfctrs",
        "futr",
        "inval",
    )
    return Node(
        partition.rstrip("*"),
        partition.endswith("*"),
        name,
        _number(cores),
        _number(memory),
        gpus_of(gres),
        available == "up" and not state.lower().startswith(lost) and not state.endswith("*"),
        minutes_of(limit),
    )


def _number(text: str) -> int:
    found = re.match(r"\d{1,15}", text)
    return int(found[0]) if found else 0


def minutes_of(limit: str) -> int | None:
    """Whole minutes of a time as Slurm writes it, such as ``1-12:00:00`` or ``30:00``; ``None``: it sets none."""
    found = re.fullmatch(r"(?:(\d{1,5})-)?(?:(\d{1,5}):)?(\d{1,5}):(\d\d)", limit)
    if found is None:
        return None
    days, hours, minutes, _seconds = (int(part or 0) for part in found.groups())
    return 1440 * days + 60 * hours + minutes


def gpus_of(gres: str) -> dict[str, int]:
    """Type -> how many GPUs, of a node's generic resources such as ``gpu:a100:4(S:0-1),gpu:2``; "" is no type."""
    found: dict[str, int] = {}
    for part in re.sub(r"\([^)]*\)", "", gres).split(","):
        words = part.split(":")
        if words[0] == "gpu":
            kind = words[1] if len(words) > 2 else ""
            last = words[-1] if words[-1].isdigit() else "1"
            if len(words) == 2 and not words[1].isdigit():
                kind = words[1]
            found[kind] = found.get(kind, 0) + int(last)
    return found


def seen(ids: Collection[str]) -> dict[str, Seen]:
    """What becomes of runs: ``squeue`` for all, ``sacct`` for those it has forgotten.

    Raises:
        SilentError: Slurm does not answer.
    """
    found: dict[str, Seen] = {}
    for part in _parts(sorted(ids)):
        arguments = ["--noheader", "--states=all", f"--jobs={','.join(part)}", "--format=%i|%T|%r|%N"]
        try:
            said = called("squeue", arguments)
        except RefusedError as error:
            if not _UNKNOWN.search(str(error)):
                raise SilentError(f"squeue: {error}") from error
            said = ""  # it was asked for one run only, which it has forgotten
        found |= _told(said)
    forgotten = [id for id in ids if id not in found]
    return found | (_accounted(forgotten) if forgotten else {})


def _accounted(ids: Sequence[str]) -> dict[str, Seen]:
    """What Slurm's accounting holds of runs; nothing where a cluster keeps none."""
    found: dict[str, Seen] = {}
    for part in _parts(ids):
        arguments = ["--noheader", "--allocations", "--parsable2", f"--jobs={','.join(part)}"]
        try:
            said = called("sacct", [*arguments, "--format=JobIDRaw,State,Reason,NodeList", "--delimiter=|"])
        except (SilentError, RefusedError):
            return found
        found |= _told(said)
    return found


def _told(said: str) -> dict[str, Seen]:
    found = {}
    for line in said.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == 4 and parts[0].isdigit() and parts[1]:
            found[parts[0]] = seen_as(*parts)
    return found


def seen_as(id: str, state: str, reason: str, nodes: str) -> Seen:
    """A run as Slurm has it: its state in capitals, why it waits, and where it runs."""
    state = state.split()[0].rstrip("+")
    here = f" on {nodes}" if nodes and nodes not in ("(null)", "None assigned") else ""
    why = "" if reason in ("", "None", "(null)") else f" ({reason})"
    if state in _WAITING:
        hopeless = None
        if reason.strip("()").split(",")[0] in _HOPELESS:
            hopeless = (
                f"Slurm would never start job {id}{why}: change [slurm] in clusters.toml or the scenario's "
                "[hardware] and time limit; it was cancelled"
            )
        return Seen("waiting", f"waiting in Slurm{why}", hopeless=hopeless)
    end = _ENDS.get(state)
    if end is None:
        return Seen("running", f"running in Slurm{here}")
    kind, words = end
    return Seen(
        "over",
        f"Slurm job {id}{here} {words}",
        Failure(kind, f"Slurm job {id}{here} {words}"),
        state in _EXPLAINING,
    )


def found(name: str) -> str | None:
    """The id of the run of that name; ``None``: Slurm knows none.

    Raises:
        SilentError: Slurm does not answer.
    """
    try:
        said = called("squeue", ["--noheader", "--states=all", f"--name={name}", "--format=%i"])
    except RefusedError as error:
        raise SilentError(f"squeue: {error}") from error
    ids = [line.strip() for line in said.splitlines() if line.strip().isdigit()]
    return ids[-1] if ids else None


def cancelled(arguments: Sequence[str], id: str) -> None:
    """Call ``scancel`` for one run; one that is over is none of its business.

    Raises:
        SilentError: Slurm does not answer, or refuses.
    """
    try:
        called("scancel", [*arguments, id])
    except RefusedError as error:
        if not _OVER.search(str(error)):
            raise SilentError(f"scancel: {error}") from error


def own_environment() -> dict[str, str]:
    """The variables of Slurm's programs. What else a user's say, such as SQUEUE_USERS, would change their answers."""
    system = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/"}
    told = {name: os.environ[name] for name in (*system, *PASSED) if name in os.environ}
    return {**system, **told, "LANG": "C.UTF-8"}


def minutes(seconds: float) -> int:
    """Slurm's time limit, whole minutes, for one in seconds."""
    return max(1, math.ceil(seconds / 60))


def _parts(ids: Iterable[str]) -> list[list[str]]:
    every = list(ids)
    return [every[start : start + MOST_IDS] for start in range(0, len(every), MOST_IDS)]
