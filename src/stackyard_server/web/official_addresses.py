"""The addresses of the official web app, and which page here shows the same thing. Pure.

Clients print such addresses and people share them: ``/projects/P/experiments/ID/output/log``,
``/pipelines/P/experiments/ID``, ``/projects/P/compare-tasks;ids=A,B/scalars/graph``. That app keeps parameters within
the path, after a semicolon.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

#: The last word of a task's address there -> the page of the task here.
TABS = {"log": "/log", "console": "/log", "scalars": "/scalars", "scalar": "/scalars", "plots": "/plots",
        "debugImages": "/images", "execution": "#code", "artifacts": "#artifacts", "hyper-params": "#parameters",
        "general": "#facts"}  # fmt: skip
#: What a widget in a report shows -> the page of its task here.
WIDGETS = {"scalar": "/scalars", "single": "/scalars", "plot": "/plots", "sample": "/images"}


@dataclass(frozen=True, slots=True)
class Address:
    """An address of the official web app, taken apart."""

    #: The parts of the path that the pattern names.
    parts: Mapping[str, str]
    #: Parameters within the path.
    inside: Mapping[str, str]
    #: The values of one name joined by commas.
    query: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.parts.get(name) or ""


def _page(path: str, **query: str) -> str:
    """A page here, with a query of what is not empty."""
    kept = {name: value for name, value in query.items() if value}
    return f"{quote(path)}?{urlencode(kept)}" if kept else quote(path)


def _task(at: Address) -> str:
    words = at["rest"].split("/")
    if "artifacts" in words and words[-1] and words[-2] in ("input-model", "output-model"):
        return _page(f"/models/{words[-1]}")
    tab = next((TABS[word] for word in words if word in TABS), "")
    return _page(f"/tasks/{at['id']}") + tab


def _model(at: Address) -> str:
    return _page(f"/models/{at['id']}")


def _tasks_of(at: Address) -> str:
    archived = "1" if at.query.get("archive") == "true" else ""
    return _page("/tasks" if at["project"] == "*" else f"/projects/{at['project']}/tasks", archived=archived)


def _models_of(at: Address) -> str:
    return _page("/models" if at["project"] == "*" else f"/projects/{at['project']}/models")


def _compared(at: Address) -> str:
    kind = "models" if at["kind"] == "models" else "tasks"
    return _page("/compare", **{kind: at.inside.get("ids") or at.query.get("ids", "")})


def _queues(at: Address) -> str:
    return "/queues" + (f"#{quote(at.query['id'])}" if at.query.get("id") else "")


def _widget(at: Address) -> str:
    of_models = "models" in at.query or at.query.get("objectType") == "model"
    ids = [
        i
        for i in (at.query.get("objects") or at.query.get("models" if of_models else "tasks", "")).split(",")
        if i
    ]
    if len(ids) == 1:
        page = (
            f"/models/{ids[0]}"
            if of_models
            else f"/tasks/{ids[0]}{WIDGETS.get(at.query.get('type', ''), '')}"
        )
        return _page(page)
    return _page("/compare", **{"models" if of_models else "tasks": ",".join(ids)})


def _fixed(path: str, **query: str) -> Callable[[Address], str]:
    page = _page(path, **query)
    return lambda _: page


_IN_PROJECT = r"(?:projects|pipelines|datasets/simple)/(?P<project>[^/]+)"
_TASKS = r"(?:tasks|experiments)"
#: Pattern of a path without its parameters -> the page here. The first that fits counts.
TABLE: tuple[tuple[str, Callable[[Address], str]], ...] = (
    (r"dashboard", _fixed("/")),
    (rf"{_IN_PROJECT}/{_TASKS}/compare(/.*)?", _compared),
    (rf"{_IN_PROJECT}/compare-(?P<kind>models)(/.*)?", _compared),
    (rf"{_IN_PROJECT}/compare-{_TASKS}(/.*)?", _compared),
    (rf"{_IN_PROJECT}/{_TASKS}/(?P<id>[^/]+)(/(?P<rest>.*))?", _task),
    (rf"{_IN_PROJECT}/{_TASKS}", _tasks_of),
    (rf"{_IN_PROJECT}/models/(?P<id>[^/]+)(/.*)?", _model),
    (rf"{_IN_PROJECT}/models", _models_of),
    (r"projects/\*/projects", _fixed("/projects")),
    (r"projects/(?P<project>[^/]+)(/(overview|workloads|projects))?", _tasks_of),
    (r"pipelines(/[^/]+/(pipelines|projects))?", _fixed("/tasks", show="pipelines")),
    (r"datasets/simple(/[^/]+(/(datasets|projects))?)?", _fixed("/datasets")),
    (r"reports/[^/]+/(reports|projects)", _fixed("/tasks", show="reports")),
    (r"reports/[^/]+/(?P<id>[^/]+)", _task),
    (r"reports", _fixed("/tasks", show="reports")),
    (r"workers-and-queues/queues", _queues),
    (r"workers-and-queues(/.*)?", _fixed("/workers")),
    (r"endpoints(/.*)?", _fixed("/endpoints")),
    (r"settings(/.*)?|profile", _fixed("/account")),
    (r"widgets", _widget),
    (r"hyperdatasets(/.*)?", _fixed("/datasets", notice="no-hyper-datasets")),
    (r"(enterprise|applications)(/.*)?", _fixed("/", notice="no-enterprise")),
    (r"signup", _fixed("/login")),
)  # fmt: skip
_PATTERNS = tuple((re.compile(pattern), page) for pattern, page in TABLE)


def page_here(path: str, query: Mapping[str, str]) -> str | None:
    """The page here that shows what an address of the official web app shows; None where there is none.

    Args:
        path: Decoded, with the parameters that the app keeps within it.
        query: By name; several values of one joined by commas.

    Returns:
        Path, query and fragment below our own origin. None also where the address is one of ours already.
    """
    segments = [segment.partition(";") for segment in path.strip("/").split("/")]
    inside: dict[str, str] = {}
    for _, _, parameters in segments:
        for parameter in filter(None, parameters.split(";")):
            name, _, value = parameter.partition("=")
            inside[name] = value
    plain = "/".join(name for name, _, _ in segments)
    for pattern, page in _PATTERNS:
        if found := pattern.fullmatch(plain):
            target = page(Address(found.groupdict(), inside, query))
            return None if target == quote(path) else target
    return None
