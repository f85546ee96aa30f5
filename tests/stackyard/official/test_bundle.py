"""Projects, tasks, models, events and files from one server to another and back, over real sockets.

The server on the other side is the embedded one, spoken to through the API only, as an official one would be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stackyard.clearml import client as clients
from stackyard.clearml.client import Client, TooLargeError
from stackyard.clearml.connection import Connection
from stackyard.errors import BadInputError
from stackyard.official import bundle as bundles
from stackyard.official import exporting, importing
from stackyard_server import admin
from tests.stackyard_server.running import Running, running_server

QUIET: Any = lambda _: None  # noqa: E731


def client_of(server: Running) -> Client:
    return Client(Connection(server.api, server.web, server.files, server.access_key, server.secret_key))


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[tuple[Running, dict[str, str]]]:
    """A server with a family of tasks: prepare -> train (a model, events, an artifact, a published result)."""
    with running_server(role="admin") as server, client_of(server) as client:
        weights = tmp_path / "weights"
        weights.write_bytes(b"weights" * 1000)
        ids = {"project": server.call("projects.create", name="lab/detectors", description="of logs")["id"]}
        ids["other"] = server.call("projects.create", name="elsewhere")["id"]
        ids["queue"] = server.call("queues.create", name="cpu", tags=["small"])["id"]
        ids["prepare"] = server.call(
            "tasks.create", name="prepare data", type="data_processing", project=ids["project"]
        )["id"]
        ids["train"] = server.call(
            "tasks.create",
            name="train it",
            type="training",
            project=ids["project"],
            parent=ids["prepare"],
            tags=["nightly"],
            script={"entry_point": "train.py", "diff": "print(1)", "binary": "python3"},
            hyperparams={
                "Data": {"from": {"section": "Data", "name": "from", "value": ids["prepare"], "type": "str"}}
            },
        )["id"]
        ids["outside"] = server.call("tasks.create", name="not wanted", type="custom", project=ids["other"])[
            "id"
        ]
        path = f"lab/detectors/train it.{ids['train']}/models/weights one.bin"
        url = client.upload(weights, path)
        assert url == f"{server.files}/{quote(path)}", "as the SDK writes it"
        state = tmp_path / "state.json"
        state.write_text(json.dumps({"dependency_graph": {ids["train"]: [ids["prepare"]]}}))
        path = f"lab/detectors/train it.{ids['train']}/artifacts/state/state.json"
        client.upload(state, path)
        server.call(
            "tasks.add_or_update_artifacts",
            task=ids["train"],
            artifacts=[
                {"key": "state", "type": "dict", "uri": f"{server.files}/{quote(path)}", "mode": "output"}
            ],
        )
        ids["model"] = server.call(
            "models.create", name="the model", uri=url, task=ids["train"], project=ids["project"], ready=False,
            labels={"normal": 0}, tags=["good"],
        )["id"]  # fmt: skip
        server.call(
            "tasks.add_or_update_model",
            task=ids["train"], name="out", model=ids["model"], type="output",
        )  # fmt: skip
        server.call(
            "tasks.add_or_update_artifacts",
            task=ids["train"],
            artifacts=[{"key": "weights", "type": "custom", "uri": url, "hash": "ab", "mode": "output"}],
        )
        server.call("tasks.started", task=ids["train"])
        lines: list[dict[str, Any]] = [
            {"type": "training_stats_scalar", "task": ids["train"], "iter": step, "metric": "loss",
             "variant": "train", "value": 1.0 / (step + 1), "timestamp": 1_700_000_000_000 + step}
            for step in range(1200)
        ]  # fmt: skip
        lines += [
            {"type": "log", "task": ids["train"], "msg": f"line {n}", "timestamp": 1_700_000_000_000 + n // 3}
            for n in range(5000)
        ]
        lines.append(
            {"type": "plot", "task": ids["train"], "iter": 0, "metric": "roc", "variant": "all",
             "plot_str": json.dumps({"layout": {"images": [{"source": url}]}}), "timestamp": 1_700_000_000_000}
        )  # fmt: skip
        server.call_lines("events.add_batch", lines)
        server.call("tasks.completed", task=ids["train"], status_reason="done well")
        server.call("tasks.publish", task=ids["train"])
        server.call("tasks.started", task=ids["prepare"], force=True)
        yield server, ids


def export(server: Running, folder: Path, projects: list[str] | None = None) -> dict[str, Any]:
    with client_of(server) as client:
        return exporting.export(client, folder, QUIET, projects)


@pytest.mark.slow
def test_everything_arrives_at_another_server_under_new_ids(
    filled: tuple[Running, dict[str, str]], tmp_path: Path
) -> None:
    source, ids = filled
    manifest = export(source, tmp_path / "bundle", ["lab"])
    assert manifest["counts"]["tasks"] == 2
    assert manifest["counts"]["events"] == 1200 + 5000 + 1
    assert manifest["missing_files"] == []
    with running_server(role="admin") as target, client_of(target) as client:
        counts = importing.take_in(client, tmp_path / "bundle", QUIET)
        assert counts["tasks"] == 2
        assert counts["events"] == manifest["counts"]["events"]
        (new,) = target.call("tasks.get_all_ex", name="train it")["tasks"]
        assert new["id"] != ids["train"]
        assert (
            target.call("projects.get_by_id", project=new["project"]["id"])["project"]["name"]
            == "lab/detectors"
        )
        task = target.call("tasks.get_by_id", task=new["id"])["task"]
        (prepare,) = target.call("tasks.get_all", name="prepare data")["tasks"]
        assert task["status"] == "published"
        assert task["parent"] == prepare["id"]
        assert prepare["status"] == "stopped", "a task that ran there cannot run on here"
        assert task["hyperparams"]["Data"]["from"]["value"] == prepare["id"], (
            "an id in a parameter is moved too"
        )
        assert task["script"]["diff"] == "print(1)"
        assert task["runtime"]["moved_id"] == ids["train"]
        artifact, state = sorted(task["execution"]["artifacts"], key=lambda one: one["key"] == "state")
        client.download(state["uri"], tmp_path / "state")
        graph = json.loads((tmp_path / "state").read_text())["dependency_graph"]
        assert graph == {new["id"]: [prepare["id"]]}, "a data set's version finds its parent"
        assert artifact["uri"].startswith(target.files + "/")
        assert ids["train"] not in artifact["uri"]
        client.download(artifact["uri"], tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"weights" * 1000
        (output,) = task["models"]["output"]
        model = target.call("models.get_by_id", model=output["model"])["model"]
        assert model["uri"] == artifact["uri"]
        assert model["labels"] == {"normal": 0}
        assert task["last_metrics"]
        logs = target.call("events.get_task_log", task=new["id"], batch_size=1)
        assert logs["total"] == 5000
        (plot,) = target.call("events.get_task_plots", task=new["id"])["plots"]
        assert artifact["uri"] in plot["plot_str"]
        assert [queue["name"] for queue in target.call("queues.get_all", name="cpu")["queues"]] == ["cpu"]
        assert not target.call("tasks.get_all", name="not wanted")["tasks"]


@pytest.mark.slow
def test_an_import_that_is_repeated_makes_nothing_twice(
    filled: tuple[Running, dict[str, str]], tmp_path: Path
) -> None:
    export(filled[0], tmp_path / "bundle", ["lab"])
    with running_server(role="admin") as target, client_of(target) as client:
        importing.take_in(client, tmp_path / "bundle", QUIET)
        again = importing.take_in(client, tmp_path / "bundle", QUIET)
        assert set(again.values()) == {0}
        assert len(target.call("tasks.get_all")["tasks"]) == 2


def test_an_import_that_was_cut_off_goes_on_without_doubled_lines(
    filled: tuple[Running, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(filled[0], tmp_path / "bundle", ["lab"])
    with running_server(role="admin") as target, client_of(target) as client:
        calls = []
        real = client.call_lines

        def breaking(method: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
            calls.append(len(lines))
            if len(calls) == 5:
                raise ConnectionError("the cable")
            return real(method, lines)

        monkeypatch.setattr(client, "call_lines", breaking)
        with pytest.raises(ConnectionError):
            importing.take_in(client, tmp_path / "bundle", QUIET)
        importing.take_in(client, tmp_path / "bundle", QUIET)
        (task,) = target.call("tasks.get_all", name="train it")["tasks"]
        assert target.call("events.get_task_log", task=task["id"], batch_size=1)["total"] == 5000


def test_into_the_embedded_server_ids_and_times_stay(
    filled: tuple[Running, dict[str, str]], tmp_path: Path
) -> None:
    source, ids = filled
    before = source.call("tasks.get_by_id", task=ids["train"])["task"]
    export(source, tmp_path / "bundle")
    folder = tmp_path / "embedded"
    with running_server(folder=folder, role="admin"):
        pass
    address = admin.public_urls(folder)["files"]
    documents, files = importing.documents_for(tmp_path / "bundle", address)
    counts = admin.take_in(folder, documents, files)
    assert counts["tasks"] == 3
    assert counts["files"] == 2
    assert not admin.verify(folder)["problems"]
    with running_server(folder=folder, role="admin") as target, client_of(target) as client:
        task = target.call("tasks.get_by_id", task=ids["train"])["task"]
        for name in ("name", "status", "created", "started", "completed", "published", "hyperparams", "tags"):
            assert task[name] == before[name], name
        assert target.call("events.get_task_log", task=ids["train"], batch_size=1)["total"] == 5000
        assert target.call("tasks.get_by_id", task=ids["prepare"])["task"]["status"] == "stopped"
        (uri,) = [one["uri"] for one in task["execution"]["artifacts"] if one["key"] == "weights"]
        uri = uri.replace(address, target.files)
        client.download(uri, tmp_path / "back")
        assert (tmp_path / "back").stat().st_size == 7000


@pytest.mark.slow
def test_there_and_back_gives_the_same(filled: tuple[Running, dict[str, str]], tmp_path: Path) -> None:
    source, ids = filled
    export(source, tmp_path / "one", ["lab"])
    with running_server(role="admin") as target, client_of(target) as client:
        importing.take_in(client, tmp_path / "one", QUIET)
        export(target, tmp_path / "two", ["lab"])
    one, two = bundles.Bundle.read(tmp_path / "one"), bundles.Bundle.read(tmp_path / "two")
    assert one.manifest["counts"] == two.manifest["counts"] | {"users": one.manifest["counts"]["users"]}
    assert [path.stat().st_size for _, path in one.files()] == [
        path.stat().st_size for _, path in two.files()
    ]
    back = next(task for task in two.documents("tasks") if task["name"] == "train it")

    def reported(bundle: bundles.Bundle, task: str) -> list[tuple[Any, ...]]:
        names = ("type", "iter", "metric", "variant", "value", "msg", "timestamp")
        return sorted(tuple(repr(event.get(name)) for name in names) for event in bundle.events(task))

    assert reported(one, ids["train"]) == reported(two, back["id"])


def test_a_bundle_that_was_tampered_with_is_refused(
    filled: tuple[Running, dict[str, str]], tmp_path: Path
) -> None:
    export(filled[0], tmp_path / "bundle", ["lab"])
    (tmp_path / "bundle" / "files" / "000001").write_bytes(b"other weights")
    with (
        running_server(role="admin") as target,
        client_of(target) as client,
        pytest.raises(BadInputError, match="not what it was"),
    ):
        importing.take_in(client, tmp_path / "bundle", QUIET)


def test_a_disk_without_room_ends_an_export_and_calls_nothing_missing(
    filled: tuple[Running, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "room_bytes", lambda folder: -1)
    with pytest.raises(TooLargeError):
        export(filled[0], tmp_path / "bundle", ["lab"])
    with pytest.raises(BadInputError):
        bundles.Bundle.read(tmp_path / "bundle")


def test_an_unfinished_export_is_no_bundle(tmp_path: Path) -> None:
    bundles.Bundle.new(tmp_path / "bundle")
    with pytest.raises(BadInputError, match="unfinished"):
        bundles.Bundle.read(tmp_path / "bundle")


def test_a_running_embedded_server_takes_no_documents(tmp_path: Path) -> None:
    with (
        running_server(folder=tmp_path / "data", role="admin"),
        pytest.raises(admin.AdminError, match="stop it"),
    ):
        admin.take_in(tmp_path / "data", {}, [])


@pytest.mark.parametrize(
    "line",
    ["", "7", '{"old": 1, "new": "b"}', '{"done": ["tasks"]}', "[" * 100_000],
    ids=lambda line: line[:9],
)
def test_a_receipt_that_cannot_be_read_is_one_sentence(tmp_path: Path, line: str) -> None:
    bundle = bundles.Bundle.new(tmp_path / "bundle")
    importing.Receipt(bundle, "http://a").made("old", "new")
    receipt = next((tmp_path / "bundle").glob("imported-*.jsonl"))
    assert importing.Receipt(bundle, "http://a").ids == {"old": "new"}
    receipt.write_text(receipt.read_text() + line + "\n")
    with pytest.raises(BadInputError, match=r"imported-http-a\.jsonl: .*remove that line"):
        importing.Receipt(bundle, "http://a")


@pytest.mark.parametrize("line", ["", "7", "[]", "[" * 100_000], ids=lambda line: line[:9])
def test_a_document_of_a_bundle_that_is_no_object_is_one_sentence(tmp_path: Path, line: str) -> None:
    bundle = bundles.Bundle.new(tmp_path / "bundle")
    (tmp_path / "bundle" / "tasks.jsonl").write_text(line + "\n")
    with pytest.raises(BadInputError, match=r"tasks\.jsonl: line 1 cannot be read as JSON lines"):
        bundle.documents("tasks")
