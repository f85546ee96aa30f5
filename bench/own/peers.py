"""Others that measure commands, on the same scripts: GNU time, hyperfine, con-duct, codecarbon, MLflow, Snakemake.

Each has an environment of its own below the home (``bench-own-<name>``), which is made once; what cannot be had is left
out, with the reason. Every one is used as its documentation says, at its own intervals unless a remark says otherwise.
"""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple

from bench.own.instruments import PROGRAMS, Instrument, Seen, errors, spikes
from bench.own.overhead import SHORT
from bench.own.yard import Yard
from bench.result import NotHere, Result

#: What a peer is measured by; the figures of each end with its suffix.
KINDS = (
    "peak_rss_error_percent_worst",
    "cpu_error_percent_worst",
    "spikes_caught_of_25",
    "run_overhead_seconds",
)


class Peer(Instrument):
    """One of them."""

    #: What pip installs; the first is the tool itself.
    packages: Tuple[str, ...] = ()
    #: To start.
    takes_seconds = False

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.place = yard.home / f"bench-own{self.suffix.replace('_', '-')}"
        self.version: Optional[str] = None

    def ready(self) -> None:
        """Install it where it is not yet, and ask its version.

        Raises:
            NotHere: it cannot be had.
        """
        marker = self.place / "complete"
        if not marker.exists():
            shutil.rmtree(self.place, ignore_errors=True)
            try:
                made = [sys.executable, "-m", "venv", str(self.place)]
                subprocess.run(made, check=True, capture_output=True, timeout=120)
                install = [self.program("python"), "-m", "pip", "install", "-q", *self.packages]
                subprocess.run(install, check=True, capture_output=True, timeout=300)
            except (OSError, subprocess.SubprocessError) as error:
                shutil.rmtree(self.place, ignore_errors=True)
                raise NotHere(f"{self.packages[0]} cannot be installed ({type(error).__name__})") from error
            marker.write_text("ok\n", encoding="utf-8")
        name = self.packages[0].partition("=")[0]
        asked = f"import importlib.metadata as m; print(m.version({name!r}))"
        told = subprocess.run(
            [self.program("python"), "-c", asked], capture_output=True, text=True, timeout=60, check=False
        )
        self.version = told.stdout.strip() or None

    def program(self, name: str) -> str:
        """A program of its environment."""
        return str(self.place / "bin" / name)


class GnuTime(Peer):
    """GNU time: what wait4(2) tells of the command and of the children that it waited for."""

    suffix = "_gnu_time"

    def ready(self) -> None:
        """It is the system's, or it is not here."""
        path = shutil.which("time")
        told = "" if path is None else _said([path, "--version"])
        if path is None or "GNU" not in told:
            raise NotHere("there is no GNU time on the PATH (package time)")
        self._path, self.version = path, told.splitlines()[0].split()[-1]
        if self.version == "UNKNOWN":  # as Debian builds it
            self.version = _said(["dpkg-query", "-W", "-f", "${Version}", "time"]).strip() or None

    def words(self, command: Sequence[str], folder: Path) -> List[str]:
        """Its figures in a file."""
        return [self._path, "-o", str(folder / "time"), "-f", "%M %U %S", *command]

    def seen(self, folder: Path) -> Seen:
        """Kilobytes of 1024, seconds."""
        peak, user, system = (folder / "time").read_text(encoding="utf-8").splitlines()[-1].split()
        return Seen(int(peak) * 1024, float(user) + float(system))


class Hyperfine(Peer):
    """hyperfine 2: one run without a shell."""

    suffix = "_hyperfine"
    packages = ("astral-dev-toolchain-hyperfine==2.0.0",)

    def words(self, command: Sequence[str], folder: Path) -> List[str]:
        """One run, its figures in a file."""
        told = ["--runs", "1", "--export-json", str(folder / "figures.json")]
        return [self.program("hyperfine"), *told, shlex.join(command)]

    def seen(self, folder: Path) -> Seen:
        """Bytes, seconds."""
        run = json.loads((folder / "figures.json").read_text(encoding="utf-8"))["results"][0]["measurements"][
            0
        ]
        return Seen(run["memory_peak_resident"]["value"], run["time_cpu"]["value"])


class ConDuct(Peer):
    """con-duct: samples of ps every second; CPU only as percentages of ps, which are no time used."""

    suffix = "_con_duct"
    packages = ("con-duct",)

    def words(self, command: Sequence[str], folder: Path) -> List[str]:
        """Its files into the folder."""
        return [self.program("con-duct"), "run", "-l", "NONE", "-p", f"{folder}/", *command]

    def seen(self, folder: Path) -> Seen:
        """Bytes."""
        told = json.loads((folder / "info.json").read_text(encoding="utf-8"))["execution_summary"]
        return Seen(told["peak_rss"])


class CodeCarbon(Peer):
    """codecarbon: energy and emissions; of memory the mean use of the machine, of CPU a percentage."""

    suffix = "_codecarbon"
    packages = ("codecarbon",)
    takes_seconds = True
    remark = "offline; it tells energy, of memory the machine's mean use, of CPU a percentage: no peak, no CPU time"

    def words(self, command: Sequence[str], folder: Path) -> List[str]:
        """It writes into its working folder."""
        told = ["monitor", "--offline", "--country-iso-code", "USA", "--", *command]
        return ["env", f"--chdir={folder}", self.program("codecarbon"), *told]

    def seen(self, folder: Path) -> Seen:
        """Neither figure; that there is a row of its own is checked."""
        with (folder / "emissions.csv").open(encoding="utf-8", newline="") as stream:
            float(next(csv.DictReader(stream))["energy_consumed"])
        return Seen()


_MLFLOW = """
import subprocess, sys
import mlflow
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1] + "/mlflow.db")
mlflow.set_system_metrics_sampling_interval(1)
mlflow.set_system_metrics_samples_before_logging(1)
with mlflow.start_run(log_system_metrics=True) as run:
    status = subprocess.run(sys.argv[2:]).returncode
told = mlflow.MlflowClient().get_metric_history(run.info.run_id, "system/system_memory_usage_megabytes")
print(max([point.value for point in told], default=""), file=open(sys.argv[1] + "/peak", "w"))
sys.exit(status)
"""


class MLflow(Peer):
    """MLflow's system metrics around a command: memory of the whole machine, CPU in percent of it."""

    suffix = "_mlflow"
    packages = ("mlflow", "psutil")
    takes_seconds = True
    remark = (
        "sampled every 1 s instead of every 10; memory is that of the whole machine, CPU a percentage of it"
    )

    def words(self, command: Sequence[str], folder: Path) -> List[str]:
        """A run of MLflow whose work is the command."""
        return [self.program("python"), "-c", _MLFLOW, str(folder), *command]

    def seen(self, folder: Path) -> Seen:
        """The greatest of the samples; MB of 10^6 bytes."""
        told = (folder / "peak").read_text(encoding="utf-8").strip()
        return Seen(float(told) * 1e6 if told else None)


class Snakemake(Peer):
    """A rule with ``benchmark:``, which polls the rule's processes."""

    suffix = "_snakemake"
    packages = ("snakemake",)
    takes_seconds = True

    def words(self, command: Sequence[str], folder: Path) -> List[str]:
        """A workflow of one rule."""
        shell = shlex.join(command).replace("{", "{{").replace("}", "}}")
        rule = f'rule measured:\n    output: touch("done")\n    benchmark: "told.tsv"\n    shell: {json.dumps(shell)}\n'
        (folder / "Snakefile").write_text(rule, encoding="utf-8")
        told = ["--cores", "1", "--directory", str(folder), "--snakefile", str(folder / "Snakefile")]
        return [self.program("snakemake"), *told, "done"]

    def seen(self, folder: Path) -> Seen:
        """MB of 2^20 bytes, seconds; a dash where it has not seen the process."""
        with (folder / "told.tsv").open(encoding="utf-8", newline="") as stream:
            row = next(csv.DictReader(stream, delimiter="\t"))
        peak, cpu = _number(row["max_rss"]), _number(row["cpu_time"])
        return Seen(None if peak is None else peak * (1 << 20), cpu)


PEERS = (GnuTime, Hyperfine, ConDuct, Snakemake, CodeCarbon, MLflow)
FIGURES = tuple(kind + peer.suffix for peer in PEERS for kind in KINDS)


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """Each of them, as far as the time goes."""
    for kind in PEERS:
        peer = kind(yard)
        part = "peers" + peer.suffix
        try:
            yard.check_time()
            if quick and peer.takes_seconds:
                raise NotHere("it takes minutes to install and seconds to start; left out of --quick")
            peer.ready()
        except NotHere as reason:
            result.row(part=part, not_measured=str(reason))
            print(f"  {part}: {reason}", flush=True)
            continue
        remark = peer.remark or (peer.__doc__ or "").strip()
        result.row(part=part, version=peer.version, remark=remark)
        try:
            _measured(result, yard, peer, quick)
        except NotHere as reason:
            result.row(part=part, not_measured=str(reason))


def _measured(result: Result, yard: Yard, peer: Peer, quick: bool) -> None:
    slow = quick or peer.takes_seconds
    few = ("python", "bash with background children", "double fork")
    names: Sequence[str] = few if slow else tuple(PROGRAMS)
    overhead(result, yard, peer, pairs=3 if slow else 7)
    errors(result, yard, peer, sizes=(500,), burn=1.0, repeats=1, names=names)
    spikes(result, yard, peer, repeats=1)


def overhead(result: Result, yard: Yard, peer: Instrument, *, pairs: int) -> None:
    """What it adds to a command that is over at once."""
    more: List[float] = []
    for _ in range(pairs):
        bare = yard.run(SHORT).wall_seconds
        ended = yard.run(peer.words(SHORT, yard.made("seen")))
        if ended.status != 0:
            raise NotHere(f"it ended with status {ended.status}")
        more.append(ended.wall_seconds - bare)
    result.figure("run_overhead_seconds" + peer.suffix, statistics.median(more))


def _number(text: str) -> Optional[float]:
    try:
        return float(text)
    except ValueError:
        return None


def _said(words: List[str]) -> str:
    try:
        told = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return told.stdout + told.stderr
