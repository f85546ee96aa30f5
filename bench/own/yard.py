"""What is measured with: a folder for everything, the stackyard command, a default stack, and a cgroup around a run.

Everything lies in one temporary folder below the home of the stacks, which is removed at the end; a part that cannot
be measured raises NotHere with the reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence

from bench.result import Ground, NotHere
from stackyard import stacks
from stackyard.settings import Settings
from stackyard_task.measure import cgroup as cgroups
from stackyard_task.measure.cgroup_places import find_places

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parent / "scripts"
STACK = "torch-2.13.0-cpu"
#: Ends what hangs; everything waited for ends sooner.
PATIENCE_SECONDS = 180.0


@dataclass
class Ended:
    """How a command ended, and what the cgroup around it counted."""

    status: int
    wall_seconds: float
    #: Of the command and of everything it started; ``None``: no cgroup can be made here.
    cpu_seconds: Optional[float]
    stderr: bytes = b""


class Inner:
    """A cgroup for a measured command alone, in a hierarchy of its own: whoever measures is not in it.

    Where v1 counts CPU and v2 is mounted beside it (without controllers, as systemd's "hybrid" has it), the groups of
    v2 count CPU all the same, and a command that joins one stays in whatever v1 group an instrument has made for it.
    """

    def __init__(self) -> None:
        places = find_places()
        #: Its folder; ``None``: none can be made here.
        self.folder: Optional[Path] = None
        if "cpuacct" in places.v1 and places.v2 is not None:
            folder = Path(tempfile.mktemp(prefix="bench-own-", dir=places.v2.folder))
            with contextlib.suppress(OSError):
                folder.mkdir()
                self.folder = folder

    def words(self, command: Sequence[str]) -> List[str]:
        """A command that joins first."""
        if self.folder is None:
            return list(command)
        return ["sh", "-c", f'echo $$ > "{self.folder}/cgroup.procs" && exec "$@"', "sh", *command]

    def cpu_seconds(self) -> Optional[float]:
        """What everything that was ever in it has used."""
        if self.folder is None:
            return None
        lines = (self.folder / "cpu.stat").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1e6 for line in lines if line.startswith("usage_usec "))

    def remove(self) -> None:
        """Give it back."""
        if self.folder is not None:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


@dataclass
class Yard(Ground):
    """One bench run's places."""

    #: Where stacks are, and the peers' environments.
    home: Path

    @property
    def stackyard(self) -> str:
        """The command itself.

        Raises:
            NotHere: this Python's environment has none.
        """
        path = Path(sys.executable).parent / "stackyard"
        if not path.exists():
            raise NotHere("the environment of this Python has no stackyard command; run make install first")
        return str(path)

    def made(self, name: str) -> Path:
        """An empty folder."""
        folder = self.new(name)
        folder.mkdir()
        return folder

    def variables(self, **chosen: str) -> Dict[str, str]:
        """The environment of everything that is started: ours, without what sways a measurement.

        A Python that may not keep what it compiles would compile all of ours at each start.
        """
        swaying = ("STACKYARD_", "PYTHON", "OMP_", "MKL_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(swaying)}
        return {**kept, "STACKYARD_HOME": str(self.home), **chosen}

    def ours(self, out: Optional[Path], *, stack: str = "none") -> List[str]:
        """What is written before a command to measure it; without ``out`` the record's folder is named by us."""
        where = [] if out is None else ["--out", str(out)]
        return [self.stackyard, "run", "--stack", stack, *where, "--"]

    def stack_python(self) -> str:
        """The default stack's Python.

        Raises:
            NotHere: it is not built.
        """
        return str(self.stack_folder() / "bin" / "python")

    def stack_folder(self) -> Path:
        """The default stack's environment.

        Raises:
            NotHere: it is not built.
        """
        spec = stacks.load()[STACK]
        settings = Settings(home=self.home)
        if stacks.python_of(spec, settings) is None:
            raise NotHere(f"stack {STACK} is not built; build it: stackyard stack build {STACK}")
        return stacks.location(spec, settings)

    def stack_variables(self) -> Dict[str, str]:
        """The variables that the default stack sets for a run."""
        spec = stacks.load()[STACK]
        return {**spec.environment, **spec.tunables}

    def compiled(self) -> str:
        """touch.c as a program.

        Raises:
            NotHere: there is no C compiler.
        """
        program = self.folder / "touch"
        if not program.exists():
            compiler = shutil.which("cc") or shutil.which("gcc")
            if compiler is None:
                raise NotHere("there is no C compiler (cc) on the PATH")
            subprocess.run([compiler, "-O2", "-o", str(program), str(SCRIPTS / "touch.c")], check=True)
        return str(program)

    def run(
        self,
        words: Sequence[str],
        *,
        counted: bool = False,
        folder: Optional[Path] = None,
        variables: Optional[Dict[str, str]] = None,
    ) -> Ended:
        """Run a command to its end, silently.

        Args:
            words: the command.
            counted: make a cgroup around it, and count what is used in it.
            folder: the working folder; ``None``: the yard's.
            variables: the environment; ``None``: the yard's.

        Raises:
            NotHere: it hangs.
        """
        around = cgroups.create(f"{os.getpid()}-around{self._made}") if counted else None
        begun = time.monotonic()
        try:
            child = subprocess.Popen(
                list(words),
                cwd=str(folder or self.folder),
                env=self.variables() if variables is None else variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                preexec_fn=None if around is None else around.join,
                start_new_session=True,
            )
            try:
                _, said = child.communicate(timeout=PATIENCE_SECONDS)
            except BaseException as error:
                end_group(child)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise NotHere(f"{words[0]} did not end within {PATIENCE_SECONDS:g} s") from error
                raise
            wall = time.monotonic() - begun
            if around is not None:
                _wait_for_what_is_left(around)
            return Ended(child.returncode, wall, None if around is None else around.cpu_seconds(), said)
        finally:
            if around is not None:
                around.kill()
                around.remove()


def _wait_for_what_is_left(around: cgroups.Cgroup) -> None:
    """A daemon goes on when the command that started it has ended, and so does its use; a few seconds at most."""
    until = time.monotonic() + 10.0
    while around.processes() and time.monotonic() < until:
        time.sleep(0.02)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End a process that was started as the leader of a group, and what is in the group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@contextlib.contextmanager
def yard(minutes: float) -> Iterator[Yard]:
    """A yard, removed at the end; after so many minutes nothing long is begun."""
    home = Settings.from_environment().home
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-own-run-", dir=home))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # in order: nothing stays behind
    try:
        yield Yard(folder, time.monotonic() + 60 * minutes, home)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def last_line(said: bytes) -> str:
    """What a command said last."""
    lines: Sequence[str] = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
