"""The runs of pipelines as a server has them: where they lie, the newest, what each is made of.

May import the client and changes. Starts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stackyard.clearml.client import ALREADY_THERE, Client, ServerError
from stackyard.clearml.pipelines.changes import MadeOf
from stackyard.errors import BadInputError
from stackyard_task import records
from stackyard_task.records import RecordError

#: ClearML project of our pipelines; the web app looks for them in its ".pipelines".
PROJECT = "Stackyard"
#: The configuration object that says what a run is made of.
MADE_OF = "Made of"


def pipeline_project(client: Client, name: str, *, make: bool = True) -> str:
    """The id of the project in which ClearML's web app shows the runs of that pipeline.

    Raises:
        BadInputError: there is none and ``make`` is false.
    """
    ids = ""
    for path, tags in (
        (f"{PROJECT}/.pipelines", ["hidden"]),
        (f"{PROJECT}/.pipelines/{name}", ["hidden", "pipeline"]),
    ):
        asked = {
            "name": f"^{re.escape(path)}$",
            "search_hidden": True,
            "only_fields": ["id", "system_tags"],
        }
        found = client.call("projects.get_all", **asked)["projects"]
        if not found and not make:
            raise BadInputError(f"no run of pipeline {name!r} is known to the server")
        if not found:
            try:
                client.call("projects.create", name=path, description="", system_tags=tags)
            except ServerError as error:
                if error.subcode != ALREADY_THERE:  # somebody else makes it at the same moment
                    raise
            found = client.call("projects.get_all", **asked)["projects"]
        ids = str(found[0]["id"])
        if set(tags) - set(found[0].get("system_tags") or []):
            client.call("projects.update", project=ids, system_tags=tags)
    return ids


def newest_run(client: Client, project: str) -> dict[str, Any] | None:
    """The newest run of a pipeline that was really started, or ``None``."""
    found = client.call(
        "tasks.get_all_ex",
        project=[project],
        system_tags=["pipeline"],
        search_hidden=True,
        status=["queued", "in_progress", "stopped", "closed", "failed", "completed", "published"],
        order_by=["-created"],
        page=0,
        page_size=1,
        only_fields=["id", "status", "status_reason", "created", f"configuration.{MADE_OF}"],
    )["tasks"]
    return found[0] if found else None


def newest_version(client: Client, name: str) -> str:
    """The id of a ClearML data set: ``project/name[@version]``, without a version the newest complete one.

    Raises:
        BadInputError: there is none.
    """
    path, _, version = name.partition("@")
    project, _, base = path.rpartition("/")
    held = client.call(
        "projects.get_all",
        name=f"^{re.escape(f'{project}/.datasets/{base}')}$",
        search_hidden=True,
        only_fields=["id"],
    )["projects"]
    found = (
        client.call(
            "tasks.get_all_ex",
            project=[held[0]["id"]],
            system_tags=["dataset", "-archived"],
            search_hidden=True,
            status=["completed", "published", "closed"],
            order_by=["-created"],
            page=0,
            page_size=500,
            only_fields=["id", "runtime.version"],
        )["tasks"]
        if held
        else []
    )
    for one in found:
        if not version or (one.get("runtime") or {}).get("version") == version:
            return str(one["id"])
    raise BadInputError(f"data set {name}: the server has no complete version of it")


def made_of_run(run: Mapping[str, Any]) -> MadeOf | None:
    """What a run says it is made of; ``None`` if nothing that can be read."""
    held = ((run.get("configuration") or {}).get(MADE_OF) or {}).get("value")
    try:
        return MadeOf.from_json(records.parse(held or "", MADE_OF))
    except (RecordError, TypeError):
        return None
