"""The summary of one run at a terminal: ten lines at most, and none that says nothing or too much."""

from __future__ import annotations

from pathlib import Path

from stackyard.reports import summary
from stackyard_task.records import Environment, Failure, GpuUse, Measurement, RunRecord, StepTimes

FOLDER = Path("runs/train-1")


def record(**fields: object) -> RunRecord:
    found = RunRecord("r", "train", "completed", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00")
    found.measurement = Measurement(wall_seconds=2.0, cpu_seconds=1.0, peak_rss_bytes=10**8)
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def test_what_is_not_known_has_no_line() -> None:
    bare = record(measurement=Measurement(), failure=Failure("bad_input", "there is no command 'x'"))
    assert summary.lines(bare, FOLDER) == [
        "train: there is no command 'x'",
        "record    runs/train-1/record.json",
    ]
    said = summary.lines(record(environment=Environment(packages={"small": "1.0"})), FOLDER)
    assert not any("None" in line or line.endswith(("–", ",", " ")) for line in said)
    assert not any(line.startswith("loaded") for line in said)


def test_ten_lines_are_enough_however_much_there_is() -> None:
    full = record(
        measurement=Measurement(
            wall_seconds=2.0,
            startup_seconds=0.5,
            cpu_seconds=1.0,
            cpu_percent_of_core=50.0,
            peak_rss_bytes=10**8,
            gpus=[GpuUse(index=n, peak_memory_bytes=(n + 1) * 10**9) for n in range(8)],
            steps=StepTimes(10, 0.1, 0.1, 0.2),
        ),
        environment=Environment(python="3.11.7", packages={"torch": "2.13.0"}, allowed_cores=2.0),
        results={f"metric{n}": n / 3 for n in range(20)},
        notes=["one", "two"],
        not_understood=3,
    )
    said = summary.lines(full, FOLDER)
    assert len(said) == summary.MOST_LINES
    assert "peak GPU  8.00\u00a0GB on GPU 7, the most of 8" in said
    assert said[-2].endswith("more in the record")
    assert said[-1] == "record    runs/train-1/record.json"
    few = summary.lines(record(results={"accuracy": 0.97}, notes=["a note"]), FOLDER)
    assert few[-3:] == ["note      a note", "accuracy = 0.9700", "record    runs/train-1/record.json"]


def test_the_reason_and_the_path_are_whole_and_what_a_script_says_is_cut_and_plain() -> None:
    reason = "a long sentence " * 20
    place = Path("x" * 200)
    said = summary.lines(record(failure=Failure("code", reason), results={"a\x1b[31m": "b\n" * 200}), place)
    assert said[0] == f"train: {reason}"
    assert said[-1] == f"record    {place}/record.json"
    assert len(said[-2]) == 110
    assert said[-2].isprintable()
