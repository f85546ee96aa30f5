"""A made-up but realistic scenario run: bare x 2 stacks x 2 hardware limits x {train, infer} x 6 blocks.

Writes plan.json, runs/*/record.json and timeline.json. Also runs by hand, to have something to look at:
``python tests/stackyard/reports/synthetic.py FOLDER [--gpu]``.
"""

import datetime
import itertools
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stackyard_task.records import (
    Environment,
    Failure,
    GpuUse,
    Measurement,
    RunRecord,
    StepTimes,
    write_json,
)

STACKS = ("torch-1.10.2-cu102", "torch-2.13.0-cpu")
HARDWARE = ("1c-2g", "2c-4g")
WORKLOADS = ("train", "infer")
PROGRAMS = {"train": "detector-train", "infer": "detector-infer"}
START = datetime.datetime(2026, 11, 21, 9, 0, tzinfo=datetime.UTC)


def record(
    cell: dict[str, str],
    block: int | None,
    wall: float,
    *,
    at: float = 0.0,
    rss: float = 400e6,
    status: str = "completed",
    host: str = "yard-1",
    **measured: Any,
) -> RunRecord:
    """A plain record with the given wall time; everything else follows from it."""
    begin = START + datetime.timedelta(seconds=at)
    workload = cell.get("workload", "train")
    counted = re.match(r"[\d.]+", cell.get("hardware", "1c"))
    cores = float(counted.group()) if counted else 1.0
    startup = min(1.5, wall * 0.3)
    measurement = Measurement(
        wall_seconds=wall,
        startup_seconds=startup,
        data_seconds=wall * 0.05,
        warmup_seconds=wall * 0.05,
        steady_seconds=wall * 0.88 - startup,
        finish_seconds=wall * 0.02,
        cpu_user_seconds=wall * 0.9,
        cpu_system_seconds=wall * 0.05,
        cpu_seconds=wall * 0.95,
        cpu_method="cgroup v1 cpuacct",
        cpu_percent_of_core=95.0,
        cpu_percent_of_core_max=100.0 * cores,
        cpu_percent_of_allowed=95.0 / cores,
        cpu_percent_of_allowed_max=100.0,
        peak_rss_bytes=int(rss),
        peak_rss_method="cgroup v1 rss + mapped",
        peak_rss_low_bytes=int(rss * 0.99),
        peak_rss_high_bytes=int(rss * 1.01),
        cgroup_peak_bytes=int(rss * 1.4),
        peak_rss_minus_shared_bytes=int(rss * 0.8),
        disk_read_bytes=12_000_000,
        disk_written_bytes=800_000,
        overhead_cpu_seconds=wall * 0.004,
        overhead_peak_rss_bytes=18_000_000,
        overhead_samples=int(wall / 0.1),
        sampling_interval_seconds=0.1,
    )
    for name, value in measured.items():
        setattr(measurement, name, value)
    stack = cell.get("stack", STACKS[1])
    old = "1.10.2" in stack
    return RunRecord(
        run_id=f"b{block or 0:02d}-{'-'.join(cell.values())}",
        workload=PROGRAMS.get(workload, workload),
        status=status,
        started_at=begin.isoformat(),
        finished_at=(begin + datetime.timedelta(seconds=wall)).isoformat(),
        scenario="synthetic",
        cell=dict(cell),
        block=block,
        failure=Failure("out_of_memory", "the kernel ended the child: raise the RAM limit", 137, 9)
        if status == "failed"
        else None,
        measurement=measurement,
        environment=Environment(
            host=host,
            cpu_model="Simulated CPU @ 2.60GHz",
            machine_cores=4,
            affinity_cores=4,
            quota_cores=cores,
            allowed_cores=cores,
            machine_ram_bytes=16_000_000_000,
            ram_limit_bytes=int(2e9 * cores),
            limit_mechanism="cgroup v1",
            cgroup_version=1,
            kernel="6.1.0",
            os="Debian GNU/Linux 12",
            python="3.9.19" if old else "3.11.9",
            torch="1.10.2+cu102" if old else "2.13.0+cpu",
            cuda="10.2" if old else "cpu",
            numpy="1.26.4",
            stack=stack,
            stack_digest=("aa" if old else "bb") * 32,
            code_version="0.1.0+g1234567",
            code_dirty=False,
            code_digest="cc" * 32,
            threads=int(cores),
            other_cpu_percent_of_machine=2.0,
            load_average_before=0.3,
            throttled_seconds=0.0,
            clock_jump_seconds=0.0,
        ),
        parameters={"epochs": 3, "batch_size": 2048},
        results={"f1": 0.971, "sessions": 4000, "verdict_digest": "5f1d"},
        phases=[
            {"name": "startup", "at_seconds": 0.0},
            {"name": "data", "at_seconds": round(startup, 3)},
            {"name": "warmup", "at_seconds": round(startup + wall * 0.05, 3)},
            {"name": "steady", "at_seconds": round(startup + wall * 0.1, 3)},
            {"name": "finish", "at_seconds": round(wall * 0.98, 3)},
        ],
    )


def write_run(folder: Path, run: RunRecord, timeline: dict[str, Any] | None = None) -> Path:
    """Write one run folder below ``folder``/runs."""
    place = folder / "runs" / run.run_id.replace("/", "_")
    place.mkdir(parents=True, exist_ok=True)
    write_json(run, place / "record.json")
    if timeline:
        write_json(timeline, place / "timeline.json")
    return place


def timeline_of(run: RunRecord, generator: random.Random, gpu: bool = False) -> dict[str, Any]:
    """CPU, RAM and GPU over the run at 10 Hz, following its phases."""
    m = run.measurement
    wall, peak = m.wall_seconds or 1.0, float(m.peak_rss_bytes or 1)
    busy = m.cpu_percent_of_core_max or 100.0
    times, cpu, rss, memory, use = [], [], [], [], []
    starts = [(p["name"], p["at_seconds"]) for p in run.phases]
    for i in range(1, max(3, int(wall * 10))):
        t = i / 10
        phase = [name for name, at in starts if at <= t][-1]
        load = {"startup": 0.95, "data": 0.6, "warmup": 0.8, "steady": 0.93, "finish": 0.4}[phase]
        held = {"startup": 0.45, "data": 0.6, "warmup": 0.85, "steady": 0.97, "finish": 0.9}[phase]
        times.append(t)
        cpu.append(min(busy, (100 if phase == "startup" else busy) * load * generator.gauss(1, 0.05)))
        rss.append(int(peak * min(1.0, held * min(1.0, 0.2 + t) + generator.gauss(0, 0.005))))
        working = phase in ("warmup", "steady")
        memory.append(int(1.3e9 * (1 if working else 0.25)))
        use.append(max(0.0, min(100.0, generator.gauss(62, 6))) if working else 0.0)
    gpus = [{"index": 0, "memory_bytes": memory, "utilisation_percent": use}] if gpu else []
    return {
        "interval_seconds": 0.1,
        "t_seconds": times,
        "cpu_percent_of_core": cpu,
        "rss_bytes": rss,
        "gpus": gpus,
        "phases": run.phases,
    }


def write_plan(folder: Path, cells: Sequence[dict[str, str]], repeats: int, **more: Any) -> None:
    """Write ``folder``/plan.json as the runner does, as far as a report reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = {
        "kind": "stackyard plan",
        "api_version": 1,
        "name": "synthetic",
        "title": "Old and new stack, one and two cores (synthetic data)",
        "started_at": START.isoformat(),
        "repeats": repeats,
        "warm_up_runs": 1,
        "seed": 7,
        "cells": [{"name": "-".join(c.values()), "axes": c, "workload": c.get("workload")} for c in cells],
        "not_runnable": [],
        **more,
    }
    write_json(plan, folder / "plan.json")


def write_study(folder: Path, blocks: int = 6, seed: int = 1, gpu: bool = False, noise: float = 0.03) -> Path:
    """A whole scenario run: 8 cells, ``blocks`` blocks, a warm-up run each, one failure, one not runnable."""
    generator = random.Random(seed)
    cells = [
        {"deployment": "bare", "stack": stack, "hardware": hardware, "workload": workload}
        for workload, stack, hardware in itertools.product(WORKLOADS, STACKS, HARDWARE)
    ]
    missing = {
        "deployment": "bare",
        "stack": "torch-2.6.0-cu118",
        "hardware": HARDWARE[0],
        "workload": "train",
    }
    reason = "the index of torch 2.6.0+cu118 does not answer from this machine"
    write_plan(
        folder,
        cells,
        blocks,
        not_runnable=[
            {"name": "-".join(missing.values()), "axes": missing, "workload": "train", "reason": reason}
        ],
    )
    at = 0.0
    for block in range(blocks + 1):
        drift = generator.gauss(1, noise)
        for cell in generator.sample(cells, len(cells)):
            old, one = cell["stack"] == STACKS[0], cell["hardware"] == HARDWARE[0]
            train = cell["workload"] == "train"
            base = (24.0 if old else 15.8) if train else (6.1 if old else 5.9)
            wall = (
                base
                * (1.0 if one else (0.62 if train else 0.93))
                * drift
                * generator.lognormvariate(0, noise)
            )
            rss = (610e6 if old else 330e6) * (1.15 if train else 0.8) * generator.lognormvariate(0, 0.004)
            failed = train and old and one and block == 4
            run = record(cell, block, wall, at=at, rss=rss, status="failed" if failed else "completed")
            run.warm_up = block == 0
            run.run_id = ("w01-" if block == 0 else f"b{block:02d}-") + "-".join(cell.values())
            use = 0.95 if one else (1.55 if train else 1.05)
            run.measurement.cpu_seconds = wall * use
            run.measurement.cpu_percent_of_core = 100 * use * generator.gauss(1, 0.01)
            run.measurement.cpu_percent_of_core_max = 100.0 if one else 100 * min(2.0, use * 1.2)
            run.measurement.cpu_percent_of_allowed = 100 * use / (1 if one else 2)
            step = (run.measurement.steady_seconds or 1.0) / 570
            if train:
                run.measurement.steps = StepTimes(570, step, step * 0.98, step * 1.3)
            run.results = {
                "f1": 0.9713 if old else 0.9711,
                "recall": 0.958,
                "validation_loss": 0.212 if old else 0.2123,
                "sessions": 4000,
                "sessions_per_second": 4000 / (run.measurement.steady_seconds or 1.0),
                "verdict_digest": "5f1d90",
            }
            run.environment.other_cpu_percent_of_machine = (
                24.0 if block == 3 and old else abs(generator.gauss(2, 1))
            )
            if gpu:
                peak = int((1.32e9 if old else 1.75e9) if train else (0.06e9 if old else 0.64e9))
                run.environment.gpu_names = ["Simulated GPU"]
                run.environment.gpu_driver = "550.54"
                run.measurement.gpus = [
                    GpuUse(
                        0,
                        "Simulated GPU",
                        "GPU-0",
                        peak,
                        "nvml sampled",
                        int(peak * 0.6),
                        int(peak * 0.8),
                        48.0,
                        71.0,
                        wall * 41,
                    )
                ]
            write_run(folder, run, timeline_of(run, generator, gpu))
            at += wall + 0.5
    return folder


if __name__ == "__main__":
    write_study(Path(sys.argv[1]), gpu="--gpu" in sys.argv)
