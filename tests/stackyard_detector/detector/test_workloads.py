"""The two workloads from files to files, and what they say to input that cannot be used."""

from __future__ import annotations

import csv
import json

import pytest

from stackyard_task.channel import BadInput, Channel
from stackyard_task.workloads import checked
from tests.stackyard_detector.declared import WORKLOADS

pytest.importorskip("torch")
pytest.importorskip("safetensors")
from stackyard_detector.detector import model_file, whole_files, workloads

pytestmark = pytest.mark.torch


ALARM_FILES = ["alarms.html", "alerts.cef", "alerts.ecs.jsonl", "alerts.jsonl"]


class Listener(Channel):
    """Keeps phases and results."""

    def __init__(self):
        super().__init__()
        self.phases, self.said, self.steps, self.notes = [], {}, 0, []

    def phase(self, name):
        self.phases.append(name)

    def step(self, seconds):
        self.steps += 1

    def results(self, **values):
        self.said.update(values)

    def note(self, sentence):
        self.notes.append(sentence)


def sequences(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def source(path, label=None):
    given = {"path": str(path), "format": "sequences"}
    return given if label is None else {**given, "label": label}


NORMAL = [" ".join(str((start + step) % 6) for step in range(14)) for start in range(6)] * 10
ODD = ["0 1 2 3 4 0 0 0 0 5 1 2", "5 5 5 5 5 5 5 5", "0 1 2 3 4 99 0 1"]


def train(folder, sources, **parameters):
    listener = Listener()
    folder.mkdir(exist_ok=True)
    given = {"data": {"sources": sources}, "history": 3, "hidden_size": 12, "layers": 1, "batch_size": 64}
    given["start_padding"] = False
    given.update(parameters)
    workloads.train(checked(WORKLOADS["detector-train"], given), listener, folder)
    return listener


def infer(folder, model, sources, **parameters):
    listener = Listener()
    folder.mkdir(exist_ok=True)
    given = {"data": {"sources": sources}, "model": str(model), **parameters}
    workloads.infer(checked(WORKLOADS["detector-infer"], given), listener, folder)
    return listener


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    data = [source(sequences(folder / "normal", NORMAL), 0)]
    listener = train(folder / "out", data, epochs=30, checkpoint_seconds=0)
    return folder / "out" / "model", listener


def test_training_leaves_a_calibrated_model(trained):
    folder, listener = trained
    assert listener.phases == ["data", "warmup", "steady", "finish"]
    detector = model_file.load(folder)
    assert detector.k == listener.said["k"] == 1
    assert detector.provenance["seed"] == 1
    assert len(detector.provenance["data_sha256"]) == 64
    assert listener.said["validation_sessions"] == 12
    assert listener.said["training_sessions"] == 48
    assert listener.said["validation_loss"] < 0.5
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("scorer", ["fast", "torch"])
def test_inference_writes_a_verdict_for_every_session(trained, tmp_path, scorer):
    data = [source(sequences(tmp_path / "n", NORMAL[:6]), 0), source(sequences(tmp_path / "o", ODD), 1)]
    listener = infer(tmp_path / "out", trained[0], data, scorer=scorer, events_per_batch=40, passes=2)
    assert listener.phases == ["data", "warmup", "steady", "finish"]
    assert listener.steps == 6
    with (tmp_path / "out" / "verdicts.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["verdict"] for row in rows] == ["0"] * 6 + ["1"] * 3
    assert [row["first_miss_index"] for row in rows[6:]] == ["5", "3", "5"]
    assert [row["label"] for row in rows] == ["0"] * 6 + ["1"] * 3
    assert rows[-1]["length"] == "8"
    said = listener.said
    assert (said["sessions"], said["malicious_verdicts"], said["unknown_events"]) == (9, 3, 1)
    assert (said["precision"], said["recall"]) == (1.0, 1.0)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        ["curves.json", "evaluation.html", "verdicts.csv", *ALARM_FILES]
    )


def test_inference_without_labels_reports_no_metrics(trained, tmp_path):
    listener = infer(tmp_path / "out", trained[0], [source(sequences(tmp_path / "n", NORMAL))])
    assert listener.said["malicious_verdicts"] == 0
    assert "precision" not in listener.said


def test_a_larger_k_forgives_more(trained, tmp_path):
    data = [source(sequences(tmp_path / "o", ODD), 1)]
    assert infer(tmp_path / "out", trained[0], data, k=6).said["malicious_verdicts"] == 1  # the unknown event


def test_alarms_are_told_without_labels_too_and_bounded(trained, tmp_path):
    data = [source(sequences(tmp_path / "n", NORMAL)), source(sequences(tmp_path / "o", ODD))]
    said = infer(tmp_path / "all", trained[0], data).said
    assert (said["alerts"], said["alerts_left_out"]) == (3, 0)
    alarms = alerts_in(tmp_path / "all")
    assert [alarm["label"] for alarm in alarms] == [None] * 3
    assert [alarm["score"] for alarm in alarms] == sorted((alarm["score"] for alarm in alarms), reverse=True)
    assert all(alarm["score"] > alarm["threshold"] for alarm in alarms)
    unknown = next(alarm for alarm in alarms if alarm["events"] == 8 and not alarm["unexpected"][0]["known"])
    assert (unknown["look_at"], unknown["unexpected"][0]["name"]) == (5, "99")
    assert unknown["unexpected"][0]["expected"][0]["name"] == "5"
    assert unknown["model"]["trained_at"].endswith("Z")
    assert unknown["data"]["sha256"] != unknown["model"]["trained_on_data_sha256"]
    said = infer(tmp_path / "one", trained[0], data, max_alerts=1).said
    assert (said["alerts"], said["alerts_left_out"]) == (1, 2)
    assert alerts_in(tmp_path / "one")[0]["id"] == alarms[0]["id"]
    said = infer(tmp_path / "none", trained[0], data, max_alerts=0).said
    assert "alerts" not in said
    assert [path.name for path in (tmp_path / "none").iterdir()] == ["verdicts.csv"]


def alerts_in(folder):
    return [json.loads(line) for line in (folder / "alerts.jsonl").read_text(encoding="utf-8").splitlines()]


def test_alarms_of_raw_lines_tell_the_text_of_events(tmp_path):
    usual, odd = tmp_path / "usual.log", tmp_path / "odd.log"
    steps = ["opened door {n}", "walked {n} steps through", "closed door {n}"] * 3
    sequences(usual, [f"key{key} {step.format(n=key)}" for key in range(30) for step in steps])
    sequences(odd, [f"key1 {step.format(n=1)}" for step in [*steps[:4], "window {n} fell out", *steps[4:]]])
    lines = {"format": "lines", "key_pattern": r"^(key\d+)", "message_pattern": r"^key\d+ (.*)"}
    train(tmp_path / "t", [{"path": str(usual), "label": 0, **lines}], epochs=1)
    infer(tmp_path / "i", tmp_path / "t" / "model", [{"path": str(odd), **lines}])
    (alarm,) = alerts_in(tmp_path / "i")
    texts = [event["text"] for event in alarm["unexpected"][0]["expected"]]
    assert "walked <number> steps through" in texts
    assert "walked" in alarm["unexpected"][0]["after"][0]["text"]


def test_a_template_set_of_prepared_sessions_is_refused_for_raw_lines(tmp_path):
    usual = sequences(tmp_path / "usual.log", ["k1 opened", "k1 closed"])
    lines = {"path": str(usual), "format": "lines", "key_pattern": r"^(k\d)"}
    with pytest.raises(BadInput, match="templates_path is for prepared sessions"):
        train(tmp_path / "t", [lines], templates_path=str(tmp_path / "templates.json"))


def test_events_that_are_all_one_are_noted(tmp_path):
    sequences(tmp_path / "same", ["a a a a"] * 30)
    channel = train(tmp_path / "t", [source(tmp_path / "same", 0)], epochs=1, history=2)
    remark = "all events are one: choose what tells them apart (event_column or event_pattern)"
    assert remark in channel.notes


def test_the_alarms_are_told_as_a_note(trained, tmp_path):
    data = [source(sequences(tmp_path / "odd", ODD))]
    few = infer(tmp_path / "out", trained[0], data, max_alerts=1)
    counted = few.said["alerts"] + few.said["alerts_left_out"]
    shown = "outputs/alarms.html shows the 1 with the highest scores"
    assert few.notes[-1] == f"{counted} alarms of {len(ODD)} sessions; {shown}"
    assert infer(tmp_path / "none", trained[0], data, max_alerts=0).notes == []


def test_malicious_sessions_do_not_train(tmp_path):
    data = [source(sequences(tmp_path / "n", NORMAL), 0), source(sequences(tmp_path / "o", ODD), 1)]
    listener = train(tmp_path / "out", data, epochs=1)
    assert listener.said["malicious_sessions_left_out"] == 3
    assert "99" not in model_file.load(tmp_path / "out" / "model").vocabulary.events


def test_the_same_seed_gives_the_same_model_file(tmp_path):
    data = [source(sequences(tmp_path / "n", NORMAL), 0)]
    for name in ("one", "two"):
        train(tmp_path / name, data, epochs=2)
    one, two = (tmp_path / name / "model" / "model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_an_interrupted_training_is_continued_from_its_checkpoint(tmp_path, monkeypatch):
    data = [source(sequences(tmp_path / "n", NORMAL), 0)]
    train(tmp_path / "whole", data, epochs=4, checkpoint_seconds=0)
    seen = []

    def interrupted(self, *arguments, **named):
        seen.append(arguments)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Listener, "loss", interrupted, raising=False)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "broken", data, epochs=4, checkpoint_seconds=0)
    assert not (tmp_path / "broken" / "model").exists()
    checkpoint = str(tmp_path / "broken" / "checkpoint")
    train(tmp_path / "resumed", data, epochs=4, checkpoint_seconds=0, resume_from=checkpoint)
    whole, resumed = (tmp_path / name / "model" / "model.safetensors" for name in ("whole", "resumed"))
    assert whole.read_bytes() == resumed.read_bytes()


@pytest.mark.parametrize(
    ("lines", "parameters", "sentence"),
    [
        (["1 2 3 4 5"], {}, "at least 2"),
        (["1 2", "2 1", "1 1"], {}, "longer than the history of 3"),
        (NORMAL, {"validation_by": "time"}, "no time"),
        (NORMAL, {"learning_rate": 3e37, "schedule": "constant", "batch_size": 8}, "learning_rate"),
        ([], {}, "empty|no session"),
    ],
)
def test_training_refuses_bad_input_in_one_sentence(tmp_path, lines, parameters, sentence):
    with pytest.raises(BadInput, match=sentence) as caught:
        train(tmp_path / "out", [source(sequences(tmp_path / "data", lines), 0)], **parameters)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "model").exists()


def test_inference_refuses_sessions_that_are_all_too_short(trained, tmp_path):
    with pytest.raises(BadInput, match=r"no session has more events than the model's history of 3"):
        infer(tmp_path / "out", trained[0], [source(sequences(tmp_path / "n", ["0 1 2", "1 2"]))])
    assert not (tmp_path / "out" / "verdicts.csv").exists()


def test_inference_refuses_a_missing_model(tmp_path):
    with pytest.raises(BadInput, match="no model there"):
        infer(tmp_path / "out", tmp_path / "nowhere", [source(sequences(tmp_path / "n", NORMAL))])


def test_labelled_data_without_an_attack_is_refused_unless_asked_for(trained, tmp_path):
    benign = [source(sequences(tmp_path / "n", NORMAL), 0)]
    with pytest.raises(BadInput, match=r"no attack in the test set \(all 60 sessions"):
        infer(tmp_path / "out", trained[0], benign)
    assert list((tmp_path / "out").iterdir()) == []
    said = infer(tmp_path / "asked", trained[0], benign, needs_attack=False).said
    assert said["malicious_verdicts"] == 0
    assert said["recall"] is None


def test_raw_lines_need_the_templates_the_model_was_trained_with(trained, tmp_path):
    lines = {
        "path": str(sequences(tmp_path / "log", ["a 1", "b 1"])),
        "format": "lines",
        "key_pattern": r"(\d)",
    }
    with pytest.raises(BadInput, match="no event templates"):
        infer(tmp_path / "out", trained[0], [lines])


def test_a_disk_that_fills_up_leaves_no_half_written_verdicts(trained, tmp_path, monkeypatch):
    def full(source_path, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_files.os, "replace", full)
    with pytest.raises(BadInput, match="verdicts cannot be written"):
        infer(tmp_path / "out", trained[0], [source(sequences(tmp_path / "n", NORMAL))])
    assert list((tmp_path / "out").iterdir()) == []


def test_start_padding_judges_short_sessions(tmp_path):
    from_the_start = [" ".join(str(step % 6) for step in range(length)) for length in range(8, 14)] * 10
    data = [source(sequences(tmp_path / "n", from_the_start), 0)]
    train(tmp_path / "t", data, epochs=30, start_padding=True, history=4)
    short = [source(sequences(tmp_path / "s", ["0 1", "0 5", "9"]))]
    listener = infer(tmp_path / "i", tmp_path / "t" / "model", short)
    assert listener.said["sessions_without_target"] == 0
    with (tmp_path / "i" / "verdicts.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["first_miss_index"] for row in csv.DictReader(stream)] == ["", "1", "0"]


def test_every_parameter_of_the_workload_is_described():
    for name in ("detector-train", "detector-infer"):
        for parameter in WORKLOADS[name].parameters:
            assert parameter.help
            json.dumps(parameter.default)


def test_shards_together_judge_every_session_once_and_as_the_whole_does(trained, tmp_path):
    folder, _ = trained
    data = [
        source(sequences(tmp_path / "good", NORMAL[:9]), 0),
        source(sequences(tmp_path / "bad", ODD), 1),
    ]
    whole = infer(tmp_path / "whole", folder, data)
    parts = [infer(tmp_path / str(n), folder, data, shard=n, shards=2) for n in (1, 2)]

    def verdicts(name):
        with (tmp_path / name / "verdicts.csv").open(encoding="utf-8") as stream:
            return sorted(tuple(row.values()) for row in csv.DictReader(stream))

    assert sorted(verdicts("1") + verdicts("2")) == verdicts("whole")
    assert [part.said["sessions"] for part in parts] == [6, 6]
    assert sum(part.said["targets"] for part in parts) == whole.said["targets"]
    with pytest.raises(BadInput, match="shard is 3 of 2"):
        infer(tmp_path / "none", folder, data, shard=3, shards=2)
    with pytest.raises(BadInput, match="12 sessions cannot be split into 13"):
        infer(tmp_path / "none", folder, data, shards=13)


def test_both_scorers_and_any_batches_give_the_same_verdicts_of_all_parts(trained, tmp_path):
    mixed = [" ".join(line.split()[: 4 + row % 9]) for row, line in enumerate(NORMAL)] + ODD
    data = [source(sequences(tmp_path / "mixed", [*mixed, *NORMAL[:9]]))]

    def verdicts(name, **how):
        infer(tmp_path / name, trained[0], data, **how)
        with (tmp_path / name / "verdicts.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        said = (
            "verdict",
            "first_miss_index",
            "rules_verdict",
            "combined_verdict",
            "combined_first_alarm_index",
        )
        return [[row[column] for column in said] for row in rows]

    fast = verdicts("fast")
    assert {row[3] for row in fast} == {"0", "1"}
    assert verdicts("torch", scorer="torch") == fast
    assert verdicts("batches", events_per_batch=7) == fast


def test_a_k_that_forgives_unknown_events_is_refused(trained, tmp_path):
    data = [source(sequences(tmp_path / "o", ODD), 1)]
    with pytest.raises(BadInput, match="k is 7, and the model knows 6 events"):
        infer(tmp_path / "out", trained[0], data, k=7)
