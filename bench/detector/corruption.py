"""How parts are best combined, asked of benign validation sessions alone: the bench's part ``corruption``.

Half of each set's benign validation sessions calibrates. The other half is the benign side of a test whose malicious
side are copies of validation sessions that were damaged on purpose. No test session, no attack and no label has a say.
The rule of ``combination`` is the row ``chosen``. The figures are means over sets of the area under the
precision-recall curve, at as many damaged as benign sessions.
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
from stackyard_detector.detector import curves, fast_scoring
from stackyard_detector.detector.calibrated import COMBINATIONS, COMBINED, NETWORK, calibrate
from stackyard_detector.detector.combination import ORDERLY_SHARE, Tail
from stackyard_detector.detector.config import Weights
from stackyard_detector.detector.vocabulary import Vocabulary

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
#: Name -> score of sessions, from what each part says in nats: the network's going on beyond validation, others not.
RULES: Dict[str, Callable[[Said], np.ndarray]] = {
    "network": lambda said: said[NETWORK],
    "counts": lambda said: said["counts"],
    "sum": summed,
    "harmonic": harmonic,
    "greatest": greatest,
    "network_and_counts": lambda said: said[NETWORK] + said["counts"],
    "network_and_half_counts": lambda said: said[NETWORK] + said["counts"] / 2,
    "network_and_greatest": lambda said: said[NETWORK] + greatest(said),
    "greatest_and_half_network": lambda said: greatest(said) + said[NETWORK] / 2,
    "chosen": lambda said: greatest(said) + ORDERLY_SHARE * said[NETWORK],
}
FIGURES = tuple(f"corruption_auprc_{name}" for name in RULES)


def figures(data_folder: Path, result: Result, quick: bool = False) -> None:
    """Fill the mean of each rule over the sets into ``result``; sets with the same training count once."""
    for name in FIGURES:
        result.figures.setdefault(name, None)
    import torch

    torch.set_num_threads(1)
    trained: Dict[Tuple[Any, ...], Any] = {}
    found: Dict[str, List[float]] = {name: [] for name in RULES}
    for name, made, why in all_sets(data_folder, worth.SEEDS[0]):
        if made is None:
            result.row(part="corruption", set=name, not_measured=why)
            continue
        known, began = len(trained), time.process_time()
        vocabulary, weights = worth.network(made, worth.SEEDS[0], trained, quick)
        if len(trained) == known:
            continue
        drawn: Dict[str, List[float]] = {rule: [] for rule in RULES}
        for draw in range(DRAWS):
            for rule, area in _areas(made, vocabulary, weights, np.random.default_rng(draw)).items():
                drawn[rule].append(area)
        for rule, values in drawn.items():
            found[rule].append(statistics.mean(values))
        own = {rule: found[rule][-1] for rule in RULES}
        result.row(part="corruption", trained_as=name, validation_sessions=len(made.validation), **own)
        print(f"corruption: {name}: {time.process_time() - began:.0f} s", flush=True)
    for rule, values in found.items():
        result.figure(f"corruption_auprc_{rule}", statistics.mean(values) if values else None)


def _areas(
    made: TestSet, vocabulary: Vocabulary, weights: Weights, generator: np.random.Generator
) -> Dict[str, float]:
    """The area of each rule for one draw of halves and damages."""
    order = generator.permutation(len(made.validation))
    shown, apart = ([made.validation[row] for row in rows] for rows in np.array_split(order, 2))
    kept, held_back = _encoded(vocabulary, made.training), _encoded(vocabulary, shown)
    chosen = calibrate(kept, held_back, fast_scoring.session_ranks(weights, held_back), vocabulary.size)
    damaged = [
        damage(session, apart, vocabulary.events, generator)
        for session in apart * max(1, DAMAGED // len(apart))
    ]
    benign = apart * max(1, len(damaged) // len(apart))
    labels = np.repeat([0, 1], [len(benign), len(damaged)])
    encoded = _encoded(vocabulary, benign + damaged)
    scores = chosen.scores(encoded, fast_scoring.session_ranks(weights, encoded))
    said = _said({part: scores[part].sessions for part in COMBINATIONS[COMBINED]}, chosen.tails)
    return {rule: curves.average_precision(labels, score(said)) or 0.0 for rule, score in RULES.items()}


def _said(scores: Said, tails: Mapping[str, Tail]) -> Dict[str, np.ndarray]:
    return {name: tails[name].improbable(values, goes_on=name == NETWORK) for name, values in scores.items()}


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
