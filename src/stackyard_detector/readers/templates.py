"""Raw log messages -> events: templates found by Drain, saved and loaded as plain JSON.

The algorithm is Drain (He et al. 2017, "Drain: An online log parsing approach with fixed depth tree", section
III), in the ``drain3`` package, imported here and only when a template set is made or used. drain3's own
saved state is a pickle in JSON clothes (jsonpickle): it is not used. Saved are the templates and the
settings, from which the tree is built anew; the set that was just fitted is rebuilt the same way, so that
training and inference number every message alike.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence, Tuple

from stackyard_detector.readers.masks import MASKS
from stackyard_task import records
from stackyard_task.channel import BadInput

API_VERSION = 1
#: The event of a message that fits no template: a name no model was trained on.
UNMATCHED = "<unmatched>"

#: Distinct masked messages remembered with their event.
REMEMBERED = 100_000


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
        self._compiled = [(re.compile(p), r) for p, r in self._masks]
        self._templates: List[List[str]] = []
        self._drain: Any = None
        self._remembered: Dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._templates)

    @property
    def masks(self) -> Tuple[Tuple[str, str], ...]:
        """(regular expression, replacement) pairs, in the order they are applied."""
        return tuple(self._masks)

    @property
    def events(self) -> Dict[str, str]:
        """Event name -> template text."""
        return {f"E{i}": " ".join(tokens) for i, tokens in enumerate(self._templates, 1)}

    def fit(self, messages: Iterable[str]) -> EventTemplates:
        """Find the templates of ``messages``; the same messages give the same templates. Returns self."""
        drain = self._new_drain()
        seen: Dict[str, None] = {}
        for message in messages:
            masked = self._masked(message)
            # An equal masked message changes no template: Drain gets each once.
            if masked in seen:
                continue
            if len(seen) >= REMEMBERED:
                seen.clear()
            seen[masked] = None
            drain.add_log_message(masked)
        clusters = sorted(drain.clusters, key=lambda c: c.cluster_id)
        self._rebuild([list(c.log_template_tokens) for c in clusters])
        return self

    def match(self, message: str) -> str:
        """The event of ``message``: the name of its template, or UNMATCHED."""
        masked = self._masked(message)
        event = self._remembered.get(masked)
        if event is None:
            if self._drain is None:
                self._rebuild(self._templates)
            cluster = self._drain.match(masked, full_search_strategy="fallback")
            event = UNMATCHED if cluster is None else f"E{cluster.cluster_id}"
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[masked] = event
        return event

    def save(self, path: Path) -> None:
        """Write the set as JSON, atomically."""
        records.write_json(
            {
                "api_version": API_VERSION,
                "kind": "event-templates",
                "settings": self._settings,
                "masks": [list(m) for m in self._masks],
                "templates": self._templates,
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
        made._templates = templates
        return made

    def _masked(self, message: str) -> str:
        for pattern, replacement in self._compiled:
            message = pattern.sub(replacement, message)
        return message

    def _new_drain(self) -> Any:
        try:
            from drain3.drain import Drain
        except ImportError as error:
            raise BadInput(
                "raw log lines need the package drain3, which this stack lacks; add it to the stack's lock"
            ) from error
        return Drain(
            depth=int(self._settings["depth"]),
            sim_th=float(self._settings["similarity"]),
            max_children=int(self._settings["max_children"]),
        )

    def _rebuild(self, templates: List[List[str]]) -> None:
        drain = self._new_drain()
        from drain3.drain import LogCluster

        for number, tokens in enumerate(templates, 1):
            cluster = LogCluster(tokens, number)
            drain.id_to_cluster[number] = cluster
            drain.add_seq_to_prefix_tree(drain.root_node, cluster)
        drain.clusters_counter = len(templates)
        self._templates, self._drain, self._remembered = templates, drain, {}
