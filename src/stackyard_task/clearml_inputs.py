"""What a task's parameters name on a ClearML server, brought here by the SDK; and noted, for the lineage.

Implements ``inputs.Fetcher``. Copies are kept: files under their digest below $STACKYARD_CACHE, data sets, models
and artifacts where the SDK keeps them. Whoever may do without the SDK imports this late (``clearml_link``).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Callable, List, TypeVar

import clearml
from clearml.backend_api.services import models, projects, tasks
from clearml.storage.helper import StorageHelper

from stackyard_task.inputs import DATASETS_SECTION, InputError, Used, copied, files_cache, kept

_ID = re.compile(r"[0-9a-f]{32}\Z")

T = TypeVar("T")


class Inputs:
    """Fetches for one task.

    Args:
        task: The SDK's task.
    """

    def __init__(self, task: Any) -> None:
        self._task = task
        self.used: List[Used] = []

    def file(self, url: str, sha256: str) -> Path:
        """The file at ``url``, kept under its digest."""
        cache = files_cache(os.environ) or Path(clearml.config.get_cache_dir()) / "files"
        name = url.rsplit("/", 1)[-1]

        def fetch() -> Path:
            copy = clearml.StorageManager.get_local_copy(url, extract_archive=False, force_download=True)
            if copy is None:
                raise InputError(f"{name} cannot be fetched from {url}", "infrastructure")
            if StorageHelper.get(url).get_driver_direct_access(url) is None:
                return Path(copy)
            return copied(Path(copy), cache)  # the SDK gives the file itself where it lies on this machine

        return kept(cache, sha256, name, fetch)

    def dataset(self, name: str) -> Path:
        """The folder of a data set: an id, or project/name[@version]; without a version the newest."""
        found = _tried(lambda: self._dataset(name), f"data set {name} cannot be had")
        folder = _tried(lambda: found.get_local_copy(), f"data set {name} cannot be fetched")
        self._note(Used("data set", found.id, f"{found.project}/{found.name}", found.version))
        self._task.set_parameter(f"{DATASETS_SECTION}/{found.name}", found.id)
        return Path(folder)

    def _dataset(self, name: str) -> Any:
        if _ID.match(name):
            return clearml.Dataset.get(dataset_id=name, alias=name)
        path, _, version = name.partition("@")
        project, _, base = path.rpartition("/")
        if not project or not base:
            raise InputError(f"data set {name!r} is neither an id nor project/name[@version]")
        return clearml.Dataset.get(
            dataset_project=project,
            dataset_name=base,
            dataset_version=version or None,
            only_completed=True,
            alias=base,
        )

    def model(self, model_id: str) -> Path:
        """The folder of a registered model: an id, or project/name, of which it is the newest."""
        found = _tried(lambda: self._model(model_id), f"model {model_id} cannot be had")
        copy = Path(
            _tried(
                lambda: clearml.Model(found.id).get_local_copy(raise_on_error=True),
                f"model {model_id} cannot be fetched",
                "infrastructure",
            )
        )
        self._note(Used("model", found.id, found.name))
        self._task.send(
            tasks.AddOrUpdateModelRequest(task=self._task.id, name="model", model=found.id, type="input")
        )
        return copy if copy.is_dir() else copy.parent

    def _model(self, named: str) -> Any:
        if _ID.match(named):
            found = self._task.send(models.GetAllRequest(id=[named])).response.models
        else:
            project, _, name = named.rpartition("/")
            if not project or not name:
                raise InputError(f"model {named!r} is neither an id nor project/name")
            held = self._task.send(projects.GetAllRequest(name=_exactly(project))).response.projects
            found = (
                self._task.send(
                    models.GetAllRequest(
                        project=[held[0].id],
                        name=_exactly(name),
                        order_by=["-created"],
                        page=0,
                        page_size=1,
                    )
                ).response.models
                if held
                else []
            )
        if not found:
            raise InputError(f"model {named} is not registered on the server; train one, or name another")
        return found[0]

    def artifact(self, task_id: str, name: str) -> Path:
        """The file or unpacked folder of an artifact of another task."""
        other = _tried(lambda: clearml.Task.get_task(task_id=task_id), f"task {task_id} cannot be had")
        held = other.artifacts
        if name not in held:
            has = ", ".join(sorted(held)) or "none"
            raise InputError(f"task {task_id} ({other.name}) left no artifact {name!r}; it has: {has}")
        copy = _tried(
            lambda: held[name].get_local_copy(extract_archive=True, raise_on_error=True),
            f"artifact {task_id}/{name} cannot be fetched",
            "infrastructure",
        )
        self._note(Used("task", task_id, other.name))
        return Path(copy)

    def _note(self, used: Used) -> None:
        if used not in self.used:
            self.used.append(used)


def _tried(ask: Callable[[], T], otherwise: str, kind: str = "bad_input") -> T:
    """What the SDK answers; its many ways to fail as one sentence.

    Raises:
        InputError: it failed or answered nothing.
    """
    try:
        found = ask()
    except InputError:
        raise
    except Exception as error:  # the SDK raises ValueError, AssertionError, requests' and its own errors
        raise InputError(f"{otherwise} ({_sentence(error)})", kind) from error
    if found is None:
        raise InputError(otherwise, kind)
    return found


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _exactly(name: str) -> str:
    """A filter of ClearML's that only this name meets: names in filters are regular expressions."""
    return f"^{re.escape(name)}$"
