"""What a task was made from, read from what it says: data sets, models and artifacts its parameters name. Pure.

Dispatched tasks name inputs in parameter values (``clearml-dataset:<id>/<path>``, ``clearml-model:<id>``,
``clearml-artifact:<task id>/<name>``); the SDK keeps the ids of data sets in the section ``Datasets``; a data set
keeps its parents in the configuration object ``Dataset Struct``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

_NAMED = re.compile(r"clearml-(dataset|model|artifact):([0-9a-f]{32})")
_ID = re.compile(r"[0-9a-f]{32}")
DATASETS_SECTION = "Datasets"
STRUCTURE = "Dataset Struct"
#: Of a data set with some 10,000 ancestors; reading more would hold everybody up.
LONGEST_STRUCTURE = 2_000_000


@dataclass(frozen=True, slots=True)
class Reference:
    """Something that a task was given."""

    kind: Literal["dataset", "model", "artifact"]
    #: The data set's or task's id, or the model's.
    id: str
    #: Which parameter names it.
    where: str


def references(hyperparams: Mapping[str, Any] | None) -> list[Reference]:
    """What the parameters of a task name, each once."""
    found: dict[tuple[str, str], Reference] = {}
    for section, parameters in (hyperparams or {}).items():
        for name, parameter in parameters.items():
            value, where = str(parameter.get("value") or ""), f"{section}/{name}"
            if section == DATASETS_SECTION and _ID.fullmatch(value):
                found.setdefault(("dataset", value), Reference("dataset", value, where))
            for kind, id in _NAMED.findall(value):
                found.setdefault((kind, id), Reference(kind, id, where))
    return list(found.values())


def dataset_parents(id: str, configuration: Mapping[str, Any] | None) -> list[str]:
    """The ids of the data sets that a data set extends; none where its structure cannot be read."""
    text = ((configuration or {}).get(STRUCTURE) or {}).get("value")
    if len(text or "") > LONGEST_STRUCTURE:
        return []
    try:
        nodes: dict[str, dict[str, Any]] = json.loads(text or "{}")
        own = next((node for node in nodes.values() if node.get("job_id") == id), {})
        parents = [nodes[str(number)]["job_id"] for number in own.get("parents") or []]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
    return [parent for parent in parents if isinstance(parent, str) and _ID.fullmatch(parent)]
