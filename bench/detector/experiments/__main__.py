"""``python -m bench.detector.experiments``: what might help on sites that training never saw, and what does not.

Not a part of ``bench.detector``'s figures: they hold the product as it is. Needs PyTorch and the shared data sets; one
core. Prints markdown tables (docs/detector-experiments.md has them) and writes all rows with ``--json``.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np

from bench.detector.experiments import demo, runs, scores, sets, tables
from bench.result import Result, arguments, data_absent, data_folder

Areas = Callable[[runs.Key], np.ndarray]


def main() -> None:
    """Parse the options, run all groups, print the tables."""
    parser = arguments("detector.experiments", "Variants of the detector, held to sites that it never saw.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the data sets")
    parser.add_argument(
        "--only", choices=[*sets.groups(Path()), "demo"], action="append", help="only these; may be repeated"
    )
    parser.add_argument(
        "--show", type=Path, action="append", metavar="FILE", help="only print what a run wrote"
    )
    options = parser.parse_args()
    if options.show:
        print(tables.markdown([row for file in options.show for row in json.loads(file.read_text())["rows"]]))
        return
    folder = data_folder(options.data)
    result = Result("detector.experiments")
    if folder is None:
        data_absent(result, "no folder of data sets; give --data or $STACKYARD_DATA", options.json)
        return
    import torch

    torch.set_num_threads(1)
    seeds = runs.SEEDS[:1] if options.quick else runs.SEEDS
    for name, read in sets.groups(folder, options.quick).items():
        if options.only and name not in options.only:
            continue
        began = time.process_time()
        try:
            group = read()
        except FileNotFoundError as error:
            result.row(group=name, not_measured=str(error))
            continue
        found = runs.Found()
        runs.run_baselines(group, found)
        for variant in runs.VARIANTS:
            if options.variant and variant.name not in (runs.BASE, *options.variant):
                continue
            if (variant.text or variant.nearest) and not group.texts:
                continue
            if variant.gaps and any(site.gaps is None for site in group.sites.values()):
                continue
            if variant.nearest and all(a == b for a, b in group.pairs):
                continue
            runs.run(group, variant, seeds, 60 if options.quick else group.steps, found)
            print(f"{name}: {variant.name}, {time.process_time() - began:.0f} s", flush=True)
        for title, pairs in group.tables.items():
            Table(title, group, pairs, found, seeds).rows(result)
        result.row(group=name, cpu_seconds=round(time.process_time() - began, 1))
        if options.json is not None:
            result.write(options.json)
    if not options.only or "demo" in options.only:
        demo.figures(result, options.quick)
    print(tables.markdown(result.rows))
    result.finish(options.json)


class Table:
    """What a group's runs say: mean average precision, and how far it is from that of the base, by bootstrap."""

    def __init__(
        self,
        name: str,
        group: sets.Group,
        pairs: List[Tuple[str, str]],
        found: runs.Found,
        seeds: Tuple[int, ...],
    ) -> None:
        self._name, self._group, self._pairs, self._found = name, group, pairs, found
        # The same draws of a site's sessions for all variants, and whichever site trained.
        self._weights = {
            target: np.vstack(
                [np.ones((1, len(group.sites[target].labels))), scores.draws(group.sites[target].labels, n)]
            )
            for n, target in enumerate(dict.fromkeys(target for _, target in pairs))
        }
        self._seeds = seeds
        self._base = self._drawn(runs.BASE, seeds, scores.DEFAULT_SCORE)
        self.lines: List[Dict[str, object]] = []
        variants = [v.name for v in runs.VARIANTS if v.name in found.losses]
        for variant in variants:
            self._line(variant, seeds, scores.DEFAULT_SCORE)
        for score in list(scores.SCORES)[1:]:
            self._line(runs.BASE, seeds, score)
        if len(seeds) > 1:
            for variant in variants:
                self._line(variant, (runs.ENSEMBLE,), scores.DEFAULT_SCORE)
        for variant in variants[1:]:
            self._line(variant, seeds, "soft maximum, sharpness 2")
        for baseline in [key[0] for key in found.tests if key[2] == ""]:
            self._line(baseline, (0,), "")

    def _drawn(self, variant: str, seeds: Tuple[int, ...], score: str) -> np.ndarray:
        """Mean over pairs and seeds of the average precision: as it is, then in each bootstrap sample."""
        total: Optional[np.ndarray] = None
        for source, target in self._pairs:
            labels, weights = self._group.sites[target].labels, self._weights[target]
            for seed in seeds:
                values = self._found.tests[(variant, seed, score)][(source, target)]
                areas = scores.Curve(values, labels).areas(weights)
                total = areas if total is None else total + areas
        assert total is not None
        return total / (len(self._pairs) * len(seeds))

    def _line(self, variant: str, seeds: Tuple[int, ...], score: str) -> None:
        drawn = self._drawn(variant, seeds, score)
        by_seed = [self._drawn_once(variant, seed, score) for seed in seeds]
        differs = drawn - self._base
        alike = drawn - (self._drawn(runs.BASE, self._seeds, score) if score else self._base)
        chosen = (
            [np.mean(list(self._found.chosen_by[(variant, s, score)].values())) for s in seeds]
            if score
            else None
        )
        self.lines.append(
            {
                "variant": variant,
                "score": score,
                "ensemble": seeds == (runs.ENSEMBLE,),
                "auprc": float(drawn[0]),
                "auprc_by_seed": by_seed,
                "auprc_interval": scores.interval(drawn[1:]),
                "difference": float(differs[0]),
                "difference_interval": scores.interval(differs[1:]),
                "difference_at_same_score": float(alike[0]),
                "difference_at_same_score_interval": scores.interval(alike[1:]),
                "auprc_of_corrupted_validation": None if chosen is None else float(np.mean(chosen)),
                "validation_loss": None if not score else float(np.mean(self._found.losses[variant])),
                "training_cpu_seconds": None if not score else round(self._found.seconds[variant], 1),
            }
        )

    def _drawn_once(self, variant: str, seed: int, score: str) -> float:
        found = self._found.tests[(variant, seed, score)]
        return float(
            np.mean(
                [
                    scores.average_precision(found[pair], self._group.sites[pair[1]].labels)
                    for pair in self._pairs
                ]
            )
        )

    def rows(self, result: Result) -> None:
        """All lines, and the average precision of each pair for the base and the baselines."""
        for line in self.lines:
            result.row(group=self._name, **line)
        for (variant, seed, score), found in self._found.tests.items():
            if not score or (variant == runs.BASE and score == scores.DEFAULT_SCORE):
                for pair in self._pairs:
                    values = found[pair]
                    area = scores.average_precision(values, self._group.sites[pair[1]].labels)
                    result.row(
                        group=self._name,
                        variant=variant,
                        seed=seed,
                        trained_on=pair[0],
                        tested_on=pair[1],
                        auprc=area,
                    )


if __name__ == "__main__":
    main()
