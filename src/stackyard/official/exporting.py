"""A server's documents, events and files into a bundle, through its API: official or embedded, it is the same.

What a task holds is taken as the API shows it. Not taken: credentials, logins, workers, reports, and events of
models. A task that runs is taken as it is at that moment; the import says it stopped.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from stackyard.clearml.client import Client, ServerError, TooLargeError
from stackyard.counting import count
from stackyard.errors import BadInputError
from stackyard.official.bundle import HERE, Bundle, digest, walk

#: Kinds of events that ``events.get_task_events`` pages through; console lines have a call of their own.
PAGED = ("training_stats_scalar", "plot", "training_debug_image")
BATCH = 2000
Say = Callable[[str], None]


def export(client: Client, folder: Path, say: Say, projects: list[str] | None = None) -> dict[str, Any]:
    """Write a bundle of what a server holds.

    Args:
        client: speaks to the server, as somebody who sees everything wanted.
        folder: a folder that is not there yet.
        say: told what is done.
        projects: names of projects to take, with those below them; None takes all.

    Returns:
        The manifest.

    Raises:
        BadInputError: the folder exists, or there is no such project.
        ServerError: the server refused a call.
        UnreachableError: it does not answer.
    """
    found = list(client.pages("projects.get_all_ex", "projects", search_hidden=True))
    chosen, ids = _choose(found, projects)
    bundle = Bundle.new(folder)
    address = client.connection.files
    files: dict[str, str] = {}

    def note(text: str) -> str:
        """The text with the file server's address taken out; what it names is to be fetched."""
        if text.startswith(f"{address}/"):
            files.setdefault(text, "")
        else:
            for url in re.findall(re.escape(address) + r"/[^\s\"'<>\\]+", text):
                files.setdefault(url, "")
        return text.replace(f"{address}/", HERE)

    kept = {
        "projects": sorted(chosen, key=lambda project: project["name"].count("/")),
        "queues": list(client.pages("queues.get_all", "queues")),
        "tasks": [],
        "models": [],
        "users": [
            {"id": u["id"], "name": u.get("name")} for u in client.call("users.get_all").get("users", [])
        ],
    }
    events = 0
    for kind, single in (("tasks", "task"), ("models", "model")):
        for part in _ids(client, kind, ids, projects is None):
            kept[kind].append(client.call(f"{kind}.get_by_id", **{single: part})[single])
        say(f"{len(kept[kind])} {kind}")
    for task in kept["tasks"]:
        one = [walk(event, note) for event in _events(client, task["id"])]
        bundle.write_events(task["id"], one)
        events += len(one)
    say(count(events, "event"))
    for kind, documents in kept.items():
        bundle.write(kind, [walk(document, note) for document in documents])
    entries, missing = _fetch(client, sorted(files), bundle.folder / "files")
    bundle.write_files(entries)
    say(
        count(len(entries), "file")
        + (
            f", {len(missing)} that documents name {'is' if len(missing) == 1 else 'are'} not on the server"
            if missing
            else ""
        )
    )
    manifest = {
        "made_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "counts": {**{kind: len(documents) for kind, documents in kept.items()}, "events": events},
        "files": len(entries),
        "files_bytes": sum(entry["bytes"] for entry in entries),
        "missing_files": missing,
    }
    bundle.finish(manifest)
    return bundle.manifest


def _choose(found: list[dict[str, Any]], names: list[str] | None) -> tuple[list[dict[str, Any]], list[str]]:
    """(projects to take, ids of those whose tasks and models come too): those above a wanted one come for its
    place only."""
    if names is None:
        return found, []
    for name in names:
        if all(project["name"] != name for project in found):
            raise BadInputError(f"the server has no project {name!r}")
    wanted = [p for p in found if any(f"{p['name']}/".startswith(f"{name}/") for name in names)]
    above = [p for p in found if any(name.startswith(f"{p['name']}/") for name in names) and p not in wanted]
    return [*above, *wanted], [project["id"] for project in wanted]


def _ids(client: Client, kind: str, projects: list[str], everything: bool) -> Iterator[str]:
    """Ids of tasks or models, archived and hidden ones too."""
    fields: dict[str, Any] = {"search_hidden": True, "only_fields": ["id"], "order_by": ["created"]}
    if not everything:
        if not projects:
            return
        fields["project"] = projects
    for document in client.pages(f"{kind}.get_all_ex", kind, **fields):
        yield document["id"]


def _events(client: Client, task: str) -> Iterator[dict[str, Any]]:
    """Everything reported to a task, in the form in which it is reported."""
    for kind in PAGED:
        scroll: dict[str, Any] = {}
        while True:
            said = client.call(
                "events.get_task_events", task=task, event_type=kind, batch_size=BATCH, **scroll
            )
            if not said.get("events"):
                break
            for event in said["events"]:
                yield {**event, "type": event.get("type") or kind, "task": task}
            scroll = {"scroll_id": said["scroll_id"]}
    last = -1
    while True:
        # Lines of one millisecond are never parted, so "later than the last one" loses none.
        said = client.call(
            "events.get_task_log",
            task=task,
            batch_size=BATCH,
            navigate_earlier=False,
            order="asc",
            **({"from_timestamp": last} if last >= 0 else {"from_timestamp": 0}),
        )
        new = [event for event in said.get("events", []) if event["timestamp"] > last]
        if not new:
            return
        for event in new:
            yield {**event, "type": "log", "task": task}
        last = new[-1]["timestamp"]


def _fetch(client: Client, urls: list[str], folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Every file that documents name, and the addresses where nothing was."""
    entries: list[dict[str, Any]] = []
    missing: list[str] = []
    seen: set[str] = set()
    for url in urls:
        path = unquote(urlsplit(url).path).lstrip("/")
        if path in seen:
            continue
        seen.add(path)
        name = f"{len(entries):06d}"
        try:
            client.download(url, folder / name)
        except TooLargeError:
            raise
        except ServerError:
            missing.append(path)
            continue
        about = folder / name
        entries.append({"path": path, "name": name, "bytes": about.stat().st_size, "sha256": digest(about)})
    return entries, missing
