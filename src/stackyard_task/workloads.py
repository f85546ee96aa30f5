"""The workloads a task can run: their names, entry points and typed, described parameters.

Pure data and its validation: importing this module imports no workload. Our side reads it to check a
scenario before anything starts; the child reads it to find the function to call.

A workload's entry is a function ``(parameters, channel, output_folder) -> None`` that reports through
``channel.Channel`` and writes files only below ``output_folder``.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

#: What a parameter may be. "data": {"sources": [...]} as ``readers`` takes it; "model": a model folder.
KINDS = ("integer", "number", "text", "flag", "choice", "data", "model")


class ParameterError(ValueError):
    """A parameter is unknown or has a value that is not allowed; the message names both."""


@dataclass(frozen=True)
class Parameter:
    """One typed, described parameter of a workload."""

    name: str
    kind: str
    default: Any
    help: str
    low: Optional[float] = None
    high: Optional[float] = None
    choices: Tuple[str, ...] = ()
    required: bool = False
    #: Under which heading a form shows it, beside those it belongs with.
    section: str = "Parameters"

    @property
    def description(self) -> str:
        """What a form says beside the field: the help, and what may be typed."""
        allowed = []
        if self.choices:
            allowed.append("one of " + ", ".join(self.choices))
        elif self.low is not None and self.high is not None:
            allowed.append(f"{self.low:g} to {self.high:g}")
        elif self.low is not None:
            allowed.append(f"at least {self.low:g}")
        if self.required:
            allowed.append("needed")
        elif self.default is not None:
            allowed.append(f"default {as_text(self.default)}")
        return f"{self.help} ({'; '.join(allowed)})" if allowed else self.help


@dataclass(frozen=True)
class Workload:
    """A workload: where it lives and what it takes."""

    name: str
    #: "package.module:function", imported only in the child.
    entry: str
    help: str
    parameters: Tuple[Parameter, ...] = ()


def _under(section: str, *parameters: Parameter) -> Tuple[Parameter, ...]:
    """The parameters, shown under that heading."""
    return tuple(dataclasses.replace(parameter, section=section) for parameter in parameters)


_DATA = Parameter("data", "data", None, "where the sessions come from", required=True, section="Data")
_QUARANTINE = Parameter(
    "quarantine_limit",
    "number",
    None,
    "corrupt lines that stop the run: a count, or a share up to 1.0; none: never",
    low=0,
    section="Data",
)

_MODEL = Parameter("model", "model", None, "folder that detector-train left", required=True, section="Model")
_SCORING = (
    Parameter("k", "integer", None, "events that count as expected; none: as calibrated", low=1),
    Parameter(
        "scorer",
        "choice",
        "fast",
        "numpy over distinct contexts, or PyTorch over every window",
        choices=("fast", "torch"),
    ),
    Parameter("events_per_batch", "integer", 100_000, "events scored together, about", low=1),
)

WORKLOADS: Dict[str, Workload] = {
    "detector-prepare": Workload(
        "detector-prepare",
        "stackyard_detector.detector.preparation:prepare",
        "check raw sources and write them as a data set: sessions to train on and sessions held back for the test",
        (
            _DATA,
            Parameter(
                "test_data",
                "data",
                None,
                "labelled sessions for the test; none: a share of data is held back",
                section="Data",
            ),
            *_under(
                "Split",
                Parameter(
                    "test_share", "number", 0.3, "benign sessions held back for the test", low=0.001, high=0.9
                ),
                Parameter(
                    "split_by",
                    "choice",
                    "session",
                    "hold back sessions at random, or the last to start",
                    choices=("session", "time"),
                ),
                Parameter("seed", "integer", 1, "of the split", low=0),
            ),
            _QUARANTINE,
        ),
    ),
    "detector-train": Workload(
        "detector-train",
        "stackyard_detector.detector.workloads:train",
        "train a next-event LSTM on benign sessions and calibrate it",
        (
            _DATA,
            *_under(
                "Model",
                Parameter(
                    "history", "integer", 10, "events the network sees before it names the next", low=1
                ),
                Parameter("layers", "integer", 2, "LSTM layers", low=1, high=16),
                Parameter("hidden_size", "integer", 64, "units per LSTM layer", low=1, high=4096),
                Parameter(
                    "input",
                    "choice",
                    "embedding",
                    "how an event enters the network",
                    choices=("scalar", "one-hot", "embedding"),
                ),
                Parameter(
                    "embedding_size", "integer", 16, 'length of the vector with input "embedding"', low=1
                ),
                Parameter("quantitative", "flag", False, "a second LSTM over event counts (LogAnomaly)"),
                Parameter("start_padding", "flag", False, "score every event, also of sessions below h + 1"),
            ),
            *_under(
                "Training",
                Parameter(
                    "dtype",
                    "choice",
                    "float32",
                    "arithmetic of training",
                    choices=("float32", "bfloat16"),
                ),
                Parameter("epochs", "integer", 8, "passes over the training windows", low=1),
                Parameter("batch_size", "integer", 256, "windows per step", low=1),
                Parameter("learning_rate", "number", 0.01, "greatest learning rate", low=1e-12),
                Parameter(
                    "schedule",
                    "choice",
                    "one-cycle",
                    "course of the learning rate",
                    choices=("one-cycle", "constant"),
                ),
                Parameter("patience", "integer", None, "epochs without a lower loss; none: all", low=1),
                Parameter(
                    "frequency_exponent",
                    "number",
                    0.5,
                    "windows are drawn by their count to this power; below 1: rare ones more often",
                    low=0,
                    high=1,
                ),
                Parameter("seed", "integer", 1, "of weights, split and order of windows", low=0),
                Parameter("checkpoint_seconds", "number", 10.0, "least time between checkpoints", low=0),
                Parameter("resume_from", "text", None, "folder with the checkpoint of an interrupted run"),
                Parameter(
                    "templates_path",
                    "text",
                    None,
                    "templates.json that detector-prepare left: kept with the model",
                ),
            ),
            *_under(
                "Data",
                Parameter("validation_share", "number", 0.2, "sessions held back", low=0.001, high=0.9),
                Parameter(
                    "validation_by",
                    "choice",
                    "session",
                    "hold back sessions at random, or the last to start",
                    choices=("session", "time"),
                ),
            ),
            *_under(
                "Calibration",
                Parameter(
                    "allowed_false_alarm_rate",
                    "number",
                    0.002,
                    "k is the smallest within this rate on benign validation sessions",
                    low=0,
                    high=1,
                ),
            ),
            _QUARANTINE,
        ),
    ),
    "detector-infer": Workload(
        "detector-infer",
        "stackyard_detector.detector.workloads:infer",
        "verdicts of a trained detector on sessions",
        (
            _MODEL,
            _DATA,
            *_under(
                "Scoring",
                *_SCORING,
                Parameter("passes", "integer", 1, "how often the whole data is scored", low=1),
                Parameter("needs_attack", "flag", True, "refuse labelled data that holds no attack"),
                Parameter("shards", "integer", 1, "parts the sessions are split into, one task each", low=1),
                Parameter("shard", "integer", 1, "the part to judge, from 1 up", low=1),
            ),
            _QUARANTINE,
        ),
    ),
    "detector-evaluate": Workload(
        "detector-evaluate",
        "stackyard_detector.detector.gate:evaluate",
        "what a trained detector is worth on labelled sessions, and whether that is enough",
        (
            _MODEL,
            _DATA,
            *_under(
                "Scoring",
                *_SCORING,
            ),
            *_under(
                "Gate",
                Parameter(
                    "judged",
                    "choice",
                    "network",
                    "whose verdicts the demands below are about",
                    choices=("network", "rules", "combined"),
                ),
                Parameter("minimum_f1", "number", None, "fail below this F1; none: no demand", low=0, high=1),
                Parameter("minimum_precision", "number", None, "fail below this precision", low=0, high=1),
                Parameter("minimum_recall", "number", None, "fail below this recall", low=0, high=1),
                Parameter(
                    "maximum_false_alarm_rate",
                    "number",
                    None,
                    "fail above this share of alarms among benign sessions",
                    low=0,
                    high=1,
                ),
                Parameter(
                    "minimum_early_detection_rate",
                    "number",
                    None,
                    "fail below this early detection rate",
                    low=0,
                    high=1,
                ),
            ),
            _QUARANTINE,
        ),
    ),
    "simulate-firewall": Workload(
        "simulate-firewall",
        "stackyard_detector.simulator:simulate",
        "write simulated firewall and IPS sessions, labelled: benign.txt to train on, test.csv for the test",
        (
            *_under(
                "Simulation",
                Parameter(
                    "sessions",
                    "integer",
                    4000,
                    "simulated sessions in all, one per address",
                    low=2,
                    high=131072,
                ),
                Parameter(
                    "test_share", "number", 0.4, "share of the sessions that are for the test", low=0, high=1
                ),
                Parameter(
                    "malicious_share", "number", 0.25, "share of malicious among the test", low=0, high=1
                ),
                Parameter("seed", "integer", 1, "the same seed writes the same bytes", low=0),
                Parameter("log", "flag", False, "also write firewall.log, the test as key=value lines"),
            ),
        ),
    ),
}


def checked(workload: Workload, given: Mapping[str, Any]) -> Dict[str, Any]:
    """All parameters of a run: ``given`` checked against what ``workload`` declares, defaults filled in.

    Raises:
        ParameterError: an unknown name, a missing required one, or a value of the wrong kind or range.
    """
    declared = {p.name: p for p in workload.parameters}
    for name in given:
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            raise ParameterError(f"{workload.name} has no parameter {name!r}; it has: {known}")
    values: Dict[str, Any] = {}
    for parameter in workload.parameters:
        if parameter.name in given:
            values[parameter.name] = _checked_value(workload.name, parameter, given[parameter.name])
        elif parameter.required:
            raise ParameterError(f"{workload.name} needs parameter {parameter.name!r} ({parameter.help})")
        else:
            values[parameter.name] = parameter.default
    return values


def _checked_value(workload: str, parameter: Parameter, value: Any) -> Any:
    where = f"{workload}: parameter {parameter.name!r}"
    if value is None and not parameter.required and parameter.default is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {
        "integer": is_number and float(value).is_integer(),
        "number": is_number and value == value,
        "text": isinstance(value, str),
        "flag": isinstance(value, bool),
        "choice": value in parameter.choices,
        "data": isinstance(value, dict) and isinstance(value.get("sources"), list) and bool(value["sources"]),
        "model": isinstance(value, str) and bool(value),
    }[parameter.kind]
    if not fits:
        raise ParameterError(f"{where} is {value!r}, expected {_expected(parameter)}")
    if parameter.low is not None and value < parameter.low:
        raise ParameterError(f"{where} is {value!r}, expected at least {parameter.low:g}")
    if parameter.high is not None and value > parameter.high:
        raise ParameterError(f"{where} is {value!r}, expected at most {parameter.high:g}")
    return int(value) if parameter.kind == "integer" else value


def _expected(parameter: Parameter) -> str:
    """What a value of the parameter's kind looks like, for people."""
    return {
        "choice": "one of " + ", ".join(parameter.choices),
        "data": 'a table with a non-empty list "sources"',
        "model": "the path of a model folder",
        "flag": "true or false",
        "integer": "a whole number",
        "number": "a number",
        "text": "a text",
    }[parameter.kind]


def as_text(value: Any) -> str:
    """A parameter's value as a form shows it; nothing chosen is the empty text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value)


def from_text(parameter: Parameter, text: str) -> Any:
    """The value that ``text`` typed into a form means; empty is the default, or nothing where there is none.

    Raises:
        ParameterError: the text is not of the parameter's kind.
    """
    typed = text.strip()
    if not typed:
        return None if parameter.default is None else parameter.default
    if parameter.kind == "flag":
        if typed.lower() in ("true", "false"):
            return typed.lower() == "true"
    elif parameter.kind in ("integer", "number", "data"):
        try:
            return json.loads(typed)
        except ValueError:
            pass
    else:
        return typed
    raise ParameterError(
        f"{parameter.section}/{parameter.name} is {typed[:80]!r}, expected {_expected(parameter)}"
    )
