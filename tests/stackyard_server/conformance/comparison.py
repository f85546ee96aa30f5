"""What differs between a recorded answer and the answer of the server under test.

Lives here: the rules of equality. Ids stand for each other one to one; times, durations, tokens and addresses are
compared in form only; numbers to 1e-6 (the recorded server answers in single precision); a cut text or list is compared
up to its cut; lists follow their order, or, where nothing ordered them, the ids of their items.
Lives elsewhere: which differences are accepted (``differences.json``). May import: ``mapping``, ``recordings``.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from .mapping import ACCESS_KEY, ID, MOMENT, Mapping
from .recordings import CUT_LIST, CUT_TEXT

RELATIVE_TOLERANCE = 1e-6
# Values without a meaning outside the server that made them: only their form is compared.
OPAQUE_KEYS = frozenset({"scroll_id", "token", "secret_key", "access_key", "ETag", "Etag"})
# Quantities of time, and what is counted per stretch of time.
TIMED_KEYS = frozenset(
    {
        "active_duration",
        "total_runtime",
        "duration",
        "avg_waiting_times",
        "last_used",
        "last_used_from",
        "running_time",
    }
)
TIMED_ENDPOINTS = frozenset({"queues.get_queue_metrics", "workers.get_stats", "workers.get_activity_report"})
HTTP_MOMENT = re.compile(r"^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} ")
_SECONDS = (1.7e9, 2.1e9)
_ATOM = re.compile(f"({ID.pattern}|{MOMENT.pattern})")
_ROLES = re.compile(r"allowed=\(([^)]*)\)")
_MISSING = object()


@dataclass(frozen=True)
class Difference:
    """One place at which two answers differ.

    Attributes:
        field: The place: keys joined by dots, ``#`` for any item of a list, ``*`` for a key that is an id.
        recorded: What was recorded there, shortened.
        ours: What the server under test answered there, shortened.
    """

    field: str
    recorded: str
    ours: str


def shorten(value: Any, limit: int = 160) -> str:
    """A value on one line, cut in the middle."""
    text = "(absent)" if value is _MISSING else repr(value)
    return text if len(text) <= limit else f"{text[: limit - 40]} ... {text[-34:]}"


def is_epoch(number: float) -> bool:
    """Whether a number reads as seconds or milliseconds of these years."""
    return any(_SECONDS[0] * unit <= number <= _SECONDS[1] * unit for unit in (1, 1000))


class Comparison:
    """Compares values, binding ids in a mapping as it goes."""

    def __init__(self, mapping: Mapping, *, ordered: bool = False, timed: bool = False) -> None:
        """Args:
        mapping: Where ids, addresses and moments are paired.
        ordered: The request asked for an order, so the answer's own lists may not be re-ordered.
        timed: The answer counts per stretch of time: numbers in lists are compared in type only.
        """
        self.mapping = mapping
        self.ordered = ordered
        self.timed = timed
        self.found: list[Difference] = []

    def compare(self, recorded: Any, ours: Any, field: str = "", key: str = "") -> bool:
        """Whether the two are equal; differences are added to ``found``."""
        if recorded is _MISSING or ours is _MISSING:
            return self._differ(field, recorded, ours)
        if key in OPAQUE_KEYS and isinstance(recorded, str) and recorded:
            if not isinstance(ours, str) or not ours:
                return self._differ(field, recorded, ours)
            self.mapping.replace_text(recorded, ours)
            return True
        if isinstance(recorded, dict):
            return self._compare_dicts(recorded, ours, field)
        if isinstance(recorded, list):
            return self._compare_lists(recorded, ours, field, key)
        if isinstance(recorded, str):
            return (isinstance(ours, str) and self._equal_texts(recorded, ours)) or self._differ(
                field, recorded, ours
            )
        if isinstance(recorded, bool) or recorded is None or isinstance(ours, bool):
            return recorded is ours or self._differ(field, recorded, ours)
        if isinstance(ours, int | float):
            return self._equal_numbers(recorded, ours, key) or self._differ(field, recorded, ours)
        return self._differ(field, recorded, ours)

    def _differ(self, field: str, recorded: Any, ours: Any) -> bool:
        self.found.append(Difference(field, shorten(recorded), shorten(ours)))
        return False

    def _equal_numbers(self, recorded: float, ours: float, key: str) -> bool:
        if recorded == ours or abs(recorded - ours) <= RELATIVE_TOLERANCE * max(abs(recorded), abs(ours)):
            return True
        if key in TIMED_KEYS or self.timed:
            return True
        return is_epoch(recorded) and is_epoch(ours) and (recorded > 1e12) == (ours > 1e12)

    def _equal_texts(self, recorded: str, ours: str) -> bool:
        if recorded == ours:
            if ID.fullmatch(recorded):
                self.mapping.bind(recorded, ours)
            return True
        if self.mapping.find_text(recorded) == ours:
            return True
        cut = CUT_TEXT.search(recorded)
        if cut:
            recorded = recorded[: cut.start()]
        if HTTP_MOMENT.match(recorded) and HTTP_MOMENT.match(ours):
            return True
        for theirs, address in self.mapping.addresses.items():
            if theirs in recorded and recorded.replace(theirs, address) != recorded:
                recorded = recorded.replace(theirs, address)
        if recorded == ours or (cut and ours.startswith(recorded)):
            return True
        recorded = ACCESS_KEY.sub(lambda found: self.mapping.translate_text(found.group()), recorded)
        # The recorded server prints sets here, in the order of the moment.
        recorded, ours = (_ROLES.sub(_sort_roles, text) for text in (recorded, ours))
        left, right = _ATOM.split(recorded), _ATOM.split(ours)
        if len(right) < len(left) or (not cut and len(left) != len(right)):
            return False
        for place, (atom, other) in enumerate(zip(left, right, strict=False)):
            last = bool(cut) and place == len(left) - 1
            if place % 2 == 0:
                if atom != other and not (last and other.startswith(atom)):
                    return False
            elif ID.fullmatch(atom):
                if not ID.fullmatch(other) or not self.mapping.bind(atom, other):
                    return False
            elif not MOMENT.fullmatch(other) or _suffix(atom) != _suffix(other):
                return False
            else:
                self.mapping.note_moments(atom, other)
        return True

    def _compare_dicts(self, recorded: dict[str, Any], ours: Any, field: str) -> bool:
        if not isinstance(ours, dict):
            return self._differ(field, recorded, ours)
        equal = True
        left = dict(recorded)
        seen: set[str] = set()
        for key, value in left.items():
            name = key if key in ours else (self.mapping.find_ours(key) or self.mapping.translate_text(key))
            is_id = bool(ID.fullmatch(key))
            if is_id and name not in ours:
                free = [
                    other for other in ours if other not in left and ID.fullmatch(other) and other not in seen
                ]
                name = free[0] if len(free) == 1 and self.mapping.bind(key, free[0]) else name
            seen.add(name)
            below = f"{field}.{'*' if is_id else key}" if field else key
            equal &= self.compare(value, ours.get(name, _MISSING), below, key)
        for key in ours:
            if key not in seen:
                below = f"{field}.{'*' if ID.fullmatch(key) else key}" if field else key
                equal &= self._differ(below, _MISSING, ours[key])
        return equal

    def _compare_lists(self, recorded: list[Any], ours: Any, field: str, key: str) -> bool:
        if not isinstance(ours, list):
            return self._differ(field, recorded, ours)
        length = len(recorded)
        cut = CUT_LIST.match(recorded[-1]) if recorded and isinstance(recorded[-1], str) else None
        if cut:
            recorded = recorded[:-1]
            length += int(cut.group(1)) - 1
        below = f"{field}.#"
        if self.timed:
            known = {type(item) for item in ours if not isinstance(item, dict | list)}
            if known <= {int, float} and all(isinstance(item, int | float) for item in recorded):
                return True
        if len(ours) != length:
            self._differ(f"{field}.length", length, len(ours))
            if all(isinstance(item, str) for item in [*recorded, *ours]):
                left, right = Counter(map(self.mapping.translate_text, recorded)), Counter(ours)
                self._differ(field, sorted((left - right).elements()), sorted((right - left).elements()))
            elif all(_identify(item) for item in recorded) and all(_identify(item) for item in ours):
                self._show_unpaired(recorded, ours, field)
            return False
        before = self.mapping.take_snapshot()
        mark = len(self.found)
        # A loop, not all(): every item is to be compared, so that every difference is seen.
        equal = True
        for item, other in zip(recorded, ours, strict=False):
            equal &= self.compare(item, other, below, key)
        if equal or (self.ordered and field.count(".") <= 1) or len(recorded) < 2:
            return equal
        differences = self.found[mark:]
        del self.found[mark:]
        after = self.mapping.take_snapshot()
        self.mapping.restore(before)
        if self._compare_in_any_order(recorded, ours, below, key):
            return True
        del self.found[mark:]
        self.mapping.restore(before)
        if self._compare_by_id(recorded, ours, below, key):
            return False
        self.mapping.restore(after)
        self.found.extend(differences)
        return False

    def _compare_in_any_order(self, recorded: list[Any], ours: list[Any], field: str, key: str) -> bool:
        """Whether every recorded item has an equal partner; leaves the differences of the best pairing it found."""
        rest = list(ours)
        for item in recorded:
            wanted = self.mapping.find_ours(_identify(item) or "")
            candidates = [other for other in rest if wanted and _identify(other) == wanted] or rest
            for other in candidates:
                snapshot, mark = self.mapping.take_snapshot(), len(self.found)
                if self.compare(item, other, field, key):
                    rest.remove(other)
                    break
                del self.found[mark:]
                self.mapping.restore(snapshot)
            else:
                return False
        return True

    def _compare_by_id(self, recorded: list[Any], ours: list[Any], field: str, key: str) -> bool:
        """Compares items whose ids belong together, order aside; False where not every item has its partner."""
        partners = {_identify(other): other for other in ours}
        wanted = [self.mapping.find_ours(_identify(item) or "") for item in recorded]
        if None in wanted or len(partners) != len(ours) or set(wanted) != set(partners):
            return False
        for item, name in zip(recorded, wanted, strict=True):
            self.compare(item, partners[name], field, key)
        return True

    def _show_unpaired(self, recorded: list[Any], ours: list[Any], field: str) -> None:
        """Names the items that only one side has, since their number alone says little."""
        partners = {
            self.mapping.find_ours(_identify(item) or "") or _identify(item): item for item in recorded
        }
        present = {_identify(item) for item in ours}
        missing = [item for name, item in partners.items() if name not in present]
        extra = [item for item in ours if _identify(item) not in partners]
        self._differ(
            f"{field}.unpaired", [_label(item) for item in missing], [_label(item) for item in extra]
        )


def _identify(item: Any) -> str | None:
    """The id of a listed object, None where it has none."""
    if isinstance(item, dict):
        name = item.get("id") or item.get("task")
        if isinstance(name, dict):
            name = name.get("id")
        return name if isinstance(name, str) else None
    return item if isinstance(item, str) and ID.fullmatch(item) else None


def _sort_roles(found: re.Match[str]) -> str:
    return f"allowed=({', '.join(sorted(found.group(1).split(', ')))})"


def _label(item: Any) -> str:
    return str(item.get("name") or _identify(item)) if isinstance(item, dict) else str(item)


def _suffix(moment: str) -> str:
    return "Z" if moment.endswith("Z") else moment[-6:] if moment[-6] in "+-" else ""
