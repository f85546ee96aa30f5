"""A version of a data set, written by ClearML's own SDK: run in a process of its own by ``datasets``.

``python -m stackyard.clearml.dataset_upload`` reads one JSON object from standard input (Request), makes the version
from the files of the current folder, and writes one JSON object to the last line of standard output (Made, or
{"error"}).
The only file of our side that imports clearml: it keeps global state, prints, and takes a second to load.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """What to publish."""

    project: str
    name: str
    #: ``None``: the SDK counts on from the newest.
    version: str | None
    #: Ids of the versions it builds on; files they hold are not uploaded again.
    parents: Sequence[str]
    tags: Sequence[str]
    description: str


@dataclass(frozen=True)
class Made:
    """What was published."""

    id: str
    version: str


def main() -> int:
    """Make the version that standard input asks for; 0 if it was made."""
    request = Request(**json.load(sys.stdin))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the SDK prints is no answer
    try:
        made: dict[str, Any] = dataclasses.asdict(_published(request))
    except Exception as error:  # noqa: BLE001 - an edge: the SDK's many errors, as one sentence for the parent
        made = {"error": " ".join(str(error).split())[:300] or type(error).__name__}
    print(json.dumps(made), file=answers, flush=True)
    return 1 if "error" in made else 0


def _published(request: Request) -> Made:
    import clearml

    version = clearml.Dataset.create(
        dataset_name=request.name,
        dataset_project=request.project,
        dataset_version=request.version,
        parent_datasets=list(request.parents),
        dataset_tags=list(request.tags) or None,
        description=request.description or None,
    )
    try:
        version.sync_folder(".")  # relative: where the files lie here is nobody's business there
        version.upload(show_progress=False, verbose=False, preview=False)
        if not version.finalize():
            raise RuntimeError("the version could not be finished")
    except BaseException:
        clearml.Dataset.delete(dataset_id=version.id, force=True)
        raise
    return Made(version.id, str(version.version))


if __name__ == "__main__":
    sys.exit(main())
