"""One group through all variants: train, score, keep the score of every session."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

import numpy as np

from bench.detector.experiments import networks, scores
from bench.detector.experiments.networks import HISTORY, Variant
from bench.detector.experiments.sets import GAPS, Group, Sessions, Site
from stackyard_detector.detector import baselines
from stackyard_detector.detector.config import DetectorConfig
from stackyard_detector.detector.windows import Windows, pack, windows

#: What all others are held against: the product's network.
BASE = "LSTM"
VARIANTS = (
    Variant(BASE),
    Variant("LSTM, 5 % of events dropped", dropout=0.05),
    Variant("LSTM, 20 % of events dropped", dropout=0.2),
    Variant("GRU", cell="gru"),
    Variant("transformer", cell="transformer", learning_rate=0.003),
    Variant("LSTM, end of session predicted", end=True),
    Variant("GRU, end of session predicted", cell="gru", end=True),
    Variant("LSTM, gaps of time", gaps=True),
    Variant("LSTM, nearest known event", nearest=True),
    Variant("LSTM, text as input", text=True),
    Variant("LSTM, text as input, nearest known event", text=True, nearest=True),
)
SEEDS = (0, 1, 2)
#: Below this share of words in common (cosine) an unknown event is like none that is known.
ALIKE = 0.5
#: In place of a seed: the mean probability of the networks of all seeds.
ENSEMBLE = -1
END = "<end>"
CONFIG = DetectorConfig(history=HISTORY, start_padding=True)

#: (variant, seed, name of a score)
Key = Tuple[str, int, str]


@dataclass
class Found:
    """What a group's runs gave."""

    #: Key -> (trained on, tested on) -> score of each test session.
    tests: Dict[Key, Dict[Tuple[str, str], np.ndarray]] = field(default_factory=dict)
    #: Key -> trained on -> how well corrupted validation sessions are told from whole ones (average precision).
    chosen_by: Dict[Key, Dict[str, float]] = field(default_factory=dict)
    #: Variant -> lowest validation losses.
    losses: Dict[str, List[float]] = field(default_factory=dict)
    #: Variant -> seconds of CPU of training.
    seconds: Dict[str, float] = field(default_factory=dict)


class Symbols:
    """The names of a group as numbers: the ``known`` ones of a training part first."""

    def __init__(self, group: Group, site: Site, end: bool) -> None:
        trained = sorted({event for session in site.training for event in session}) + [END] * end
        self.names = trained + [name for name in group.names if name not in set(trained)]
        self.known = len(trained)
        self._end = end
        self._number = {name: number for number, name in enumerate(self.names)}

    def encoded(self, sessions: Sessions) -> List[List[int]]:
        """Sessions as numbers."""
        tail = [self._number[END]] if self._end else []
        return [[self._number[event] for event in session] + tail for session in sessions]


def run(group: Group, variant: Variant, seeds: Tuple[int, ...], steps: int, found: Found) -> None:
    """Train ``variant`` on each site that trains in ``group`` and keep its scores in ``found``."""
    for name in dict.fromkeys(source for source, _ in group.pairs):
        site = group.sites[name]
        symbols = Symbols(group, site, variant.end)
        texts = {**group.texts, END: "end"}
        words = networks.words_of(symbols.names, texts) if variant.text or variant.nearest else None
        training = symbols.encoded(site.training)
        validation = symbols.encoded(site.validation)
        trained_gaps, validated_gaps, _ = site.gaps or ([], [], [])
        wrong, wrong_gaps = [], []
        dice = np.random.default_rng(0)
        for row, session in enumerate(validation):
            body = session[:-1] if variant.end else session
            events, places = scores.corrupted(body, symbols.known - variant.end, dice)
            wrong.append(events + session[len(body) :])
            wrong_gaps.append([validated_gaps[row][place] for place in places] if validated_gaps else [])
        parts = {"": (validation + wrong, validated_gaps + wrong_gaps, np.repeat([0, 1], len(validation)))}
        for source, target in group.pairs:
            if source == name:
                tested = group.sites[target]
                gaps = tested.gaps[2] if tested.gaps else []
                parts[target] = (symbols.encoded(tested.test), gaps, tested.labels)
        cut = _cut(training, trained_gaps, symbols, variant)
        held_out = _cut(validation, validated_gaps, symbols, variant)
        trained = int((networks.events_of(cut.targets) < symbols.known).sum())
        likeness = Likeness(symbols, words if variant.nearest else None, trained)
        cuts = {
            part: _cut(likeness.mapped(sessions), gaps, symbols, variant)
            for part, (sessions, gaps, _) in parts.items()
        }
        distinct = {part: Distinct(cut) for part, cut in cuts.items()}
        originals = {
            part: _cut(sessions, [], symbols, None).targets for part, (sessions, _, _) in parts.items()
        }
        together: Dict[str, np.ndarray] = {}
        for seed in seeds:
            began = time.process_time()
            network = networks.train(
                variant,
                cut,
                held_out,
                len(symbols.names),
                symbols.known,
                words if variant.text else None,
                steps,
                seed,
            )
            found.seconds[variant.name] = found.seconds.get(variant.name, 0.0) + time.process_time() - began
            found.losses.setdefault(variant.name, []).append(network.validation_loss)
            for part, (_, _, labels) in parts.items():
                chances = likeness.chances(network, distinct[part], originals[part])
                together[part] = together.get(part, 0.0) + chances / len(seeds)
                _keep(found, variant.name, seed, (name, part), likeness.surprise(chances), cuts[part], labels)
        for part, (_, _, labels) in parts.items():
            surprise = likeness.surprise(together[part])
            _keep(found, variant.name, ENSEMBLE, (name, part), surprise, cuts[part], labels)


def run_baselines(group: Group, found: Found) -> None:
    """The product's baselines on each pair of ``group``."""
    for source, target in group.pairs:
        site, tested = group.sites[source], group.sites[target]
        symbols = Symbols(group, site, False)

        def coded(sessions: Sessions, symbols: Symbols = symbols) -> List[List[int]]:
            return [[min(event, symbols.known) for event in s] for s in symbols.encoded(sessions)]

        training, test = pack(coded(site.training)), pack(coded(tested.test))
        for name, kind in baselines.BASELINES.items():
            values = kind.fit(training, symbols.known).score(test).sessions
            found.tests.setdefault((name, 0, ""), {})[(source, target)] = values


class Distinct:
    """The distinct windows, and which of them each window is."""

    def __init__(self, cut: Windows) -> None:
        rows = np.ascontiguousarray(np.column_stack([cut.contexts, cut.targets]))
        keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
        _, first, self.rows = np.unique(keys, return_index=True, return_inverse=True)
        self.contexts, self.targets = cut.contexts[first], cut.targets[first]


class Likeness:
    """What an event that training never had counts as, and how surprising an event is."""

    def __init__(self, symbols: Symbols, words: Optional[np.ndarray], windows_trained: int) -> None:
        self._symbols, self._trained = symbols, windows_trained
        count, known = len(symbols.names), symbols.known
        #: Symbol -> the one that it is read as, and how much of that one's probability it has.
        self._as = np.arange(count + 2)
        self._share = np.where(np.arange(count + 2) < known, 1.0, 0.0)
        if words is not None and count > known:
            alike = words[known:] @ words[:known].T
            nearest, best = alike.argmax(1), alike.max(1)
            near = np.flatnonzero(best >= ALIKE)
            self._as[known + near] = nearest[near]
            self._share[known + near] = best[near]

    def mapped(self, sessions: List[List[int]]) -> List[List[int]]:
        """Sessions with unknown events read as the nearest known ones."""
        return [self._as[session].tolist() for session in sessions]

    def chances(self, network: networks.Network, cut: Distinct, originals: np.ndarray) -> np.ndarray:
        """The probability of each target, float64 [targets]; 0 for what is unknown."""
        found: np.ndarray = networks.chances_of(network, cut.contexts, cut.targets)[cut.rows]
        return found * self._share[originals]

    def surprise(self, chances: np.ndarray) -> np.ndarray:
        """Minus the logarithm of probabilities, as if one more window had had any event: a floor for the unknown."""
        floor = 1.0 / (len(self._symbols.names) + 1)
        return -np.log((self._trained * chances + floor) / (self._trained + 1))


def _cut(
    sessions: List[List[int]], gaps: List[List[int]], symbols: Symbols, variant: Optional[Variant]
) -> Windows:
    events = windows(sessions, CONFIG, len(symbols.names))
    if variant is None or not variant.gaps:
        return events
    return networks.joined(events, windows(gaps, CONFIG, GAPS))


def _keep(
    found: Found,
    variant: str,
    seed: int,
    pair: Tuple[str, str],
    surprise: np.ndarray,
    cut: Windows,
    labels: np.ndarray,
) -> None:
    """Scores of a test, or what is chosen by, where ``pair`` names no test."""
    for score in scores.SCORES:
        values = scores.of_sessions(surprise, cut.offsets, score)
        key = (variant, seed, score)
        if pair[1]:
            found.tests.setdefault(key, {})[pair] = values
        else:
            found.chosen_by.setdefault(key, {})[pair[0]] = scores.average_precision(values, labels)
