"""References inside parameters: ``data:NAME``, ``prepared:NAME/FILE``, ``dataset:SET/FILE``. Pure.

Finds them, checks what they name, and replaces them by what the caller's functions answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DATA = "data:"
PREPARED = "prepared:"
DATASET = "dataset:"
#: Keys whose plain relative values are paths seen from the scenario file.
PATH_KEYS = ("path", "labels_path", "templates_path", "model", "resume_from")

#: Of those, the keys of a source.
_SOURCE_KEYS = PATH_KEYS[:3]


@dataclass(frozen=True)
class References:
    """How references become paths: each function takes what stands behind the colon."""

    dataset: Callable[[str], str]
    prepared: Callable[[str], str]
    #: A plain relative path of a source: the path seen from the scenario file.
    beside: Callable[[str], str]


def strings(value: Any) -> Iterator[str]:
    """Every text inside ``value``, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from strings(inner)


def expanded(value: Any, data: Mapping[str, Any]) -> Any:
    """``value`` with every ``data:NAME`` replaced by ``{"sources": [...]}``; unknown names stay."""
    if isinstance(value, str) and value.startswith(DATA) and value[len(DATA) :] in data:
        return {"sources": [dict(source) for source in data[value[len(DATA) :]]]}
    if isinstance(value, Mapping):
        return {key: expanded(inner, data) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [expanded(inner, data) for inner in value]
    return value


def prepared_names(value: Any, data: Mapping[str, Any]) -> set[str]:
    """Names of the preparations that ``value``, or the data it names, refers to."""
    value = expanded(value, data)
    return {text[len(PREPARED) :].split("/", 1)[0] for text in strings(value) if text.startswith(PREPARED)}


def dataset_references(value: Any, data: Mapping[str, Any]) -> set[str]:
    """The ``dataset:...`` references inside ``value`` or the data it names."""
    return {text for text in strings(expanded(value, data)) if text.startswith(DATASET)}


def files(value: Any, data: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """The files that ``value`` names, each with its key: paths of sources, and references to data sets anywhere.

    Args:
        value: parameters, references not yet replaced.
        data: the tables [data.NAME].
        where: the key of ``value``.
    """
    if isinstance(value, str):
        if value.startswith(DATA) and value[len(DATA) :] in data:
            name = value[len(DATA) :]
            yield from files({"sources": data[name]}, {}, f"data.{name}")
        elif value.startswith(DATASET):
            yield where, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "sources" and isinstance(inner, (list, tuple)):
                for index, source in enumerate(inner):
                    for of in _SOURCE_KEYS if isinstance(source, Mapping) else ():
                        if isinstance(source.get(of), str) and not source[of].startswith(DATASET):
                            yield f"{where}.sources[{index}].{of}", source[of]
            yield from files(inner, data, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from files(inner, data, f"{where}[{index}]")


def of_inputs(inputs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """A command's inputs as parameters that name paths, so that whatever looks for references finds them there."""
    return {name: {"path": text} for name, text in inputs.items()}


def resolved(value: Any, data: Mapping[str, Any], references: References) -> Any:
    """``value`` with every reference replaced by what it stands for."""
    return _resolved(expanded(value, data), references, key="")


def _resolved(value: Any, references: References, key: str) -> Any:
    if isinstance(value, str):
        if value.startswith(PREPARED):
            return references.prepared(value[len(PREPARED) :])
        if value.startswith(DATASET):
            return references.dataset(value)
        if key in PATH_KEYS and not value.startswith("/"):
            return references.beside(value)
        return value
    if isinstance(value, Mapping):
        return {name: _resolved(inner, references, name) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_resolved(inner, references, key) for inner in value]
    return value
