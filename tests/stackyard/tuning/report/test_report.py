"""The files of a study's report: what a reader must find in them, hostile text, nothing there, very much there."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.tuning import notes
from stackyard.tuning import report as reports
from stackyard.tuning.report import csv_report, html, json_report, loading, markdown, recorded, wording
from stackyard.tuning.trial import QUANTITIES, Interval, Reason, Trial
from stackyard_task import records
from stackyard_task.criteria import NAMES, Criteria, not_judged
from stackyard_task.records import RunRecord
from tests.stackyard.tuning.report.synthetic import completed, many, mixed, put, report, study

EVIL = "<script>alert(1)</script>\"'&{{ 7777*3 }}|`*_"


class Page(HTMLParser):
    """The texts and tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.text = re.sub(r"[\s\u00a0]+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def count(self, tag: str, kind: str) -> int:
        return sum(name == tag and kind in (found.get("class") or "").split() for name, found in self.tags)


def test_the_page_says_what_was_searched_found_stopped_and_predicted() -> None:
    page = Page(html.render(report(mixed(), axes={"deployment": "bare", "stack": "torch-cpu"})))
    for words in (
        "2 completed",
        "t0002: accuracy 0.9 with lr=0.02 batch=32 optimiser=adam",
        "0.001 to 1 (log scale)",
        "8, 32, 128",
        "limit of a trial: peak RAM 500 MB",
        "9 trials, 2.00 h of CPU",
        "sampler tpe",
        "median (warmup 3)",
        "seed 7",
        "stack torch-cpu",
        "its peak RAM was 512 MB, 500 MB allowed",
        "peak RAM stopped 500 MB 1 4.00 s",
        "pruner stopped – 1 2.00 s – 0 of 1",
        "peak RAM skipped before the start, as predicted 500 MB 1 0 s – 0 of 1",
        "It is an estimate",
        "CPU time before the start 30 % 46 % 2 50 % 2",
        "5.00 s [4.00 s, 6.00 s], outside",
        "11.0 s [9.00 s, 12.0 s]",
        "median 0.200 s",
        "ValueError: no such thing",
        "1 trial skipped; none of those was run all the same to see.",
    ):
        assert words in page.text, words
    assert page.count("polyline", "stopped") == 2  # the courses of stopped trials, each ending in a mark
    assert page.count("path", "stopped") == 4  # there, and where it is drawn what trials used
    assert "predicted" in page.text


def test_the_front_of_two_objectives_is_drawn_and_what_is_beaten_is_pale() -> None:
    trials = [completed(i, accuracy, cpu) for i, (accuracy, cpu) in enumerate([(0.9, 9), (0.8, 3), (0.7, 5)])]
    for trial in trials:
        trial.values["cpu_seconds"] = trial.used["cpu_seconds"]
    page = Page(html.render(report(trials, study(accuracy="maximise", cpu_seconds="minimise"))))
    assert "The front" in page.text
    assert "t0001: accuracy 0.9, CPU time 9.00 s" in page.text
    assert "t0003: accuracy" not in page.text.split("Course and trials")[0]
    assert page.count("circle", "dominated") == 1
    assert page.count("polyline", "front") == 1
    assert page.count("tr", "none") == 0


def test_one_dimension_and_one_trial_are_drawn() -> None:
    page = Page(html.render(report([completed(0, 0.5)], study(study().study["space"][:1]))))
    assert "Parameters and accuracy" in page.text
    assert page.count("polyline", "best") == 3


def test_a_study_of_which_nothing_completed_says_so() -> None:
    for trials in ([], [Trial(0, {"lr": 0.1}, "planned")], mixed()[2:]):
        made = report(trials, study(state="running"))
        assert "No trial has completed" in Page(html.render(made)).text
        assert "No trial has completed" in markdown.render(made)
        assert json_report.to_json(made)["best"] == []
        assert len(csv_report.render(made).splitlines()) == len(trials) + 1
    assert "under way, or its tuner was killed" in Page(html.render(made)).text


def test_what_was_not_measured_is_a_dash_and_no_zero() -> None:
    bare = Trial(0, {"lr": 0.1}, "completed", {"accuracy": 0.5})
    page = html.render(report([bare]))
    row = re.search(r"<tr data-t=\"0\">.*?</tr>", page, re.DOTALL)
    assert row is not None
    assert row[0].count("–") == 4  # CPU time, wall time, RAM, the tuner's own time
    table = next(csv.DictReader(io.StringIO(csv_report.render(report([bare])))))
    assert table["overhead_seconds"] == ""
    assert "used.cpu_seconds" not in table


def test_simulated_counters_are_called_so() -> None:
    trial = completed(0, 0.5)
    trial.used["energy_joules"] = 12.0
    made = report([trial], simulated=["energy_joules"])
    page = Page(html.render(made)).text
    assert "Simulated counters: energy" in page
    assert "energy (simulated)" in page
    assert "simulated" in markdown.render(made)
    assert json_report.to_json(made)["simulated"] == ["energy_joules"]


def test_text_of_files_and_runs_stays_text() -> None:
    trial = completed(0, 0.5)
    trial.parameters = {EVIL: EVIL, "=cmd": "=1+1"}
    trial.reason = Reason("code", EVIL)
    trial.values = {EVIL: 0.5}
    trial.predicted = {"cpu_seconds": Interval(1.0, 1.0, 1.0)}
    space = [{"kind": "choice", "name": EVIL, "values": [EVIL, "b"]}]
    file = study(space, **{EVIL: "maximise"})
    file.title = file.name = file.message = EVIL
    made = report([trial, *mixed()[2:]], file, axes={EVIL: EVIL})
    text = html.render(made)
    page = Page(text)
    assert "<script>alert" not in text
    assert [name for name, _ in page.tags].count("script") == 1
    assert not [tag for tag, found in page.tags if any(key.startswith("on") for key in found)]
    assert "23331" not in text
    assert "<script>" not in markdown.render(made)
    rows = list(csv.reader(io.StringIO(csv_report.render(made))))
    assert not [field for row in rows for field in row if field.startswith("=")]
    assert json.loads(json_report.render(made))["name"] == EVIL


def test_the_page_asks_for_nothing_and_lets_its_own_script_run_only() -> None:
    text = html.render(report(mixed()))
    page = Page(text)
    assert not [tag for tag, found in page.tags if "src" in found]
    assert all(str(found["href"]).startswith(("#", "data:")) for _, found in page.tags if "href" in found)
    policy = next(str(found["content"]) for _, found in page.tags if found.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_a_row_for_each_trial_with_all_that_is_known() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_report.render(report(mixed())))))
    assert [row["trial"] for row in rows] == [f"t{i:04d}" for i in range(1, 7)]
    assert [row["best"] for row in rows] == ["false", "true", "false", "false", "false", "false"]
    assert rows[2]["reason.quantity"] == "ram_bytes"
    assert rows[2]["predicted_early.cpu_seconds.high"] == "16.0"
    assert rows[4]["used.cpu_seconds"] == ""
    assert rows[0]["parameter.optimiser"] == "adam"


def test_json_has_every_trial_and_no_courses() -> None:
    said = json.loads(json_report.render(report(mixed())))
    assert (said["kind"], said["api_version"]) == ("stackyard-study-report", 1)
    assert said["best"] == ["t0002"]
    assert [trial["state"] for trial in said["trials"]] == [t.state for t in mixed()]
    assert "course" not in said["trials"][0]
    assert said["ended"][0]["saved_cpu_seconds"] is None or said["ended"][0]["predicted"] >= 1


def test_infinities_do_not_get_into_json() -> None:
    trial = completed(0, 0.5)
    trial.predicted = {"cpu_seconds": Interval(1.0, 0.0, float("inf"))}
    assert (
        json.loads(json_report.render(report([trial])))["trials"][0]["predicted"]["cpu_seconds"]["high"]
        is None
    )
    assert "[0 s, ∞]" in Page(html.render(report([trial]))).text


def test_ten_thousand_trials_are_a_page_of_bounded_size_that_says_what_it_leaves_out() -> None:
    made = report(many(10_000))
    begun = time.process_time()
    text = html.render(made)
    assert time.process_time() - begun < 5
    assert len(text) < 3_000_000
    page = Page(text).text
    assert "1,000 of 10,000 trials" in page
    assert page.count("Drawn: ") == 5
    best = min((-t.values["accuracy"], t.number) for t in made.trials if t.state == "completed")[1]
    assert f't{best + 1:04d} <span class="badge parity">best' in text
    assert len(markdown.render(made)) < 30_000


def test_files_are_written_beside_the_study_or_elsewhere(tmp_path: Path) -> None:
    put(tmp_path / "study", mixed())
    paths = reports.write(tmp_path / "study")
    assert {ending: path.name for ending, path in paths.items()} == {
        ending: f"report.{ending}" for ending in ("html", "json", "csv", "md")
    }
    assert all(path.parent == tmp_path / "study" for path in paths.values())
    elsewhere = reports.write(tmp_path / "study", tmp_path / "new" / "place")
    assert elsewhere["md"].read_text() == paths["md"].read_text()


def test_without_the_extra_an_earlier_page_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "study", mixed())
    page = reports.write(tmp_path / "study")["html"]
    monkeypatch.setattr("stackyard.extras.why_not", lambda extra: "it is not installed")
    assert set(reports.write(tmp_path / "study")) == {"json", "csv", "md"}
    assert not page.exists()


def test_a_folder_without_a_study_gets_no_report(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="holds no study"):
        reports.write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_report_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    put(tmp_path / "study", mixed())
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot be written to"):
        reports.write(tmp_path / "study", tmp_path / "file" / "below")


def test_where_and_how_stands_in_the_records_and_some_of_many_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "MOST_RECORDS", 2)
    trials = many(5)
    place = put(tmp_path / "study", trials)
    for trial in trials:
        run = place.run_of(trial)
        run.mkdir()
        record = {
            "run_id": "r",
            "workload": "w",
            "status": trial.state,
            "started_at": "2026-01-01T00:00:00+00:00",
            "finished_at": "2026-01-01T00:00:01+00:00",
            "cell": {"trial": "t", "stack": "torch-cpu"},
            "measurement": {
                "wall_seconds": 1.0,
                "cpu_method": "cgroup v2",
                "energy_method": "simulated: 15 W",
            },
            "environment": {"host": f"host-{trial.number}"},
        }
        (run / "record.json").write_text(json.dumps(record))
    found = loading.load(tmp_path / "study")
    assert (found.records_read, found.runs) == (2, 5)
    assert found.axes == {"stack": "torch-cpu"}
    assert found.simulated == ["energy_joules"]
    assert next(row for row in found.methods if row.name == "CPU time").values == {"cgroup v2": 2}
    hosts = next(row for row in found.environment if row.name == "Host").values
    assert set(hosts) == {"host-0", "host-4"}


def test_what_was_stopped_as_predicted_is_told_apart_from_what_broke_the_limit() -> None:
    trials = mixed()
    for number in (0, 1):
        trials[number].state = "stopped"
        trials[number].reason = Reason(
            "predicted", "stopped: its RAM would be 620 MB", "ram_bytes", 5e8, 6.2e8
        )
    page = Page(html.render(report(trials))).text
    assert "peak RAM stopped after the first steps, as predicted 500 MB 2 20.0 s" in page
    assert "peak RAM stopped 500 MB 1 4.00 s" in page


def test_what_changed_on_the_way_is_said_first() -> None:
    file = study()
    file.changes = ["after 3 trials: numpy is 2.4, was 2.3"]
    made = report(mixed(), file)
    assert "Changed on the way: after 3 trials: numpy is 2.4" in Page(html.render(made)).text
    assert "after 3 trials" in markdown.render(made)
    assert json_report.to_json(made)["changes"] == file.changes


def test_what_a_stop_saved_is_told_in_hindsight_and_not_by_what_was_guessed_then() -> None:
    trials = [completed(number, 0.5, 10.0) for number in range(6)]
    stopped = completed(6, 0.1, 2.0)
    stopped.state, stopped.reason = "stopped", Reason("pruner", "worse than the median")
    stopped.predicted_early = {"cpu_seconds": Interval(90.0, 30.0, 270.0)}
    (row,) = report([*trials, stopped]).ended
    assert row.saved_cpu_seconds == pytest.approx(8.0, rel=0.1)


@pytest.mark.parametrize("values", [(1.0, 1e308), (5e-324, 1e308), (-1e308, 1e308), (5e-324, 1.0)], ids=str)
def test_any_finite_objective_has_a_page(values: tuple[float, float]) -> None:
    trials = [completed(number, value) for number, value in enumerate(values)]
    assert "2 completed" in Page(html.render(report(trials))).text


def test_why_a_trial_ended_stands_below_its_row_across_the_table_and_says_its_state_once() -> None:
    trials = mixed()
    trials[2].reason = Reason("limit", "stopped at its limit of peak RAM: 512 MB seen", "ram_bytes", 5e8)
    text = html.render(report(trials))
    rows = re.findall(r"<tbody>(<tr data-t.*?)</tbody>", text, re.DOTALL)
    assert len(rows) == len(trials)
    header = re.search(r'<table class="trials">\s*<thead>(.*?)</thead>', text, re.DOTALL)
    assert header is not None
    assert "reason" not in header[1]
    assert f'colspan="{header[1].count("<th")}">at its limit of peak RAM: 512 MB seen</td>' in rows[2]
    assert "colspan" not in rows[0]  # it came to its end
    assert 'colspan="' in rows[4]
    assert "its RAM would be 620 MB" in rows[4]
    assert "skipped: its" not in text
    assert "tall" not in text  # no scrolling inside the page


def test_of_trials_that_tie_the_chart_marks_the_one_that_the_text_names() -> None:
    page = Page(html.render(report([completed(0, 0.5), completed(1, 0.9), completed(2, 0.9)])))
    marked = {
        found["data-t"] for tag, found in page.tags if tag == "circle" and found["class"] == "mark best"
    }
    assert marked == {"1"}
    assert "t0002: accuracy 0.9" in page.text


def test_what_runs_note_is_told_with_how_many_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MOST_NOTES", 2)
    trials = many(3)
    trials[2].state = "failed"
    place = put(tmp_path / "study", trials)
    for trial in trials:
        place.run_of(trial).mkdir()
        said = ["the limit of GPU memory held nothing: there is no GPU", f"odd\n{trial.number}"]
        record = RunRecord("r", "w", trial.state, "2026-01-01", "2026-01-01", notes=said)
        records.write_json(record, place.run_of(trial) / records.RECORD_FILE)
    paths = reports.write(tmp_path / "study")
    told = "the limit of GPU memory held nothing: there is no GPU (3 runs)"
    assert told in Page(paths["html"].read_text()).text
    assert told in paths["md"].read_text()
    noted = json.loads(paths["json"].read_text())["notes"]
    assert noted == {"the limit of GPU memory held nothing: there is no GPU": 3, "odd 0": 1}


def test_one_word_for_one_quantity() -> None:
    assert {*QUANTITIES, "slowing"} == set(wording.LABELS)
    criteria = Criteria(**dict.fromkeys(wording.LABELS, 1000000000.0))
    told = [note.removeprefix("the limit of ") for note in not_judged(criteria, dict.fromkeys(NAMES, ""))]
    assert told == [f"{words} held nothing: " for words in wording.LABELS.values()]
