"""Every address of the official web app leads to the page of the same thing here."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from stackyard_server.web.official_addresses import page_here
from stackyard_server.web.site import own_page

from ..running import Running
from .conftest import LOGIN, PASSWORD
from .test_site import signed_in

#: Address there -> page here. P, T, U and M stand for a project, two tasks and a model.
PAGES = {
    "/dashboard": "/",
    "/projects/*/projects": "/projects",
    "/projects/P": "/projects/P/tasks",
    "/projects/P/overview": "/projects/P/tasks",
    "/projects/P/workloads": "/projects/P/tasks",
    "/projects/P/projects": "/projects/P/tasks",
    "/projects/P/experiments": "/projects/P/tasks",
    "/projects/P/tasks?archive=true&order=-last_update": "/projects/P/tasks?archived=1",
    "/projects/P/tasks;order=name;filter=status:failed": "/projects/P/tasks",
    "/projects/*/tasks": "/tasks",
    "/projects/*/experiments": "/tasks",
    "/projects/P/tasks/T": "/tasks/T",
    "/projects/P/tasks/T/output/log": "/tasks/T/log",
    "/projects/P/experiments/T/output/log": "/tasks/T/log",
    "/projects/*/experiments/T/output/log": "/tasks/T/log",
    "/projects/P/experiments/T/info-output/metrics/scalar": "/tasks/T/scalars",
    "/projects/P/experiments/T/info-output/metrics/plots": "/tasks/T/plots",
    "/projects/P/tasks/T/output/metrics/plots": "/tasks/T/plots",
    "/projects/P/tasks/T/scalars?columns=selected": "/tasks/T/scalars",
    "/projects/P/tasks/T/plots": "/tasks/T/plots",
    "/projects/P/tasks/T/debugImages": "/tasks/T/images",
    "/projects/P/tasks/T/output/debugImages": "/tasks/T/images",
    "/projects/P/tasks/T/execution": "/tasks/T#code",
    "/projects/P/tasks/T/hyper-params/hyper-param/Args": "/tasks/T#parameters",
    "/projects/P/tasks/T/general": "/tasks/T#facts",
    "/projects/P/tasks/T/artifacts/artifact/report/output": "/tasks/T#artifacts",
    "/projects/P/tasks/T/artifacts/input-model/M": "/models/M",
    "/projects/P/tasks/T/artifacts/output-model/M": "/models/M",
    "/projects/P/models": "/projects/P/models",
    "/projects/*/models": "/models",
    "/projects/P/models/M": "/models/M",
    "/projects/P/models/M/general": "/models/M",
    "/projects/P/models/M/output/scalars": "/models/M",
    "/projects/P/compare-tasks;ids=T,U/details": "/compare?tasks=T%2CU",
    "/projects/P/compare-tasks;ids=T%2CU/scalars/graph?metricName=&params=": "/compare?tasks=T%2CU",
    "/projects/*/compare-experiments;ids=T,U/hyper-params/values": "/compare?tasks=T%2CU",
    "/pipelines/P/compare-tasks;ids=T,U": "/compare?tasks=T%2CU",
    "/datasets/simple/P/compare-tasks;ids=T,U": "/compare?tasks=T%2CU",
    "/projects/P/tasks/compare;ids=T,U/scalars": "/compare?tasks=T%2CU",
    "/projects/P/compare-models;ids=M/models-details": "/compare?models=M",
    "/pipelines": "/tasks?show=pipelines",
    "/pipelines/P/pipelines": "/tasks?show=pipelines",
    "/pipelines/P/experiments/T": "/tasks/T",
    "/pipelines/P/tasks/T": "/tasks/T",
    "/pipelines/P/tasks": "/projects/P/tasks",
    "/datasets/simple/P/experiments/T": "/tasks/T",
    "/datasets/simple/P/tasks/T": "/tasks/T",
    "/datasets/simple/P/tasks": "/projects/P/tasks",
    "/datasets/simple/P/projects": "/datasets",
    "/reports": "/tasks?show=reports",
    "/reports/P/reports": "/tasks?show=reports",
    "/reports/P/T": "/tasks/T",
    "/workers-and-queues": "/workers",
    "/workers-and-queues/workers?id=w": "/workers",
    "/workers-and-queues/queues?id=Q": "/queues#Q",
    "/endpoints/active": "/endpoints",
    "/settings": "/account",
    "/settings/workspace-configuration": "/account",
    "/profile": "/account",
    "/widgets/?type=sample&objects=T&xaxis=iter": "/tasks/T/images",
    "/widgets/?type=scalar&tasks=T&tasks=U": "/compare?tasks=T%2CU",
    "/widgets/?type=scalar&objectType=model&objects=M": "/models/M",
    "/signup": "/login",
}


@pytest.fixture(scope="module")
def ids(server: Running) -> dict[str, str]:
    """What the letters of ``PAGES`` stand for."""
    project = server.call("projects.create", name="shared")["id"]
    tasks = [
        server.call("tasks.create", name=f"shared {n}", type="training", project=project)["id"] for n in "12"
    ]
    model = server.call("models.create", name="shared", uri="http://elsewhere/m", labels={}, project=project)[
        "id"
    ]
    queue = server.call("queues.create", name="shared")["id"]
    return {"P": project, "T": tasks[0], "U": tasks[1], "M": model, "Q": queue}


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    """Somebody who is signed in."""
    with signed_in(server) as opened:
        yield opened


def named(address: str, ids: dict[str, str]) -> str:
    """An address with ids in the place of letters that stand by themselves."""
    for letter, id in ids.items():
        for before in "/=,#C":
            for after in ("/", "?", ",", "&", ";", "%", "#", ""):
                address = (
                    address.replace(f"{before}{letter}{after}", f"{before}{id}{after}") if after else address
                )
            if address.endswith(before + letter):
                address = address[: -len(letter)] + id
    return address


@pytest.mark.parametrize(("there", "here"), PAGES.items())
def test_an_address_of_the_official_app_leads_to_the_page_of_the_same_thing(
    server: Running, client: httpx.Client, ids: dict[str, str], there: str, here: str
) -> None:
    page = client.get(named(there, ids), follow_redirects=True)
    assert (page.status_code, str(page.url)) == (200, server.web + named(here, ids))


@pytest.mark.parametrize("path", ["/hyperdatasets/simple/P", "/enterprise/genai", "/applications"])
def test_what_is_not_part_of_this_server_is_said(client: httpx.Client, path: str) -> None:
    page = client.get(path, follow_redirects=True)
    assert page.status_code == 200
    assert "this server" in page.text.lower()


@pytest.mark.parametrize(
    "path", ["/", "/tasks", "/tasks/T", "/projects/P/tasks", "/datasets", "/models/M", "/static/x"]
)
def test_our_own_addresses_stay(path: str) -> None:
    assert page_here(path, {}) is None


def test_an_address_is_remembered_while_one_signs_in(server: Running, ids: dict[str, str]) -> None:
    with httpx.Client(base_url=server.web, headers={"Origin": server.web}, follow_redirects=True) as client:
        form = client.get(f"/projects/{ids['P']}/experiments/{ids['T']}/output/log")
        (after,) = parse_qs(urlsplit(str(form.url)).query)["next"]
        wrong = client.post("/login", data={"login": LOGIN, "password": "no", "next": after})
        assert f'value="{after}"' in wrong.text
        page = client.post("/login", data={"login": LOGIN, "password": PASSWORD, "next": after})
        elsewhere = {"login": LOGIN, "password": PASSWORD, "next": "//evil.example"}
        sent = client.post("/login", data=elsewhere, follow_redirects=False)
    assert page.url.path == f"/tasks/{ids['T']}/log"
    assert (sent.status_code, sent.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "/\t/evil.example",
        "evil",
        "/" + "x" * 3000,
    ],
)
def test_nobody_is_sent_elsewhere_after_signing_in(elsewhere: str) -> None:
    assert own_page(elsewhere) == "/"
