"""A small genetic search over settings: tournaments, uniform crossover, mutation, and the best one always stays.

The plain generational algorithm of the textbooks (Eiben and Smith, Introduction to Evolutionary Computing, 2015,
chapters 3 to 5). Pure: chance comes from a seed, and what is tried once is not tried again.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

#: So many individuals compete for being a parent.
TOURNAMENT = 3
#: Chance that a gene comes from the second parent, and that it changes.
CROSSOVER, MUTATION = 0.5, 0.3
#: A child that was tried before is changed again, so often at most.
TRIES = 20
#: A number moves by this part of its range, as the deviation of a normal distribution.
STRIDE = 0.2


@dataclass(frozen=True)
class Gene:
    """One setting: a choice of ``values``, or a whole or real number from ``low`` to ``high``."""

    name: str
    values: Tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    #: Whether its logarithm is what is drawn evenly.
    log: bool = False

    def drawn(self, chance: random.Random) -> Any:
        """Any value."""
        return chance.choice(self.values) if self.values else self._at(chance.random())

    def changed(self, value: Any, chance: random.Random) -> Any:
        """Another value, near ``value`` where it is a number."""
        if self.values:
            return chance.choice([one for one in self.values if one != value] or list(self.values))
        place = (self._scaled(value) - self._scaled(self.low)) / (
            self._scaled(self.high) - self._scaled(self.low)
        )
        return self._at(min(1.0, max(0.0, place + chance.gauss(0.0, STRIDE))))

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value

    def _at(self, place: float) -> Any:
        low, high = self._scaled(self.low), self._scaled(self.high)
        value = low + place * (high - low)
        value = min(self.high, max(self.low, math.exp(value) if self.log else value))
        return round(value) if self.whole else value


@dataclass(frozen=True)
class Found:
    """The best settings, their score, and how many were tried."""

    settings: Dict[str, Any]
    score: float
    tried: int


def search(
    genes: Sequence[Gene],
    begin: Mapping[str, Any],
    scores: Callable[[List[Dict[str, Any]]], List[float]],
    population: int,
    generations: int,
    seed: int,
) -> Found:
    """The settings with the greatest score.

    Args:
        genes: What is searched.
        begin: The first individual, such as the defaults.
        scores: Answers a score for each of several settings; NaN counts as the worst.
        population: Individuals of a generation, at least 2.
        generations: After the first one.
        seed: Where chance begins.
    """
    chance = random.Random(seed)
    known: Dict[str, float] = {}
    alive = [dict(begin)]
    while len(alive) < population:
        alive.append(_new({gene.name: gene.drawn(chance) for gene in genes}, genes, known, alive, chance))
    _judge(alive, known, scores)
    for _ in range(generations):
        best = max(alive, key=lambda one: known[_key(one)])
        children = [best]
        while len(children) < population:
            first, second = (_winner(alive, known, chance) for _ in range(2))
            child = {
                name: second[name] if chance.random() < CROSSOVER else value for name, value in first.items()
            }
            children.append(_new(child, genes, known, children, chance))
        alive = children
        _judge(alive, known, scores)
    best = max(alive, key=lambda one: known[_key(one)])
    return Found(best, known[_key(best)], len(known))


def _key(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


def _new(
    child: Dict[str, Any],
    genes: Sequence[Gene],
    known: Mapping[str, float],
    others: Sequence[Mapping[str, Any]],
    chance: random.Random,
) -> Dict[str, Any]:
    """``child`` with some genes changed, and changed again while it was tried before."""
    for gene in genes:
        if chance.random() < MUTATION:
            child[gene.name] = gene.changed(child[gene.name], chance)
    for _ in range(TRIES):
        if _key(child) not in known and child not in others:
            break
        gene = chance.choice(genes)
        child[gene.name] = gene.changed(child[gene.name], chance)
    return child


def _winner(
    alive: Sequence[Dict[str, Any]], known: Mapping[str, float], chance: random.Random
) -> Dict[str, Any]:
    return max((chance.choice(alive) for _ in range(TOURNAMENT)), key=lambda one: known[_key(one)])


def _judge(
    alive: Sequence[Dict[str, Any]],
    known: Dict[str, float],
    scores: Callable[[List[Dict[str, Any]]], List[float]],
) -> None:
    """Score those that are not known yet."""
    fresh = {_key(one): one for one in alive if _key(one) not in known}
    for key, score in zip(fresh, scores(list(fresh.values())) if fresh else []):
        known[key] = -math.inf if math.isnan(score) else score
