"""The demonstration's simulated sessions: what the product's network finds there, beside the baselines.

Half of the attacks are made so that n-grams cannot see them (docs/data.md), so this says what the network can do, not
what it finds on a network.
"""

from __future__ import annotations

from typing import Dict, List

import numpy as np

from bench.detector.experiments import scores
from bench.detector.experiments.runs import SEEDS
from bench.result import Result
from stackyard_detector.detector import baselines, fast_scoring, training
from stackyard_detector.detector.config import DetectorConfig
from stackyard_detector.detector.scores import EventScores
from stackyard_detector.detector.vocabulary import Vocabulary
from stackyard_detector.detector.windows import pack
from stackyard_detector.simulation.attacks import KINDS
from stackyard_detector.simulation.sessions import simulated_sessions

#: Title -> seed, sessions to train on, sessions of the test, windows per step (8 epochs): as the workload, the scenario
#: and the pipeline write and learn them.
DATA = {
    "default of simulate-firewall": (1, 2400, 1600, 256),
    "detector-quickstart.toml and the pipeline": (7, 600, 400, 64),
}
VALIDATION_SHARE = 0.2


def figures(result: Result, quick: bool) -> None:
    """Fill rows into ``result``."""
    for title, (seed, trained, tested, batch) in DATA.items():
        sessions = [s.events for s in simulated_sessions(2 * seed, trained, 0.0)]
        test = list(simulated_sessions(2 * seed + 1, tested, 0.25))
        labels = np.array([s.label for s in test])
        kinds = np.array([s.attack_kind or "" for s in test])
        held_back = round(VALIDATION_SHARE * trained)
        kept, validation = sessions[held_back:], sessions[:held_back]
        vocabulary = Vocabulary.from_sessions(kept)
        coded = [
            pack([vocabulary.encode(s) for s in part])
            for part in (kept, validation, [s.events for s in test])
        ]
        values: Dict[str, List[np.ndarray]] = {}
        for name, kind in baselines.BASELINES.items():
            values[name] = [kind.fit(coded[0], vocabulary.size).score(coded[2]).sessions]
        for number in SEEDS[: 1 if quick else None]:
            how = training.TrainingParameters(
                epochs=1 if quick else 8, batch_size=batch, frequency_exponent=0.5, seed=number
            )
            model = training.train(
                coded[0], coded[1], DetectorConfig(start_padding=True), vocabulary.size, how
            )
            ranks = fast_scoring.session_ranks(model.weights(), coded[2])
            floor = 1.0 / (len(coded[0].values) * (vocabulary.size + 1))
            surprise = -np.log(np.exp(-ranks.surprise.astype(np.float64)) + floor)
            found = EventScores(ranks.offsets, surprise, "soft-maximum").sessions
            values.setdefault("network", []).append(found)
        for name in ["network", *baselines.BASELINES]:
            areas = [scores.average_precision(v, labels) for v in values[name]]
            by_kind = {}
            for kind in KINDS:
                rows = (kinds == kind) | (labels == 0)
                by_kind[kind] = [scores.average_precision(v[rows], labels[rows]) for v in values[name]]
            result.row(
                part="demo", data=title, detector=name, auprc_by_seed=areas, auprc_by_seed_of_kind=by_kind
            )
