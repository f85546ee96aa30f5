"""What a reader is told of compared tasks."""

from __future__ import annotations

from stackyard.comparing import remarks
from stackyard.reports.warning_codes import ADVICE
from stackyard_task.ordinary import spec_of
from stackyard_task.wishes import Choice
from tests.stackyard.comparing.lab import Lab, codes, measured


def test_advice_for_tasks_is_of_warnings_that_there_are() -> None:
    assert [code for code in remarks.ADVICE if code not in ADVICE] == []


def test_groups_of_one_and_of_few_are_told(lab: Lab) -> None:
    for n in (1, 1, 2):
        lab.task({"Args/n": n}, {"loss/val": [1.0]})
    told = codes(lab.compared("Args/n"))
    assert told["groups-of-one"] == "1 of 2 groups with one task alone: 2."
    assert "(n = 2)" in told["too-few-runs"]
    assert "code-differs" not in told
    assert "machines-differ" not in told


def test_other_code_is_told_also_where_it_is_uncommitted(lab: Lab) -> None:
    script = {"repository": "https://git/x", "version_num": "1" * 40, "entry_point": "train.py"}
    for n, diff in enumerate(("", "", "+ lr = 2")):
        lab.task({"Args/n": n % 2}, script={**script, "diff": diff})
    assert codes(lab.compared("Args/n"))["code-differs"] == "2 versions of the code, within 1 group."


def test_a_task_run_by_hand_and_its_measured_copy_have_one_version_of_the_code(lab: Lab) -> None:
    script = {
        "repository": "https://git/x",
        "version_num": "1" * 40,
        "entry_point": "train.py",
        "diff": "+ x = 1\n",
    }
    lab.task({"Args/n": 1}, {"loss/val": [1.0]}, script=script)
    choice = Choice("python3")
    run = measured()
    run.environment.code_own_digest = spec_of({"id": "a", "script": script}, [], choice).code.own_digest
    lab.task({"Args/n": 1}, {"loss/val": [1.0]}, run=run, script=script)
    assert "code-differs" not in codes(lab.compared("Args/n"))
    lab.task({"Args/n": 2}, {"loss/val": [1.0]}, script={**script, "diff": "+ x = 2\n"})
    assert codes(lab.compared("Args/n"))["code-differs"] == "2 versions of the code, between groups."


def test_other_data_and_machines_are_told(lab: Lab) -> None:
    for n in range(4):
        run = measured()
        run.environment.host = f"yard-{n % 2}"
        lab.task({"Args/n": n % 2, "Datasets/digits": "v1" if n < 2 else "v2"}, run=run)
    report = lab.compared("Args/n")
    told = codes(report)
    assert told["data-differ"] == "2 sets of inputs, within 2 groups."
    assert told["machines-differ"] == "2 machines, between groups."
    assert len(report.workloads[0].cells) == 2, "machines make no groups unless somebody asks"
    assert "machines-differ" not in codes(lab.compared("Args/n,machine"))


def test_units_that_contradict_each_other_are_told_and_never_converted(lab: Lab) -> None:
    lab.task({"Args/n": 1}, {"latency/p50 (ms)": [5.0]})
    lab.task({"Args/n": 1}, {"latency/p50 (s)": [0.005]})
    report = lab.compared("Args/n")
    assert codes(report)["units-differ"].endswith("several units: latency/p50 (ms), latency/p50 (s).")
    metrics = report.workloads[0].cells[0].metrics
    assert metrics["results.latency/p50 (ms)"].values == [5.0]
    assert codes(report)["metrics-missing"].endswith("latency/p50 (ms) (by 1), latency/p50 (s) (by 1).")


def test_parameters_within_groups_are_told_unless_they_are_all_alike(lab: Lab) -> None:
    for seed in range(2):
        lab.task({"Args/n": 1, "Args/seed": seed, "Args/batch": 8, "General/net": f"n{seed}"})
    told = codes(lab.compared("Args/n"))["parameters-mixed"]
    assert "Args/seed (up to 2 values)" in told
    assert "General/net" in told
    assert "batch" not in told


def test_of_many_scalars_the_commonest_are_compared_and_the_rest_is_named(lab: Lab) -> None:
    lab.task({"Args/n": 1}, {f"m/v{n:02d}": [1.0] for n in range(30)} | {":monitor:machine/cpu": [1.0]})
    lab.task({"Args/n": 1}, {"m/v29": [1.0]})
    report = lab.compared("Args/n")
    own = [metric.key for metric in report.metrics if metric.group == "own"]
    assert own[0] == "results.m/v29"
    assert len(own) == 20
    assert codes(report)["metrics-left-out"].startswith("10 further scalars not compared: m/v19, ")


def test_what_is_no_number_to_compare_is_left_out_and_told(lab: Lab) -> None:
    lab.task({"Args/n": 1}, {"l/v": [1e308], "t/t": [5e-324]})
    lab.task({"Args/n": 1}, {"l/v": [3.0], "t/t": [0.0]})
    lab.task({"Args/n": 2}, {"l/v": [-1e308], "t/t": [1e-9]})
    report = lab.compared("Args/n", metrics=["l/v", "t/t"])
    assert [
        summary.values
        for cell in report.workloads[0].cells
        if (summary := cell.metrics.get("results.l/v")) is not None
    ] == [[3.0]]
    assert codes(report)["not-finite"].endswith("left out: l/v in 2 tasks, t/t in 1 task.")


def test_scripts_of_one_commit_are_one_version_of_the_code(lab: Lab) -> None:
    for n in range(2):
        script = {"repository": "https://git/x", "version_num": "1" * 40, "entry_point": f"work{n}.py"}
        lab.task({"Args/n": n}, script=script)
    assert "code-differs" not in codes(lab.compared("Args/n"))


def test_variables_that_change_memory_are_told_where_groups_have_others(lab: Lab) -> None:
    for n in range(2):
        run = measured()
        run.environment.tunables = {"MALLOC_TRIM_THRESHOLD_": str(n)}
        lab.task({"Args/n": n}, run=run)
    told = codes(lab.compared("Args/n"))["tunables-differ"]
    assert told == "2 sets of variables that change speed or memory, between groups."
