"""The workloads detector-train and detector-infer: parameters in, a model folder or verdicts out.

Reads sessions through ``readers``, calls the parts of this package in order and reports through the channel.
PyTorch is imported only by what needs it: inference with the fast scorer runs without.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional

import numpy as np

from stackyard_detector import readers
from stackyard_detector.detector import (
    alarm_files,
    alarms,
    evaluation,
    evaluation_page,
    fast_scoring,
    model_file,
    whole_files,
)
from stackyard_detector.detector.calibrated import COMBINED, NETWORK, Judged, calibrate, joined, judge
from stackyard_detector.detector.config import DetectorConfig
from stackyard_detector.detector.dataset import Dataset, collect, split, tell_remarks
from stackyard_detector.detector.ranks import Ranks
from stackyard_detector.detector.verdicts import write_verdicts
from stackyard_detector.detector.windows import Sequences
from stackyard_task.channel import BadInput, Channel

MODEL_FOLDER = "model"
CHECKPOINT_FOLDER = "checkpoint"
TEMPLATES_FILE = "templates.json"
VERDICTS_FILE = "verdicts.csv"
CURVES_FILE = "curves.json"
EVALUATION_PAGE = "evaluation.html"
QUARANTINE_FILE = "quarantine.jsonl"

CURVES_VERSION = 1

#: What scores a batch of sessions.
Scorer = Callable[[Sequences], Ranks]


def train(parameters: Mapping[str, Any], channel: Channel, output_folder: Path) -> None:
    """Train a detector on the benign sessions of ``data`` and calibrate it on those held back.

    Leaves the model folder ``model``. Results: sessions, windows, losses, k and the false-alarm rate at k.

    Raises:
        BadInput: data or parameters cannot be used; nothing is left but the quarantine file.
    """
    from stackyard_detector.detector import training

    output_folder = Path(output_folder)
    channel.phase("data")
    config = _config(parameters)
    try:
        how = training.TrainingParameters(
            epochs=parameters["epochs"],
            batch_size=parameters["batch_size"],
            learning_rate=parameters["learning_rate"],
            schedule=parameters["schedule"],
            patience=parameters["patience"],
            checkpoint_seconds=parameters["checkpoint_seconds"],
            frequency_exponent=parameters["frequency_exponent"],
            seed=parameters["seed"],
        )
    except ValueError as error:
        raise BadInput(f"detector-train: {error}") from error
    templates = readers.fit_templates(parameters["data"])
    if parameters["templates_path"]:
        if templates is not None:
            raise BadInput(
                "detector-train: templates_path is for prepared sessions, and the data has raw lines; name "
                "templates_path in their sources"
            )
        templates = readers.EventTemplates.load(Path(parameters["templates_path"]))
    dataset = _read(parameters, channel, output_folder, templates)
    training_rows, validation_rows = split(
        dataset, parameters["validation_share"], parameters["validation_by"], parameters["seed"]
    )
    vocabulary = dataset.vocabulary(training_rows, config.end_event)
    sessions = dataset.encoded(vocabulary, training_rows)
    validation = dataset.encoded(vocabulary, validation_rows)
    channel.results(
        training_sessions=len(sessions),
        validation_sessions=len(validation),
        malicious_sessions_left_out=sum(label == 1 for label in dataset.labels),
        events=len(sessions.values),
        known_events=vocabulary.size - config.end_event,
    )
    resume_from = parameters["resume_from"]
    checkpoints = output_folder / CHECKPOINT_FOLDER
    model = training.train(
        sessions,
        validation,
        config,
        vocabulary.size,
        how,
        channel,
        checkpoints,
        None if resume_from is None else Path(resume_from),
    )
    if checkpoints.is_dir():
        checkpoints.rmdir()  # emptied by the training that needs it no more
    channel.phase("finish")
    weights = model.weights()
    calibrated = calibrate(
        sessions,
        validation,
        fast_scoring.session_ranks(weights, validation),
        vocabulary.size,
        parameters["allowed_false_alarm_rate"],
        parameters["confidence"],
    )
    detector = model_file.Detector(weights, vocabulary, calibrated.k, calibrated, _provenance(parameters))
    model_file.save(output_folder / MODEL_FOLDER, detector)
    if templates is not None:
        templates.save(output_folder / MODEL_FOLDER / TEMPLATES_FILE)
    joint = calibrated.thresholds[COMBINED]
    for at in calibrated.curve:
        told = f"at_{100 * at.allowed_rate:g}_percent"
        channel.results(**{f"threshold_{told}": at.value, f"stated_false_alarm_rate_{told}": at.stated_rate})
    for remark in calibrated.remarks():
        channel.note(remark)
    channel.results(
        k=calibrated.k,
        validation_false_alarm_rate=calibrated.rate_at_k,
        threshold=joint.value,
        stated_false_alarm_rate=joint.stated_rate,
        model=MODEL_FOLDER,
    )


def infer(parameters: Mapping[str, Any], channel: Channel, output_folder: Path) -> None:
    """Verdicts of a trained detector on the sessions of ``data``, and their worth where labels are known.

    Leaves ``verdicts.csv``, the alarms (``alarm_files``) unless ``max_alerts`` is 0, and ``curves.json`` where labels
    are known. Results: sessions, events, malicious verdicts, and the metrics of ``evaluation``.

    Raises:
        BadInput: model, data or parameters cannot be used; no verdicts file is left.
    """
    output_folder = Path(output_folder)
    channel.phase("data")
    folder = Path(parameters["model"])
    detector = model_file.load(folder)
    k = parameters["k"] or detector.k
    if k is None:
        raise BadInput(f"{folder}: the model has no calibrated k; give parameter k")
    if k > detector.vocabulary.size:
        raise BadInput(
            f"k is {k}, and the model knows {detector.vocabulary.size} events: not even an unknown event would be a "
            "miss; give a smaller one"
        )
    templates = None
    if (folder / TEMPLATES_FILE).exists():
        templates = readers.EventTemplates.load(folder / TEMPLATES_FILE)
    elif readers.wants_templates(parameters["data"]):
        raise BadInput(
            f"{folder}: the model holds no event templates, so raw lines have no events that it knows; "
            "train it on lines too, or name templates_path in the source"
        )
    dataset = _read(parameters, channel, output_folder, templates)
    if parameters["needs_attack"] and set(dataset.labels) == {0}:
        raise BadInput(
            f"no attack in the test set (all {len(dataset.labels)} sessions are labelled benign), nothing "
            "can be said of detection; add labelled attacks, or set needs_attack = false for verdicts alone"
        )
    dataset = _shard(dataset, parameters["shard"], parameters["shards"])
    sessions = dataset.encoded(detector.vocabulary)
    if detector.config.first_position >= int(sessions.lengths.max(initial=0)):
        raise BadInput(
            f"no session has more events than the model's history of {detector.config.history} (longest: "
            f"{int(sessions.lengths.max(initial=0))}), nothing can be judged; train with a smaller history "
            "or start_padding = true"
        )
    channel.phase("warmup")
    score = _scorer(detector, parameters["scorer"])
    bounds = _batches(sessions, parameters["events_per_batch"])
    score(_slice(sessions, 0, min(64, len(sessions))))
    channel.phase("steady")
    parts: List[Ranks] = []
    total = parameters["passes"] * len(sessions)
    for passed in range(parameters["passes"]):
        parts = []
        for start, stop in zip(bounds, bounds[1:]):
            began = time.perf_counter()
            parts.append(score(_slice(sessions, start, stop)))
            channel.step(time.perf_counter() - began)
            channel.progress(passed * len(sessions) + stop, total, "sessions")
    channel.phase("finish")
    ranks = _joined(parts)
    starts = dataset.attack_starts_at
    judged = _judged(detector, sessions, ranks, bounds, starts)
    by_rank = bool(parameters["k"]) or detector.calibrated is None
    if by_rank:
        judged[NETWORK] = evaluation.by_rank(ranks, k, starts)
    write_verdicts(output_folder / VERDICTS_FILE, dataset, judged)
    results: Dict[str, Any] = {
        "sessions": len(sessions),
        "events": len(sessions.values),
        "targets": len(ranks.values),
        "unknown_events": int((sessions.values == detector.vocabulary.unknown).sum()),
        "sessions_without_target": int((np.diff(ranks.offsets) == 0).sum()),
        "malicious_verdicts": int(judged[NETWORK].alarms.sum()),
        "k": k,
    }
    if COMBINED in judged:
        results["combined_malicious_verdicts"] = int(judged[COMBINED].alarms.sum())
    if any(label is not None for label in dataset.labels):
        drawn = evaluation.drawn(dataset.labels, judged)
        results.update(evaluation.evaluate(sessions, dataset.labels, judged, ranks, k, starts, drawn))
        page = evaluation_page.render(drawn, results, str(alarms.now()), by_rank)
        curves = json.dumps({"api_version": CURVES_VERSION, "parts": drawn}, allow_nan=False) + "\n"
        pages = {output_folder / CURVES_FILE: [curves], output_folder / EVALUATION_PAGE: [page]}
        whole_files.write(pages, "the evaluation")
        results["page"] = f"{EVALUATION_PAGE} in the outputs of the run has the curves of every part"
    if parameters["max_alerts"]:
        results.update(_alarms(parameters, output_folder, detector, dataset, ranks, judged, k, templates))
        channel.note(_found(results["alerts"], results["alerts_left_out"], len(sessions)))
    channel.results(**results)


def _found(told: int, left_out: int, sessions: int) -> str:
    """What inference found, in a sentence."""
    found = told + left_out
    counted = f"{found} alarm{'' if found == 1 else 's'} of {sessions} session{'' if sessions == 1 else 's'}"
    shown = f"the {told} with the highest scores" if left_out else "them"
    return f"{counted}; outputs/{alarm_files.PAGE_FILE} shows {shown}" if found else counted


def _alarms(
    parameters: Mapping[str, Any],
    output_folder: Path,
    detector: model_file.Detector,
    dataset: Dataset,
    ranks: Ranks,
    judged: Mapping[str, Judged],
    k: int,
    templates: Optional[readers.EventTemplates],
) -> Dict[str, Any]:
    """Write the files of alarms; the results to report of them."""
    most, by_rank = parameters["max_alerts"], bool(parameters["k"]) or detector.calibrated is None
    names = [*detector.vocabulary.events, *dataset.names]
    texts = {} if templates is None else templates.texts(names)
    found = alarm_files.gather(dataset, detector, ranks, judged, k, by_rank, most, texts)
    data_sha256 = readers.data_checksum(parameters["data"])
    come_from = alarms.origin(model_file.files(Path(parameters["model"])), detector, data_sha256)
    return alarm_files.write(output_folder, found, come_from, most)


def _shard(dataset: Dataset, shard: int, shards: int) -> Dataset:
    """Every ``shards``-th session from the ``shard``-th on: parts of about the same work and mix of labels."""
    if shard > shards:
        raise BadInput(f"detector-infer: shard is {shard} of {shards}, expected 1 to {shards}")
    if shards == 1:
        return dataset
    if len(dataset) < shards:
        raise BadInput(f"{len(dataset)} sessions cannot be split into {shards} parts; ask for fewer")
    return dataset.chosen(range(shard - 1, len(dataset), shards))


def _config(parameters: Mapping[str, Any]) -> DetectorConfig:
    try:
        return DetectorConfig.from_json(parameters)
    except ValueError as error:
        raise BadInput(f"detector-train: {error}") from error


def _read(
    parameters: Mapping[str, Any],
    channel: Channel,
    output_folder: Path,
    templates: Optional[readers.EventTemplates],
) -> Dataset:
    """All sessions of the data, with the corrupt lines put away and counted."""
    limit = parameters["quarantine_limit"]
    quarantine = readers.Quarantine(output_folder / QUARANTINE_FILE, limit)

    try:
        dataset = collect(readers.read_sessions(parameters["data"], quarantine, templates))
        quarantine.finish()
    finally:
        quarantine.close()
        channel.results(**quarantine.results())
    tell_remarks(dataset, channel, [] if templates is None else templates.remarks())
    return dataset


def _scorer(detector: model_file.Detector, name: str) -> Scorer:
    if name == "fast":
        return lambda sessions: fast_scoring.session_ranks(detector.weights, sessions)
    from stackyard_detector.detector import scoring
    from stackyard_detector.detector.model import best_device

    model = detector.model().to(best_device())
    return lambda sessions: scoring.session_ranks(model, sessions)


def _batches(sessions: Sequences, events: int) -> List[int]:
    """Where batches of at least one session and about ``events`` events begin, and the number of sessions."""
    wanted = np.arange(0, len(sessions.values), events)
    starts = np.unique(np.searchsorted(sessions.offsets, wanted, side="left"))
    return [*(start for start in starts.tolist() if start < len(sessions)), len(sessions)]


def _slice(sessions: Sequences, start: int, stop: int) -> Sequences:
    offsets = sessions.offsets[start : stop + 1]
    return Sequences(sessions.values[offsets[0] : offsets[-1]], offsets - offsets[0])


def _joined(parts: List[Ranks]) -> Ranks:
    """The ranks of consecutive batches as one."""
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    surprise = np.concatenate([part.surprise for part in parts if part.surprise is not None])
    values = np.concatenate([part.values for part in parts])
    return Ranks(values, offsets, parts[0].first_position, surprise)


def _judged(
    detector: model_file.Detector,
    sessions: Sequences,
    ranks: Ranks,
    bounds: List[int],
    starts: List[Optional[int]],
) -> Dict[str, Judged]:
    """What each calibrated part says of all sessions, batch after batch: memory does not grow with the data."""
    calibrated = detector.calibrated
    if calibrated is None:
        return {}
    parts = []
    for start, stop in zip(bounds, bounds[1:]):
        scores = calibrated.scores(_slice(sessions, start, stop), _ranks_of(ranks, start, stop))
        parts.append(judge(scores, calibrated.thresholds, starts[start:stop]))
    return joined(parts)


def _ranks_of(ranks: Ranks, start: int, stop: int) -> Ranks:
    """The ranks of the sessions from ``start`` to ``stop``."""
    offsets = ranks.offsets[start : stop + 1]
    inside = slice(offsets[0], offsets[-1])
    surprise = None if ranks.surprise is None else ranks.surprise[inside]
    return Ranks(ranks.values[inside], offsets - offsets[0], ranks.first_position, surprise)


def _provenance(parameters: Mapping[str, Any]) -> Dict[str, Any]:
    import torch

    return {
        "trained_at": alarms.now(),
        "data_sha256": readers.data_checksum(parameters["data"]),
        "parameters": {name: value for name, value in parameters.items() if name != "data"},
        "seed": parameters["seed"],
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "numpy": np.__version__,
    }
