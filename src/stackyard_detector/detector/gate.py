"""The workload detector-evaluate: what a trained detector is worth on labelled sessions, and whether that is enough.

An inference on labelled data whose figures are kept in ``evaluation.json`` and held against what is demanded. Figures
come from ``evaluation`` by way of ``workloads.infer``; nothing is computed here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from stackyard_detector.detector import evaluation, workloads
from stackyard_task import records
from stackyard_task.channel import BadInput, Channel, GateClosed

API_VERSION = 1
EVALUATION_FILE = "evaluation.json"
#: Parameter -> (figure, whether the figure must be at least or at most that, what it is called).
DEMANDS = {
    "minimum_f1": ("f1", 1, "F1"),
    "minimum_precision": ("precision", 1, "precision"),
    "minimum_recall": ("recall", 1, "recall"),
    "maximum_false_alarm_rate": ("fpr", -1, "false-alarm rate"),
    "maximum_early_detection_rate": ("early_detection_rate", -1, "early detection rate"),
}
#: Parameters that inference takes from the evaluation's, and those that an evaluation leaves as they are.
_INFERENCE = ("model", "data", "k", "scorer", "events_per_batch", "quarantine_limit")
_WHOLE_ONCE = {"passes": 1, "needs_attack": True, "shards": 1, "shard": 1, "max_alerts": 0}


class _Overheard(Channel):
    """A channel that passes everything on and remembers the results."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.heard: Dict[str, Any] = {}
        self.phase = channel.phase  # type: ignore[method-assign]
        self.step = channel.step  # type: ignore[method-assign]
        self.progress = channel.progress  # type: ignore[method-assign]
        self.note = channel.note  # type: ignore[method-assign]
        self._results = channel.results

    def results(self, **values: Any) -> None:
        """Remember and pass on."""
        self.heard.update(values)
        self._results(**values)


def evaluate(parameters: Mapping[str, Any], channel: Channel, output_folder: Path) -> None:
    """Figures of a detector on labelled sessions; a failure where they are below what is demanded.

    Leaves ``evaluation.json`` and ``verdicts.csv``, also where the demands are not met.

    Raises:
        BadInput: model, data or parameters cannot be used, or the data has no labels.
        GateClosed: a figure is below (or above) what is demanded.
    """
    heard = _Overheard(channel)
    inference = {**_WHOLE_ONCE, **{name: parameters[name] for name in _INFERENCE}}
    workloads.infer(inference, heard, Path(output_folder))
    figures = heard.heard
    if "precision" not in figures:
        raise BadInput(
            "the test data has no labels, nothing can be said of detection; name a label_column in its source"
        )
    judged = parameters["judged"]
    missed = failings(figures, parameters)
    about = {
        "api_version": API_VERSION,
        "judged": judged,
        "demanded": {name: parameters[name] for name in DEMANDS if parameters[name] is not None},
        "passed": not missed,
        "missed": missed,
        "figures": figures,
    }
    records.write_json(about, Path(output_folder) / EVALUATION_FILE)
    channel.results(gate="passed" if not missed else "closed")
    if missed:
        raise GateClosed(f"the {judged} verdicts are not good enough: {'; '.join(missed)}")


def failings(figures: Mapping[str, Any], parameters: Mapping[str, Any]) -> List[str]:
    """What is not as demanded, one clause each; a figure that is not defined meets no demand."""
    found: List[str] = []
    prefix = evaluation.PREFIXES[parameters["judged"]]
    for name, (figure, direction, called) in DEMANDS.items():
        demanded: Optional[float] = parameters[name]
        if demanded is None:
            continue
        value = figures.get(prefix + figure)
        bound = f"at {'least' if direction > 0 else 'most'} {demanded:g} is demanded"
        if value is None:
            found.append(f"{called} is not defined on this data, {bound}")
        elif direction * (value - demanded) < 0:
            found.append(f"{called} {value:.4g}, {bound}")
    return found
