"""What a run of a pipeline is made of, as digests, and in what two runs differ.

``made_of`` reads the files that the pipeline names; the rest is pure. A server is asked by the caller.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard.clearml.pipelines.definition import Pipeline
from stackyard.clearml.sending import digest_of
from stackyard.scenarios import references
from stackyard.workloads import code_folders
from stackyard.workloads.folder import Folder
from stackyard.workloads.folder import differences as folder_differences
from stackyard_task.commands import Command
from stackyard_task.records import RecordError, from_json

CLEARML_DATASET = "clearml-dataset:"
#: The files of a folder are not listed one by one where their names are longer together; so many letters of a mark tell
#: two files apart.
_MOST_NAME_LETTERS, _MARK_LETTERS, _DIGEST_LETTERS = 100_000, 16, 64
#: Files that a reason names.
_MOST_NAMED = 5


@dataclass(frozen=True)
class MadeOf:
    """Digests and ids of everything that decides what a run of a pipeline does."""

    #: SHA-256 of the task's code.
    code: str
    #: SHA-256 of the pipeline's definition: steps, parameters, queues; not comments, not where files lie.
    definition: str
    #: Name of a file or data set -> SHA-256 or version id.
    data: Mapping[str, str] = field(default_factory=dict)
    #: Stack -> digest.
    stacks: Mapping[str, str] = field(default_factory=dict)
    #: Step that is a command -> digest of the folder that travels with it.
    folders: Mapping[str, str] = field(default_factory=dict)
    #: Digest of a folder -> what marks each of its files; without those of very many.
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """One digest of all of it."""
        return _digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "code": self.code,
            "definition": self.definition,
            "data": dict(self.data),
            "stacks": dict(self.stacks),
            "folders": dict(self.folders),
            "files": {digest: dict(files) for digest, files in self.files.items()},
        }

    @classmethod
    def from_json(cls, value: Any) -> MadeOf | None:
        """What ``to_json`` gave, or ``None`` where it is something else."""
        try:
            return from_json(cls, value)
        except RecordError:
            return None


def made_of(
    pipeline: Pipeline,
    *,
    code: str,
    stacks: Mapping[str, str],
    file_of: Callable[[str, str], Path | None],
    dataset_id: Callable[[str], str],
    folders: Mapping[str, Folder] | None = None,
) -> MadeOf:
    """What a run of ``pipeline`` would be made of now.

    Args:
        pipeline: the pipeline.
        code: digest of the task's code.
        stacks: stack -> digest.
        file_of: (key, text) -> the local file that a parameter's text names, or ``None`` if it names none.
        dataset_id: what stands behind ``clearml-dataset:`` -> the id of that version.
        folders: step that is a command -> the folder that travels with it.

    Raises:
        OSError: a file cannot be read.
    """
    data: dict[str, str] = {}
    definition: list[Any] = []

    def seen(value: Any, key: str = "") -> Any:
        if isinstance(value, str):
            if value.startswith(CLEARML_DATASET):
                data[value] = dataset_id(value[len(CLEARML_DATASET) :])
            else:
                path = file_of(key, value)
                if path is not None:
                    data[value] = _content_digest(path)
            return value
        if isinstance(value, Mapping):
            return {name: seen(inner, name) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [seen(inner, key) for inner in value]
        return value

    for step in pipeline.steps:
        definition.append(
            {
                "name": step.name,
                "workload": step.workload,
                "queue": step.queue,
                "stack": step.stack,
                "needs": step.needs,
                "parameters": seen(step.parameters),
                "limits": [step.cores, step.memory_bytes, step.threads, step.time_limit_seconds],
            }
        )
        if step.command is not None:  # a function's is what it was before there were commands
            definition[-1]["command"] = _command(step.command)
            definition[-1]["inputs"] = seen(references.of_inputs(step.inputs))
    used = {step.stack: stacks[step.stack] for step in pipeline.steps}
    travelling = folders or {}
    files = {
        folder.digest: {
            name: mark[:_MARK_LETTERS] + mark[_DIGEST_LETTERS:] for name, mark in folder.marks.items()
        }
        for folder in travelling.values()
        if sum(map(len, folder.files)) <= _MOST_NAME_LETTERS
    }
    digests = {step: folder.digest for step, folder in travelling.items()}
    return MadeOf(code, _digest(definition), data, used, digests, files)


def differences(earlier: MadeOf, now: MadeOf) -> list[str]:
    """In what two runs differ, one clause each; empty: in nothing."""
    found = []
    if earlier.code != now.code:
        found.append(f"code ({earlier.code[:12]} -> {now.code[:12]})")
    if earlier.definition != now.definition:
        found.append("the pipeline's definition")
    for what, old, new in (("data", earlier.data, now.data), ("stack", earlier.stacks, now.stacks)):
        changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        found += [f"{what} {_shown(name)}" for name in changed]
    return found + _of_folders(earlier, now)


def _of_folders(earlier: MadeOf, now: MadeOf) -> list[str]:
    """In what the folders differ of commands that both runs have, with the names of files."""
    steps: dict[tuple[str, str], list[str]] = {}
    for step in now.folders:
        pair = earlier.folders.get(step, ""), now.folders[step]
        if step in earlier.folders and pair[0] != pair[1]:
            steps.setdefault(pair, []).append(step)
    found = []
    for (old, new), names in steps.items():
        before, after = earlier.files.get(old), now.files.get(new)
        said = [] if before is None or after is None else folder_differences(before, after)
        if len(said) > _MOST_NAMED:
            said[_MOST_NAMED:] = [f"and {len(said) - _MOST_NAMED} more"]
        found.append(f"code of {', '.join(names)}" + (f" ({'; '.join(said)})" if said else ""))
    return found


def _command(command: Command) -> dict[str, Any]:
    """What of a command decides what a step does, but for what its inputs and its folder hold."""
    return {
        "words": command.words,
        "arguments": command.arguments,
        "environment": command.environment,
        "parameters_format": command.parameters_format,
        "metrics": command.metrics,
        "hook": command.hook,
    }


def is_path(key: str, text: str) -> bool:
    """Whether a parameter's text names a file of this machine, seen from the pipeline's file."""
    return text.startswith((references.DATASET, "/")) or (
        key in references.PATH_KEYS and code_folders.is_path(text)
    )


def _shown(name: str) -> str:
    return name.removeprefix(CLEARML_DATASET)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8")).hexdigest()


def _content_digest(path: Path) -> str:
    """The digest of a file, or of a folder's files and their names."""
    if path.is_dir():
        inside = sorted(one for one in path.rglob("*") if one.is_file())
        return _digest([[one.relative_to(path).as_posix(), digest_of(one)] for one in inside])
    return digest_of(path)
