"""How true our measurements are and what they cost, beside psutil polling and ClearML's resource monitor.

``python -m bench.measure --json FILE``. Cases with a known truth (``measure_cases``) are run by the
supervisor with a cgroup of its own and, suffix ``_no_cgroup``, without; then by the others, suffixes
``_psutil_100ms``, ``_psutil_1s``, ``_clearml``. Memory is in MB of 10^6 bytes.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from bench.measure_peers import case_environment, clearml_points, clearml_python, poll_case
from bench.result import Result, arguments

MB = 1e6
SPIKE_MB = 300
HOLDS = (0.005, 0.02, 0.05, 0.1, 0.3)
METHODS = {"": "auto", "_no_cgroup": "processes"}
POLLS = {"_psutil_100ms": 0.1, "_psutil_1s": 1.0}
NAMES = (
    "spikes_caught_of_25",
    "orphan_cpu_seconds",
    "two_children_mb",
    "two_children_in_turn_mb",
    "shared_map_mb",
    "sampler_core_percent",
    "task_slowdown_percent",
)
_SUPERVISE = (
    "import sys, pathlib; from stackyard_task import run; "
    "run.supervise(pathlib.Path(sys.argv[1]), interval_seconds=float(sys.argv[2]))"
)


def supervised(method: str, case: str, interval_seconds: float = 0.1, **parameters: Any) -> Dict[str, Any]:
    """The record of a case, run by our supervisor in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        task = {"run_id": case, "workload": f"bench.measure_cases:{case}", "parameters": parameters}
        Path(folder, "task.json").write_text(json.dumps(task), encoding="utf-8")
        variables = {**case_environment(), "STACKYARD_MEASURE": method}
        command = [sys.executable, "-c", _SUPERVISE, folder, str(interval_seconds)]
        subprocess.run(command, env=variables, check=True, timeout=300)
        record: Dict[str, Any] = json.loads(Path(folder, "record.json").read_text(encoding="utf-8"))
        if record["status"] != "completed":
            raise SystemExit(
                f"case {case} failed: {record['failure']}\n{Path(folder, 'output.log').read_text()}"
            )
        return record


def spikes(result: Result, suffix: str, method: str, repeats: int) -> None:
    """How many spikes were seen at 90 % of their height or more (and not above 110 %)."""
    caught = 0
    for index in range(repeats * len(HOLDS)):
        hold, before = HOLDS[index % len(HOLDS)], 0.15 + 0.013 * index  # each meets the sampler elsewhere
        record = supervised(method, "spike", megabytes=SPIKE_MB, hold=hold, before=before)
        seen = (record["measurement"]["peak_rss_bytes"] - record["results"]["base_bytes"]) / MB
        caught += 0.9 * SPIKE_MB <= seen <= 1.1 * SPIKE_MB
        result.row(case="spike" + suffix, hold_seconds=hold, seen_mb=round(seen, 1), **_bounds(record))
    result.figure("spikes_caught_of_25" + suffix, caught * 25 / (repeats * len(HOLDS)))


def _bounds(record: Dict[str, Any]) -> Dict[str, Any]:
    measured = record["measurement"]
    return {
        "peak_mb": round(measured["peak_rss_bytes"] / MB, 1),
        "low_mb": round(measured["peak_rss_low_bytes"] / MB, 1),
        "high_mb": round(measured["peak_rss_high_bytes"] / MB, 1),
        "method": measured["peak_rss_method"],
    }


TREES: Dict[str, Tuple[str, Dict[str, Any]]] = {
    "two_children_mb": ("children", {"count": 2, "megabytes": 200}),
    "two_children_in_turn_mb": ("children", {"count": 2, "megabytes": 200, "in_turn": 1}),
    "shared_map_mb": ("shared_map", {"count": 4, "megabytes": 200}),
}


def trees(result: Result, suffix: str, method: str) -> None:
    """Trees whose memory is shared, simultaneous or in turn, and CPU of an orphan."""
    for name, (case, parameters) in TREES.items():
        record = supervised(method, case, **parameters)
        measured = record["measurement"]
        interval = [measured["peak_rss_low_bytes"] / MB, measured["peak_rss_high_bytes"] / MB]
        result.figure(name + suffix, measured["peak_rss_bytes"] / MB, interval)
        result.row(case=name + suffix, **_bounds(record))
    used = [supervised(method, "orphan", burn=burn)["measurement"]["cpu_seconds"] for burn in (0.0, 1.0)]
    result.figure("orphan_cpu_seconds" + suffix, used[1] - used[0])
    result.row(case="orphan" + suffix, cpu_seconds_without_burning=used[0], cpu_seconds=used[1])


def cost(result: Result, suffix: str, method: str, seconds: float) -> None:
    """The sampler's share of a core over a tree of ten sleeping processes, start and end of it included."""
    for count in (1, 10):
        record = supervised(method, "sleepers", count=count, seconds=seconds)
        measured = record["measurement"]
        percent = 100 * measured["overhead_cpu_seconds"] / measured["wall_seconds"]
        result.row(case="sampler" + suffix, tree=count, percent=percent, samples=measured["overhead_samples"])
        if count == 10:
            result.figure("sampler_core_percent" + suffix, percent)


def slowdown(result: Result, suffix: str, method: str, pairs: int, rounds: int) -> None:
    """CPU seconds of the same work with sampling over without, in alternated pairs."""
    ratios: List[float] = []
    for pair in range(pairs):
        used = {}
        for interval in (0.1, float("inf")) if pair % 2 else (float("inf"), 0.1):
            record = supervised(method, "work", interval_seconds=interval, rounds=rounds)
            used[interval] = record["results"]["own_cpu_seconds"]
        ratios.append(100 * (used[0.1] / used[float("inf")] - 1))
        result.row(case="slowdown" + suffix, with_seconds=used[0.1], without_seconds=used[float("inf")])
    result.figure("task_slowdown_percent" + suffix, statistics.median(ratios), median_interval(ratios))


def median_interval(values: Sequence[float], draws: int = 10_000) -> Tuple[float, float]:
    """95 % percentile bootstrap interval of the median, seeded."""
    generator = random.Random(0)
    medians = sorted(statistics.median(generator.choices(values, k=len(values))) for _ in range(draws))
    return medians[int(0.025 * draws)], medians[int(0.975 * draws)]


def psutil_polling(result: Result, suffix: str, interval: float, repeats: int) -> None:
    """The same cases through psutil."""
    base, _ = poll_case(0.01, "spike", megabytes=0, hold=0)
    caught = 0
    for index in range(repeats * len(HOLDS)):
        hold, before = HOLDS[index % len(HOLDS)], 0.15 + 0.013 * index
        peak, _ = poll_case(interval, "spike", megabytes=SPIKE_MB, hold=hold, before=before)
        caught += (peak - base) / MB >= 0.9 * SPIKE_MB
        seen = (peak - base) / MB
        result.row(case="spike" + suffix, hold_seconds=hold, seen_mb=round(seen, 1))
    result.figure("spikes_caught_of_25" + suffix, caught * 25 / (repeats * len(HOLDS)))
    for name, (case, parameters) in TREES.items():
        result.figure(name + suffix, poll_case(interval, case, **parameters)[0] / MB)
    used = [poll_case(interval, "orphan", burn=burn)[1] for burn in (0.0, 1.0)]
    result.figure("orphan_cpu_seconds" + suffix, used[1] - used[0])


def clearml_monitor(result: Result) -> None:
    """What ClearML's resource monitor says of 25 spikes in one task; of short tasks it says nothing."""
    for name in NAMES:
        result.figure(name + "_clearml", None)
    home = Path(os.environ.get("STACKYARD_HOME", ".stackyard")).absolute()
    python, reason = clearml_python(home)
    if python is None:
        result.row(case="clearml", not_measured=reason)
        return
    series, base, remark = clearml_points(python)
    memory = [value * 1024 for name, values in series.items() if "memory_used_gb" in name for value in values]
    if base is None:
        result.row(case="clearml", not_measured=remark)
        return
    if not memory:
        memory_names = sorted(series)
        result.row(
            case="clearml", remark=remark, series=memory_names, not_measured="no memory series reported"
        )
        return
    caught = sum(value * 1.048576 >= 0.9 * SPIKE_MB + base / MB for value in memory)
    result.figure("spikes_caught_of_25_clearml", float(min(25, caught)))
    result.row(case="clearml", remark=remark, points=dict(series))
    result.row(
        case="clearml",
        not_measured="orphans, trees, shared maps: its CPU figure is the whole machine's, and means of 30 s "
        "are all it reports, so that runs shorter than that leave nothing to compare",
    )


def main(given: Optional[List[str]] = None) -> None:
    """The command line."""
    parser = arguments("measure", (__doc__ or "").split("\n\n")[0])
    parser.add_argument("--no-clearml", action="store_true", help="leave ClearML's monitor out")
    options = parser.parse_args(given)
    result = Result("measure", NAMES)
    repeats = 1 if options.quick else 5
    for suffix, method in METHODS.items():
        spikes(result, suffix, method, repeats)
        trees(result, suffix, method)
        cost(result, suffix, method, 2.0 if options.quick else 10.0)
        slowdown(result, suffix, method, 2 if options.quick else 60, 20 if options.quick else 60)
    if not options.quick:
        for suffix, interval in POLLS.items():
            psutil_polling(result, suffix, interval, repeats)
        if not options.no_clearml:
            clearml_monitor(result)
    result.finish(options.json)


if __name__ == "__main__":
    main()
