"""The recorded exchanges: reading them, and the order in which they are replayed.

Lives here: the form of one exchange, the flows in the order in which the recorded server saw them, and what a flow
needs from earlier ones. Lives elsewhere: how an exchange is sent (``player``) and compared (``comparison``).
May import: the standard library.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

RECORDINGS_VARIABLE = "STACKYARD_CONTRACT"
HEX_ID = re.compile(r"\b[0-9a-f]{32}\b")
CUT_LIST = re.compile(r"^\.\.\.<(\d+) more items>$")
CUT_TEXT = re.compile(r"\.\.\.<(\d+) more chars>$")

# One tuple per recorded server, each in the order in which that server saw the flows: established from the times in the
# answers and, for the screens of the web app, from the preferences that grow from one to the next.
EARLIER_SERVER = ("a01_agent_skipvenv", "a00_agent_start", "a02_agent_abort")
MAIN_SERVER = (
    *("p_auth", "p_errors", "p_state", "p_projects", "p_models", "p_queues", "p_workers"),
    *("p_events", "p_files", "p_tasks", "p_filters", "p_misc"),
    *("s01_task_basic", "s02_models", "s03_query", "s04_queue", "s05_dataset", "s06_pipeline_local"),
    *("s09_offline", "s08_misc", "s06b_pipeline_queue", "s07_hpo_base", "s07_hpo"),
    *("a03_agent_venv", "s10a_sched", "s10b_trigger", "a04_agent_skipenv", "a09_agent_shutdown"),
    *("w_login", "w_login_submit", "w_dashboard", "w_projects", "w_table", "w_overview"),
    *("w_t_info", "w_t_execution", "w_t_config", "w_t_artifacts", "w_t_console", "w_t_scalars", "w_t_plots"),
    *(
        "w_t_debug",
        "w_compare_details",
        "w_compare_hp",
        "w_compare_scalars",
        "w_compare_plots",
        "w_compare_debug",
    ),
    *("w_models", "w_queues", "w_workers", "w_pipelines", "w_datasets", "w_reports"),
    *(
        "w_settings",
        "w_settings_ws",
        "w_project_new_pipe",
        "w_dataset_versions",
        "w_model_details",
        "w_serving",
    ),
    *("w_act_clone", "w_act_enqueue", "w_act_reset", "w_act_archive", "w_act_tags"),
    *("w_act_new_project", "w_act_new_queue", "w_act_search", "w_act_credentials", "w_act_logout"),
)
# Flows that ran beside another: the place before which they are replayed.
INTERLEAVED = {
    "a01_agent_skipvenv#11": ("a00_agent_start",),
    "a03_agent_venv#42": ("s10a_sched", "s10b_trigger"),
}
PASSWORD_SERVER = ("p_fixed_users",)
SERVERS: tuple[tuple[str, ...], ...] = (EARLIER_SERVER, MAIN_SERVER, PASSWORD_SERVER)


@dataclass(frozen=True)
class Exchange:
    """One recorded request with its answer.

    Attributes:
        flow: Name of the flow, the file's name without its ending.
        index: Place in the flow, from 0.
        client: ``sdk``, ``agent``, ``web``, ``probe``, or ``files`` for the file server.
        request: The body in the recordings' form: a value, or ``{"__jsonlines__": [...]}`` and the like.
    """

    flow: str
    index: int
    name: str
    client: str
    method: str
    path: str
    headers: dict[str, str]
    request: Any
    status: int
    response_headers: dict[str, str]
    response: Any

    @property
    def place(self) -> str:
        """Where to find it: ``flow#index``."""
        return f"{self.flow}#{self.index}"

    @cached_property
    def endpoint(self) -> str:
        """``service.action`` as asked for, or ``files.METHOD`` for the file server."""
        if self.client == "files":
            return f"files.{self.method}"
        return self.path.split("?")[0].strip("/").split("/")[-1]

    @property
    def service(self) -> str:
        """The part of the endpoint before its dot; ``other`` where it is no service of the API."""
        name = self.endpoint.split(".")[0]
        return name if "." in self.endpoint and name.isidentifier() else "other"

    @cached_property
    def asked_ids(self) -> frozenset[str]:
        """Every 32-digit id that the request names."""
        return frozenset(HEX_ID.findall(json.dumps(self.request) + self.path))

    @cached_property
    def answered_ids(self) -> frozenset[str]:
        """Every 32-digit id in the answer's data."""
        data = self.response.get("data") if isinstance(self.response, dict) else self.response
        return frozenset(HEX_ID.findall(json.dumps(data)))


def find_recordings() -> Path | None:
    """The folder of the recordings, or None where there is none."""
    named = os.environ.get(RECORDINGS_VARIABLE)
    if not named or not (Path(named) / "state_matrix.json").is_file():
        return None
    return Path(named)


def load_flow(folder: Path, flow: str) -> list[Exchange]:
    """The exchanges of one flow, in the recorded order."""
    raw = json.loads((folder / f"{flow}.json").read_text("utf-8"))
    return [
        Exchange(
            flow=flow,
            index=index,
            name=entry["name"],
            client=entry["client"],
            method=entry["method"],
            path=entry["path"],
            headers=entry["headers"] or {},
            request=entry["request"],
            status=entry["status"],
            response_headers=entry["response_headers"] or {},
            response=entry["response"],
        )
        for index, entry in enumerate(raw)
    ]


def load_flows(folder: Path) -> dict[str, list[Exchange]]:
    """Every flow in replay order.

    Raises:
        ValueError: The folder holds a flow whose place in the order is unknown, or lacks one.
    """
    ordered = [flow for server in SERVERS for flow in server]
    present = {path.stem for path in folder.glob("*.json")} - {"state_matrix"}
    if present != set(ordered):
        raise ValueError(
            f"flows without a place: {sorted(present - set(ordered))}, missing: {sorted(set(ordered) - present)}"
        )
    return {flow: load_flow(folder, flow) for flow in ordered}


def load_state_matrix(folder: Path) -> dict[str, tuple[int, int, str, str]]:
    """``status|call|force`` -> code, subcode, message, resulting status."""
    raw = json.loads((folder / "state_matrix.json").read_text("utf-8"))
    return {key: tuple(value) for key, value in raw.items()}


def find_needed_flows(flows: dict[str, list[Exchange]], wanted: list[str]) -> list[str]:
    """The wanted flows and every earlier flow of the same server whose objects they name, in replay order.

    A screen of the web app shows the sum of everything before it, so it needs all earlier flows of its server.
    """
    needed: set[str] = set()
    for server in SERVERS:
        origin: dict[str, str] = {}
        needs: dict[str, set[str]] = {}
        for flow in server:
            needs[flow] = set(server[: server.index(flow)]) if flow.startswith("w_") else set()
            for exchange in flows[flow]:
                needs[flow] |= {
                    origin[name] for name in exchange.asked_ids | exchange.answered_ids if name in origin
                }
                for name in exchange.answered_ids:
                    origin.setdefault(name, flow)
                needs[flow] |= set(INTERLEAVED.get(exchange.place, ()))
        todo = [flow for flow in wanted if flow in server]
        while todo:
            flow = todo.pop()
            if flow not in needed:
                needed.add(flow)
                todo.extend(needs[flow])
    return [flow for server in SERVERS for flow in server if flow in needed]
