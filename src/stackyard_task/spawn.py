"""Starting the workload child: its environment, its files, its cgroup and limits, then exec.

fork and exec by hand, because the child must be in its cgroup before its first page of memory, and its start
must be an instant we know. Standard library only.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional

from stackyard_task.channel import CHANNEL_VARIABLE
from stackyard_task.measure.cgroup import Cgroup
from stackyard_task.measure.tree import die_with_parent

#: What numerical libraries read to choose their number of threads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
#: Room for messages while the supervisor is busy; the usual 64 KiB would block a chatty child sooner.
PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


class StartError(Exception):
    """The child could not be started: the message says at which step."""


def child_variables(inherited: Mapping[str, str], chosen: Mapping[str, str], threads: int) -> Dict[str, str]:
    """The child's environment: inherited, then thread counts, then what the task chose; PYTHONPATH is joined."""
    variables = dict(inherited)
    variables.setdefault("PYTHONUNBUFFERED", "1")  # what was printed before a kill is in the log
    variables.setdefault("PYTHONFAULTHANDLER", "1")
    # The code first, then what was inherited, then what the task adds: a task may add folders, never hide the code.
    path = [str(Path(__file__).resolve().parent.parent)]
    for place in (inherited, chosen):
        path += [
            entry for entry in place.get("PYTHONPATH", "").split(os.pathsep) if entry and entry not in path
        ]
    variables.update({name: str(threads) for name in THREAD_VARIABLES})
    variables.update(chosen)
    variables["PYTHONPATH"] = os.pathsep.join(path)
    return variables


def start(
    python: str,
    run_folder: Path,
    variables: Mapping[str, str],
    log: int,
    channel: int,
    cgroup: Optional[Cgroup],
    steps: List[Callable[[], None]],
) -> int:
    """Start ``python -m stackyard_task.child RUN_FOLDER`` and return its process id once exec has succeeded.

    Args:
        python: The interpreter: the stack's, which need not be the supervisor's own.
        run_folder: The run's folder.
        variables: The child's environment.
        log: Descriptor that becomes stdout and stderr.
        channel: Descriptor of the pipe's writing end; the child inherits it under its own number.
        cgroup: Joined before exec.
        steps: Called in the child before exec (limits).

    Raises:
        StartError: joining, limiting or exec failed.
    """
    try:
        import fcntl

        fcntl.fcntl(channel, _F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:  # above the user's share of pipe memory: the usual size then
        pass
    arguments = [python, "-m", "stackyard_task.child", str(run_folder)]
    complete = {**variables, CHANNEL_VARIABLE: str(channel)}
    report_read, report_write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        step = "starting its session"
        try:
            os.setsid()  # a Ctrl-C at the terminal reaches the supervisor alone, which ends the tree in order
            die_with_parent()
            step = "joining its cgroup"
            if cgroup is not None:
                cgroup.join()
            step = "taking its limits"
            for action in steps:
                action()
            step = "opening its files"
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.set_inheritable(channel, True)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            step = "executing " + arguments[0]
            os.execve(arguments[0], arguments, complete)
        except BaseException as error:  # noqa: BLE001 a forked child must not run on in the supervisor's code
            os.write(report_write, f"{step}: {error}".encode("utf-8", "replace")[:4000])
        finally:
            os._exit(127)
    os.close(report_write)
    try:
        report = os.read(report_read, 4096)  # closed without a word by a successful exec
    finally:
        os.close(report_read)
    if report:
        os.waitpid(pid, 0)
        raise StartError(f"the child failed at {report.decode('utf-8', 'replace')}")
    return pid
