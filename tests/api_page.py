"""The tables of docs/clearml-api.md as the server's code says them: ``python -m tests.api_page`` writes them anew.

Each stands between two marks, ``<!-- served -->`` and ``<!-- /served -->`` for example; what is around them is written
by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from stackyard_server import endpoints
from stackyard_server.calls.endpoint import Endpoint
from stackyard_server.protocol import fields
from stackyard_server.protocol.ignored_fields import IGNORED
from stackyard_server.store.documents import COLLECTIONS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "clearml-api.md"
#: What each service is for.
SERVICES = {
    "auth": "tokens and access keys",
    "debug": "to ask whether the server answers",
    "events": "scalars, plots, images, vectors, console lines",
    "login": "how to sign in",
    "models": "the registry of models",
    "organization": "tags, counts, tables as CSV, running time of projects",
    "pipelines": "to start and delete runs",
    "projects": "the tree of projects and its statistics",
    "queues": "which tasks wait, in which order, and their hand-out to workers",
    "reports": "pages of text with plots",
    "server": "version, configuration",
    "serving": "the endpoints that a serving engine reported; the server keeps them in memory only",
    "storage": "settings that clients use to delete files in clouds",
    "tasks": "everything about a task",
    "users": "the people, and their preferences in the web app",
    "workers": "which workers serve, what each runs, figures of their machines",
}


def rendered(text: str) -> str:
    """The page with its tables made anew."""
    for name, made in TABLES.items():
        mark = re.compile(rf"(<!-- {name} -->\n\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, found = mark.subn(lambda m, made=made: f"{m[1]}{made()}\n{m[2]}", text)  # type: ignore[misc]
        assert found == 1, f"the page has no place for {name}"
    return text


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def by_service() -> dict[str, dict[str, list[Endpoint]]]:
    """Every endpoint that is served, by service and action."""
    found: dict[str, dict[str, list[Endpoint]]] = {}
    for name, entries in sorted(endpoints.load().items()):
        if not entries[0].absent:
            service, _, action = name.partition(".")
            found.setdefault(service, {})[action] = entries
    return found


def served() -> str:
    """Which endpoints are served."""
    return table(
        ("service", "what for", "served"),
        (
            (f"`{service}`", SERVICES[service], ", ".join(_versions(a, e) for a, e in actions.items()))
            for service, actions in by_service().items()
        ),
    )


def _versions(action: str, entries: list[Endpoint]) -> str:
    if len(entries) == 1:
        return f"`{action}`"
    return f"`{action}` ({', '.join(entry.shown_version for entry in reversed(entries))})"


def known() -> str:
    """What becomes of each field."""
    rows = []
    for service, actions in by_service().items():
        for action, entries in actions.items():
            name = f"{service}.{action}"
            ignored = IGNORED.get(name, {})
            used = sorted(set(fields.table().get(name, {"fields": {}})["fields"]) - set(ignored))
            kept = fields.ANY in used
            shown = [*_code(n for n in used if n != fields.ANY)]
            if listed := entries[0].lists:
                shown.append(
                    f"each field of {f'a {listed}' if listed in COLLECTIONS else f'what `{listed}` names'}"
                )
            if kept or name == "events.add_batch":
                shown.append("any other is kept with the event")
            why = "; ".join(
                f"{', '.join(_code(names))}: {reason}" for reason, names in _by_reason(ignored).items()
            )
            unknown = "refused" if entries[0].destructive else "kept" if kept else "ignored, and logged"
            if name == "events.add_batch":
                unknown = "kept"
            rows.append((f"`{name}`", ", ".join(shown) or "none", why or "none", unknown))
    return table(("endpoint", "used", "without effect, and why", "unknown"), rows)


def _by_reason(ignored: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for field, reason in sorted(ignored.items()):
        found.setdefault(reason, []).append(field)
    return found


def _code(names: Iterable[str]) -> list[str]:
    return [f"`{name}`" for name in names]


TABLES: dict[str, Callable[[], str]] = {"served": served, "fields": known}


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
