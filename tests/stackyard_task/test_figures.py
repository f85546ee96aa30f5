"""A record's figures and timeline as pages show them."""

from __future__ import annotations

from stackyard_task import figures
from stackyard_task.records import (
    Course,
    Dispatch,
    GpuCourse,
    GpuUse,
    Measurement,
    PhaseStart,
    RunRecord,
    StepTimes,
    Witness,
)


def record(**fields: object) -> RunRecord:
    whole = RunRecord("r", "w", "completed", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00")
    for name, value in fields.items():
        setattr(whole, name, value)
    return whole


def test_figures_have_human_units_in_their_names_and_nothing_that_was_not_measured() -> None:
    measured = Measurement(
        wall_seconds=2.5,
        peak_rss_bytes=250_000_000,
        steps=StepTimes(10, 0.02, 0.01, 0.05),
        gpus=[GpuUse(1, peak_memory_bytes=3_000_000_000)],
    )
    found = figures.figures(record(measurement=measured))
    assert found == {
        "wall time (s)": 2.5,
        "peak RAM (MB)": 250.0,
        "steps": 10,
        "step time mean (ms)": 20.0,
        "step time median (ms)": 10.0,
        "step time 95th percentile (ms)": 50.0,
        "GPU 1 peak memory (MB)": 3000.0,
    }


def test_results_are_figures_only_where_they_are_finite_numbers() -> None:
    results = {
        "f1": 0.5,
        "sessions": 3,
        "gate": "passed",
        "flag": True,
        "nan": float("nan"),
        "inf": float("inf"),
    }
    assert figures.figures(record(results=results)) == {"f1": 0.5, "sessions": 3}


def test_how_far_a_second_witness_is_off_is_a_figure() -> None:
    seen = Witness("cgroup", cpu_seconds=2.0, cpu_differs_percent=-0.5)
    assert figures.figures(record(witness=seen)) == {"second witness: CPU differs by (%)": -0.5}


def test_the_way_of_a_dispatched_run_is_told_in_seconds() -> None:
    way = Dispatch(
        pulled_at="2026-01-01T00:00:00.000+00:00",
        user_code_at="2026-01-01T00:00:00.750+00:00",
        workload_started_at="2026-01-01T00:00:02.000+00:00",
    )
    assert figures.figures(record(dispatch=way)) == {
        "pulled to user code (s)": 0.75,
        "user code to workload (s)": 1.25,
    }


def test_the_timeline_becomes_lines_on_two_axes_with_its_phases() -> None:
    plot = figures.timeline_plot(
        Course(
            t_seconds=[0.0, 0.1],
            cpu_percent_of_core=[50.0, 100.0],
            rss_bytes=[1_000_000, 2_000_000],
            gpus=[GpuCourse(0, memory_bytes=[None, 5_000_000])],
            phases=[PhaseStart("steady", 0.05)],
        )
    )
    assert plot is not None
    lines = {line["name"]: line for line in plot["data"]}
    assert sorted(lines) == ["CPU (% of a core)", "GPU 0 memory (MB)", "RAM (MB)"]
    assert (lines["RAM (MB)"]["y"], lines["RAM (MB)"]["yaxis"]) == ([1.0, 2.0], "y2")
    assert lines["GPU 0 memory (MB)"]["y"] == [None, 5.0]
    assert plot["layout"]["annotations"][0]["text"] == "steady"
    assert figures.timeline_plot(Course()) is None


def test_names_of_phases_that_begin_together_are_below_each_other() -> None:
    phases = [
        PhaseStart("startup", 0.0),
        PhaseStart("script", 0.4),
        PhaseStart("later", 50),
        PhaseStart("finish", 99.9),
    ]
    plot = figures.timeline_plot(
        Course(t_seconds=[0.0, 100.0], cpu_percent_of_core=[1.0, 2.0], rss_bytes=[1, 1], phases=phases)
    )
    assert plot is not None
    notes = {one["text"]: one for one in plot["layout"]["annotations"]}
    assert [notes[name]["yshift"] for name in ("startup", "script", "later", "finish")] == [0, -15, 0, 0]
    assert notes["finish"]["xanchor"] == "right", "it ends within the plot"
    assert all(one["yanchor"] == "top" for one in notes.values()), "the legend is above them"
    at_once = Course(t_seconds=[3.0], rss_bytes=[1], phases=[PhaseStart("a", 3.0), PhaseStart("b", 3.0)])
    short = figures.timeline_plot(at_once)
    assert short is not None
    assert len({one["yshift"] for one in short["layout"]["annotations"]}) == 2


def test_a_long_timeline_is_thinned_without_losing_its_peak() -> None:
    values = [10.0] * 100_000
    values[77_777] = 999.0
    plot = figures.timeline_plot(
        Course(t_seconds=[i / 10 for i in range(100_000)], cpu_percent_of_core=list(values))
    )
    assert plot is not None
    (line,) = plot["data"]
    assert len(line["x"]) == len(line["y"]) == figures.PLOT_POINTS
    assert line["x"][line["y"].index(999.0)] == 7777.7
    assert line["x"] == sorted(line["x"])


def test_an_instant_that_is_none_has_no_figure() -> None:
    way = Dispatch("t1", pulled_at="yesterday", user_code_at="2026-01-01T00:00:01+00:00")
    assert not [name for name in figures.figures(record(dispatch=way)) if "pulled" in name]
