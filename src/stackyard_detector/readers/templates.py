"""Raw log messages -> events: templates found by Drain, saved and loaded as plain JSON.

``drain`` has the algorithm. Saved are the templates and the settings, from which the tree is built anew; the set
that was just fitted is rebuilt the same way, so that training and inference number every message alike.
Standard library only.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Dict, Iterable, List, Sequence, Set, Tuple

from stackyard_detector.readers.capture import JOINT
from stackyard_detector.readers.drain import Drain
from stackyard_detector.readers.masks import MASKS, Masked
from stackyard_task import records
from stackyard_task.channel import BadInput

API_VERSION = 1
#: The event of a message that fits no template: a name no model was trained on.
UNMATCHED = "<unmatched>"

#: Distinct masked messages remembered with their event, and distinct tokens with what masks make of them.
REMEMBERED = 100_000
#: And their characters together: a hostile log has long messages.
REMEMBERED_CHARACTERS = 1 << 25
#: More templates than this are free text, not templates; each message is compared with many of them.
MOST_TEMPLATES = 10_000
#: The same is true where messages were compared with templates so often: a minute or two of a processor, and more
#: for each message than it takes to mask it.
MOST_COMPARISONS = 100_000_000
COMPARISONS_EACH = 100
#: Matching is to end as well: after that many comparisons, a message is compared with so many templates at most.
COMPARED_AFTERWARDS = 1000
#: The tokens of a message that count: the first ones.
MOST_TOKENS = 1000


def _costly(drain: Drain) -> bool:
    """Whether messages were compared with templates too often."""
    return drain.comparisons > MOST_COMPARISONS + COMPARISONS_EACH * drain.messages


class EventTemplates:
    """A set of message templates, each with an event name "E1", "E2"...

    Args:
        depth: depth of Drain's tree.
        similarity: least share of equal tokens for a message to join a template.
        max_children: most branches of a node.
        masks: (pattern, replacement) pairs applied in order before tokens are compared.
    """

    def __init__(
        self,
        depth: int = 4,
        similarity: float = 0.4,
        max_children: int = 100,
        masks: Sequence[Sequence[str]] = MASKS,
    ) -> None:
        self._settings = {"depth": depth, "similarity": similarity, "max_children": max_children}
        self._masks = [(str(p), str(r)) for p, r in masks]
        self._masked = Masked(self._masks, REMEMBERED)
        self._drain = self._new_drain()
        self._remembered: Dict[Tuple[str, ...], str] = {}
        self._characters = 0

    def __len__(self) -> int:
        return len(self._drain.templates)

    @property
    def masks(self) -> Tuple[Tuple[str, str], ...]:
        """(regular expression, replacement) pairs, in the order they are applied."""
        return tuple(self._masks)

    @property
    def events(self) -> Dict[str, str]:
        """Event name -> template text."""
        return {f"E{i}": " ".join(tokens) for i, tokens in enumerate(self._drain.templates, 1)}

    def texts(self, events: Iterable[str]) -> Dict[str, str]:
        """Event -> its text, for those of ``events`` that have a template in their name ("E12", "sshd|E12")."""
        templates = self.events
        texts = {}
        for event in events:
            parts = event.split(JOINT)
            if any(part in templates for part in parts):
                texts[event] = JOINT.join([templates.get(part, part) for part in parts])
        return texts

    def fit(self, messages: Iterable[str]) -> EventTemplates:
        """Find the templates of ``messages``; the same messages give the same templates. Returns self.

        Raises:
            BadInput: there are more than MOST_TEMPLATES, or too many alike.
        """
        drain = self._new_drain()
        seen: Set[Tuple[str, ...]] = set()
        characters = 0
        masked = self._masked.tokens
        for message in messages:
            tokens = masked(message)[:MOST_TOKENS]
            # An equal masked message changes no template: Drain gets each once.
            if tokens in seen:
                continue
            characters += len(message)
            if len(seen) >= REMEMBERED or characters > REMEMBERED_CHARACTERS:
                seen.clear()
                characters = len(message)
            seen.add(tokens)
            drain.learn(tokens)
            if len(drain.templates) > MOST_TEMPLATES or _costly(drain):
                raise BadInput(
                    f"the messages have too many templates ({len(drain.templates)}), so they are free text; name "
                    "event_pattern, or a message_pattern or masks that leave out what varies"
                )
        self._rebuild(drain.templates)
        return self

    def match(self, message: str) -> str:
        """The event of ``message``: the name of its template, or UNMATCHED."""
        tokens = self._masked.tokens(message)[:MOST_TOKENS]
        event = self._remembered.get(tokens)
        if event is None:
            number = self._drain.match(tokens, COMPARED_AFTERWARDS if _costly(self._drain) else None)
            event = UNMATCHED if number is None else f"E{number + 1}"
            self._characters += len(message)
            if len(self._remembered) >= REMEMBERED or self._characters > REMEMBERED_CHARACTERS:
                self._remembered.clear()
                self._characters = len(message)
            self._remembered[tokens] = event
        return event

    def remarks(self) -> List[str]:
        """What happened in matching that a user should know, a sentence each."""
        skipped = self._drain.skipped
        if not skipped:
            return []
        return [
            f"most messages are free text: from some point on, each was compared with at most {COMPARED_AFTERWARDS} "
            f"templates, and {skipped} different ones are {UNMATCHED}; name event_pattern, or a "
            "message_pattern or masks that leave out what varies"
        ]

    def save(self, path: Path) -> None:
        """Write the set as JSON, atomically."""
        records.write_json(
            {
                "api_version": API_VERSION,
                "kind": "event-templates",
                "settings": self._settings,
                "masks": [list(m) for m in self._masks],
                "templates": [list(tokens) for tokens in self._drain.templates],
            },
            Path(path),
        )

    @classmethod
    def load(cls, path: Path) -> EventTemplates:
        """The set that ``save`` wrote.

        Raises:
            BadInput: missing, not JSON, or not a template set of a version this program reads.
        """
        try:
            with records.opened(Path(path)) as file:
                value = json.loads(file.read().decode("utf-8"))
        except OSError as error:
            raise BadInput(f"{path}: the template set cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}: the template set is not JSON ({error})") from error
        try:
            if value["kind"] != "event-templates" or value["api_version"] > API_VERSION:
                raise ValueError(f"kind {value['kind']!r}, api_version {value['api_version']!r}")
            made = cls(masks=[(p, r) for p, r in value["masks"]], **value["settings"])
            templates = [[str(token) for token in tokens] for tokens in value["templates"]]
        except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
            raise BadInput(f"{path}: is not a template set of version {API_VERSION} ({error})") from error
        made._rebuild(templates)
        return made

    def _new_drain(self) -> Drain:
        settings = self._settings
        return Drain(int(settings["depth"]), float(settings["similarity"]), int(settings["max_children"]))

    def _rebuild(self, templates: Iterable[Sequence[str]]) -> None:
        drain = self._new_drain()
        for tokens in templates:
            drain.add(tokens)
        self._drain, self._remembered = drain, {}
