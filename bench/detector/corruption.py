"""How parts are best combined, asked of benign validation sessions alone: the bench's part ``corruption``.

Half of each set's benign validation sessions calibrates. The other half is the benign side of a test whose malicious
side are copies of validation sessions that were damaged on purpose. No test session, no attack and no label has a say.
The rule of ``combination`` is the row ``chosen``. It is the best in the sum of two figures, means over sets: the area
under the precision-recall curve, at as many damaged as benign sessions, and the share of damaged sessions above the
threshold that is calibrated for 1 %.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from bench.detector import worth
from bench.detector.quality import _encoded
from bench.detector.sets import TestSet, all_sets
from bench.result import Result
from stackyard_detector.detector import combination, curves, fast_scoring
from stackyard_detector.detector.calibrated import COMBINATIONS, COMBINED, NETWORK, Calibrated, calibrate
from stackyard_detector.detector.calibration import threshold
from stackyard_detector.detector.combination import ORDERLY_SHARE
from stackyard_detector.detector.config import Weights
from stackyard_detector.detector.ranks import Ranks
from stackyard_detector.detector.vocabulary import Vocabulary
from stackyard_detector.detector.windows import Sequences

#: Damaged sessions a set, about.
DAMAGED = 1_000
#: Draws of halves and damages a set: one alone decides by luck.
DRAWS = 5
UNKNOWN = "<never seen>"


def harmonic(said: Mapping[str, np.ndarray]) -> np.ndarray:
    """The harmonic mean of p-values (Wilson 2019), as minus its logarithm but for a constant."""
    return np.log(np.exp(np.minimum(np.array(list(said.values())), 500)).sum(0))


def greatest(said: Mapping[str, np.ndarray]) -> np.ndarray:
    """The smallest p-value (Tippett 1931)."""
    return np.max(list(said.values()), axis=0)


def summed(said: Mapping[str, np.ndarray]) -> np.ndarray:
    """The product of p-values (Fisher 1932)."""
    return np.sum(list(said.values()), axis=0)


Said = Mapping[str, np.ndarray]
#: Name -> score of sessions, from what each part says in nats up to where validation ends, and what the network says
#: beyond that.
RULES: Dict[str, Callable[[Said, np.ndarray], np.ndarray]] = {
    "network": lambda said, on: on,
    "counts": lambda said, on: said["counts"],
    "sum": lambda said, on: summed(said) + ORDERLY_SHARE * on,
    "greatest": lambda said, on: np.maximum(greatest(said), on) + ORDERLY_SHARE * on,
    "harmonic": lambda said, on: harmonic(said),
    "network_and_counts": lambda said, on: on + said["counts"],
    "network_and_greatest": lambda said, on: on + greatest(said),
    "chosen": lambda said, on: combination.rule(list(said.values()), on),
}
FIGURES = tuple(f"corruption_{what}_{name}" for what in ("auprc", "recall") for name in RULES)


def figures(data_folder: Path, result: Result, quick: bool = False) -> None:
    """Fill the mean of each rule over the sets into ``result``; sets with the same training count once."""
    for name in FIGURES:
        result.figures.setdefault(name, None)
    import torch

    torch.set_num_threads(1)
    trained: Dict[Tuple[Any, ...], Any] = {}
    found: Dict[str, List[float]] = {name: [] for name in FIGURES}
    for name, made, why in all_sets(data_folder, worth.SEEDS[0]):
        if made is None:
            result.row(part="corruption", set=name, not_measured=why)
            continue
        known, began = len(trained), time.process_time()
        vocabulary, weights = worth.network(made, worth.SEEDS[0], trained, quick)
        if len(trained) == known:
            continue
        drawn: Dict[str, List[float]] = {figure: [] for figure in FIGURES}
        for draw in range(DRAWS):
            for figure, value in _measured(made, vocabulary, weights, np.random.default_rng(draw)).items():
                drawn[figure].append(value)
        for figure, values in drawn.items():
            found[figure].append(statistics.mean(values))
        own = {figure: found[figure][-1] for figure in FIGURES}
        result.row(part="corruption", trained_as=name, validation_sessions=len(made.validation), **own)
        print(f"corruption: {name}: {time.process_time() - began:.0f} s", flush=True)
    for figure, values in found.items():
        result.figure(figure, statistics.mean(values) if values else None)


def _measured(
    made: TestSet, vocabulary: Vocabulary, weights: Weights, generator: np.random.Generator
) -> Dict[str, float]:
    """Area of each rule, and what it finds at its calibrated threshold, for one draw of halves and damages."""
    order = generator.permutation(len(made.validation))
    shown, apart = ([made.validation[row] for row in rows] for rows in np.array_split(order, 2))
    kept, held_back = _encoded(vocabulary, made.training), _encoded(vocabulary, shown)
    ranks = fast_scoring.session_ranks(weights, held_back)
    chosen = calibrate(kept, held_back, ranks, vocabulary.size)
    damaged = [
        damage(session, apart, vocabulary.events, generator)
        for session in apart * max(1, DAMAGED // len(apart))
    ]
    benign = apart * max(1, len(damaged) // len(apart))
    labels = np.repeat([0, 1], [len(benign), len(damaged)])
    encoded = _encoded(vocabulary, benign + damaged)
    tested = _parts(chosen, encoded, fast_scoring.session_ranks(weights, encoded))
    own = _parts(chosen, held_back, ranks)
    tails, on = chosen.tails, chosen.tails[NETWORK]
    said = {name: tails[name].improbable(values) for name, values in tested.items()}
    apart_said = {name: tails[name].left_out(values) for name, values in own.items()}
    figures = {}
    for rule, score in RULES.items():
        scores = score(said, on.improbable(tested[NETWORK], goes_on=True))
        limit = threshold(
            score(apart_said, on.left_out(own[NETWORK], goes_on=True)), worth.ALLOWED_FALSE_ALARM_RATE
        )
        figures[f"corruption_auprc_{rule}"] = curves.average_precision(labels, scores) or 0.0
        figures[f"corruption_recall_{rule}"] = float(np.mean(scores[labels == 1] > limit.value))
    return figures


def _parts(chosen: Calibrated, sessions: Sequences, ranks: Ranks) -> Dict[str, np.ndarray]:
    scores = chosen.scores(sessions, ranks)
    return {part: scores[part].sessions for part in COMBINATIONS[COMBINED]}


def damage(
    session: Sequence[str],
    others: Sequence[Sequence[str]],
    known: Sequence[str],
    generator: np.random.Generator,
) -> List[str]:
    """A copy of a session with one kind of damage, drawn by ``generator``.

    Two stretches change places; up to three events are lost; one event comes three to ten times more; one or two events
    are others; one or two were never seen; the rest is another session's; the second half is missing.
    """
    events = list(session)
    count, kind = len(events), int(generator.integers(7))
    at = int(generator.integers(count))
    if kind == 0 and count >= 4:
        first, second, third = sorted(generator.choice(np.arange(count + 1), 3, replace=False).tolist())
        return events[:first] + events[second:third] + events[first:second] + events[third:]
    if kind == 1 and count >= 3:
        for _ in range(int(generator.integers(1, 4))):
            if len(events) > 2:
                events.pop(int(generator.integers(len(events))))
        return events
    if kind == 2:
        return events[:at] + [events[at]] * int(generator.integers(3, 11)) + events[at:]
    if kind == 3:
        for _ in range(int(generator.integers(1, 3))):
            events[int(generator.integers(count))] = known[int(generator.integers(len(known)))]
        return events
    if kind == 4:
        return events[:at] + [UNKNOWN] * int(generator.integers(1, 3)) + events[at:]
    if kind == 5:
        other = list(others[int(generator.integers(len(others)))])
        return events[: at + 1] + other[int(generator.integers(len(other))) :]
    return events[: max(1, count // 2)]
