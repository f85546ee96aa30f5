"""The quality gate: figures on labelled data, held against what is demanded."""

from __future__ import annotations

import json

import pytest

from stackyard_task.channel import BadInput, Channel, GateClosed
from stackyard_task.workloads import checked
from tests.stackyard_detector.declared import WORKLOADS

pytest.importorskip("torch")
pytest.importorskip("safetensors")
from stackyard_detector.detector import gate, workloads

pytestmark = pytest.mark.torch

NORMAL = [" ".join(str((start + step) % 6) for step in range(14)) for start in range(6)] * 10
ODD = ["0 1 2 3 4 0 0 0 0 5 1 2", "5 5 5 5 5 5 5 5"]


class Listener(Channel):
    def __init__(self):
        super().__init__()
        self.phases, self.said = [], {}

    def phase(self, name):
        self.phases.append(name)

    def results(self, **values):
        self.said.update(values)


def source(path, lines, label=None):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    given = {"path": str(path), "format": "sequences"}
    return given if label is None else {**given, "label": label}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    given = {
        "data": {"sources": [source(folder / "normal", NORMAL, 0)]},
        "history": 3,
        "hidden_size": 12,
        "layers": 1,
        "batch_size": 64,
        "epochs": 30,
    }
    workloads.train(checked(WORKLOADS["detector-train"], given), Channel(), folder)
    return folder / "model"


def evaluate(folder, model, sources, listener=None, **parameters):
    listener = listener or Listener()
    folder.mkdir(exist_ok=True)
    given = {"data": {"sources": sources}, "model": str(model), **parameters}
    gate.evaluate(checked(WORKLOADS["detector-evaluate"], given), listener, folder)
    return listener


def labelled(folder):
    return [source(folder / "n", NORMAL[:6], 0), source(folder / "o", [*ODD, NORMAL[0]], 1)]


def test_good_enough_figures_pass(model, tmp_path):
    listener = evaluate(
        tmp_path / "out", model, labelled(tmp_path), minimum_recall=0.5, maximum_false_alarm_rate=0.01
    )
    assert listener.said["gate"] == "passed"
    assert (listener.said["precision"], listener.said["fpr"]) == (1.0, 0.0)
    assert listener.said["recall"] == pytest.approx(2 / 3)
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["passed"] is True
    assert written["demanded"] == {"minimum_recall": 0.5, "maximum_false_alarm_rate": 0.01}
    assert written["figures"]["f1"] == listener.said["f1"]
    assert listener.phases == ["data", "warmup", "steady", "finish"]


def test_too_poor_figures_close_the_gate_and_are_kept(model, tmp_path):
    listener = Listener()
    demanded = {"minimum_recall": 0.9, "minimum_precision": 0.9}
    with pytest.raises(GateClosed) as closed:
        evaluate(tmp_path / "out", model, labelled(tmp_path), listener, **demanded)
    assert str(closed.value) == (
        "the network verdicts are not good enough: recall 0.6667, at least 0.9 is demanded"
    )
    assert listener.said["gate"] == "closed"
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["passed"] is False
    assert (tmp_path / "out" / "verdicts.csv").exists()


def test_a_figure_that_is_not_defined_meets_no_demand(model, tmp_path):
    with pytest.raises(GateClosed, match="false-alarm rate is not defined on this data"):
        evaluate(tmp_path / "out", model, [source(tmp_path / "o", ODD, 1)], maximum_false_alarm_rate=0.5)


def test_verdicts_of_network_and_rules_together_can_be_judged(model, tmp_path):
    listener = evaluate(tmp_path / "out", model, labelled(tmp_path), judged="combined")
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["judged"] == "combined"
    assert "combined_f1" in listener.said


def test_data_without_labels_is_refused(model, tmp_path):
    with pytest.raises(BadInput, match="no labels"):
        evaluate(tmp_path / "out", model, [source(tmp_path / "n", NORMAL)])


@pytest.mark.parametrize("judged", ["network", "rules", "combined"])
def test_an_early_detection_rate_is_good_when_it_is_small(model, tmp_path, judged):
    """ODD's alarms need 6 of 12 and 4 of 8 events, or fewer: half of each session."""
    data = [source(tmp_path / "n", NORMAL[:6], 0), source(tmp_path / "o", ODD, 1)]
    evaluate(tmp_path / "early", model, data, judged=judged, maximum_early_detection_rate=1.0)
    with pytest.raises(GateClosed, match=r"early detection rate .*, at most 0.01 is demanded"):
        evaluate(tmp_path / "late", model, data, judged=judged, maximum_early_detection_rate=0.01)


def test_what_inference_notes_is_passed_on():
    notes = []
    channel = Listener()
    channel.note = notes.append
    gate._Overheard(channel).note("all events are one")
    assert notes == ["all events are one"]
