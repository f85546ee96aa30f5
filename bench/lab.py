"""A lab from bare hosts, and what goes wrong in one: seconds of a first and a second play, with and without a way out.

``python -m bench.lab [--json FILE] [--quick] [--peer-roles DIR]`` ends within 30 minutes and needs a Docker Engine
(``tests/engine_setup.sh start``). Hosts are containers with systemd, addresses of their own and real SSH; all share
this machine's cores. Packages and wheels come from a bundle on this machine, as from a cache.

A first run counts from bare hosts to a task completed on the host queue and one on the container queue.
``--peer-roles`` names a folder with roles of others (``geerlingguy.docker``), played on a
bare host beside our role docker.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.result import Ground, NotHere, Result, arguments
from tests.lab import faults, hosts
from tests.lab.yard import Yard, installed

FIGURES = (
    "first_run_seconds",
    "second_run_seconds",
    "second_run_changed",
    "airgapped_first_run_seconds",
    "reboot_back_seconds",
    "faults_converged",
    "faults_failed",
    "tasks_lost",
    "tasks_doubled",
    "docker_role_seconds",
    "peer_docker_role_seconds",
)
NAMES = ["head", "one", "two"]
ENGINES = ["one", "two"]
#: Faults that a quick run does.
QUICK_FAULTS = 3
#: No fault is begun that would end later than this before the bench's end.
ROOM_SECONDS = 150.0
_PEER = "geerlingguy.docker"


def main() -> int:
    """Measure, print, write."""
    parser = arguments("lab", __doc__)
    parser.add_argument(
        "--peer-roles", type=Path, metavar="DIR", help="a folder with roles of others to play beside ours"
    )
    options = parser.parse_args()
    result = Result("lab", FIGURES)
    minutes = 12 if options.quick else 30
    with tempfile.TemporaryDirectory(prefix="stackyard-bench-lab-") as folder:
        ground = Ground(Path(folder), time.monotonic() + minutes * 60 - 60)
        parts = (_first_run, _without_a_way_out) if not options.quick else (_without_a_way_out,)
        for part in (*parts, _peers):
            try:
                part(result, ground, options)
            except NotHere as reason:
                result.row(part=part.__name__.strip("_"), not_measured=str(reason))
                print(f"not measured: {reason}", flush=True)
            if options.json is not None:
                result.write(options.json)
    result.finish(options.json)
    return 1 if result.figures["faults_failed"] else 0


def _lab(ground: Ground, internet: bool, names: list[str] = NAMES) -> hosts.Lab:
    reason = hosts.why_not()
    if reason is not None:
        raise NotHere(reason)
    return hosts.Lab(
        ground.new("lab"), names, engines=[name for name in names if name in ENGINES], internet=internet
    )


def _to_tasks(result: Result, yard: Yard, part: str) -> float:
    """Seconds from bare hosts to a task on each queue; each role's share among the rows."""
    assert yard.first is not None
    rows = yard.smoke()
    assert all(row["ok"] for row in rows), rows
    smoke = yard.smoked_seconds
    for role, seconds in sorted(yard.first.role_seconds().items(), key=lambda pair: -pair[1]):
        result.row(part=part, role=role or "facts", seconds=round(seconds, 1))
        print(f"  {role or 'facts':20s} {seconds:6.1f} s", flush=True)
    result.row(
        part=part, role="tasks on both queues", seconds=round(smoke, 1), queues=[row["queue"] for row in rows]
    )
    return yard.first.seconds + smoke


def _first_run(result: Result, ground: Ground, options: Any) -> None:
    print("first run, with a way out:", flush=True)
    with _lab(ground, internet=True) as lab, installed(lab) as yard:
        result.figure("first_run_seconds", _to_tasks(result, yard, "first_run"))


def _without_a_way_out(result: Result, ground: Ground, options: Any) -> None:
    print("first run, without a way out:", flush=True)
    with _lab(ground, internet=False) as lab, installed(lab) as yard:
        result.figure("airgapped_first_run_seconds", _to_tasks(result, yard, "airgapped_first_run"))
        _second_run(result, yard)
        _faults(result, ground, yard, options.quick)


def _second_run(result: Result, yard: Yard) -> None:
    again = [yard.good("site.yml") for _number in range(3)]
    result.figure("second_run_seconds", statistics.median(play.seconds for play in again))
    result.figure("second_run_changed", float(sum(play.changed for play in again)))
    result.row(part="second_run", seconds=[round(play.seconds, 1) for play in again], recap=again[0].recap)
    for role, seconds in again[0].role_seconds().items():
        result.row(part="second_run", role=role or "facts", seconds=round(seconds, 1))


def _faults(result: Result, ground: Ground, yard: Yard, quick: bool) -> None:
    converged = failed = 0
    chosen = faults.ALL[:QUICK_FAULTS] if quick else faults.ALL
    for fault in chosen:
        name = faults.words_of(fault)
        try:
            ground.check_time(ROOM_SECONDS)
        except NotHere as reason:
            result.row(part="faults", fault=name, not_measured=str(reason))
            continue
        began = time.monotonic()
        try:
            found = dict(fault(yard))
        except (AssertionError, hosts.LabError, subprocess.SubprocessError) as error:
            failed += 1
            result.row(part="faults", fault=name, converged=False, words=str(error)[-600:])
            print(f"  FAILED {name}: {str(error)[:200]}", flush=True)
            continue
        converged += 1
        seconds = time.monotonic() - began
        result.row(part="faults", fault=name, converged=True, seconds=round(seconds, 1), **found)
        print(f"  {seconds:6.1f} s  {name}", flush=True)
        for figure in ("reboot_back_seconds", "tasks_lost", "tasks_doubled"):
            if figure in found:
                result.figure(figure, float(found[figure]))
    result.figure("faults_converged", float(converged))
    result.figure("faults_failed", float(failed))


def _peers(result: Result, ground: Ground, options: Any) -> None:
    """Our role docker and that of others, each on a bare host of its own that is alone."""
    if options.peer_roles is None:
        raise NotHere("no roles of others were given (--peer-roles)")
    if not (options.peer_roles / _PEER).is_dir():
        raise NotHere(f"{options.peer_roles} has no role {_PEER}")
    for figure, role, folder in (
        ("docker_role_seconds", "docker", hosts.ANSIBLE / "roles"),
        ("peer_docker_role_seconds", _PEER, options.peer_roles.absolute()),
    ):
        ground.check_time(ROOM_SECONDS)
        with _lab(ground, internet=True, names=["one"]) as lab:
            playbook = lab.folder / "play.json"
            playbook.write_text(json.dumps([{"hosts": "all", "become": True, "roles": [str(folder / role)]}]))
            played = lab.play(str(playbook), lab.inventory({}, {}))
            result.row(part="peers", role=role, exit_code=played.exit_code, seconds=round(played.seconds, 1))
            if played.exit_code == 0:
                result.figure(figure, played.seconds)


if __name__ == "__main__":
    raise SystemExit(main())
