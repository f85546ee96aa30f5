"""What a dispatched run leaves on a server, what it can be given, how it ends: real server, real agent, real SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("clearml", reason="the ClearML SDK is in the agent's Python only, never in a stack's")
if sys.version_info < (3, 11):
    pytest.skip("the server these tests run needs Python 3.11", allow_module_level=True)

from stackyard.clearml import datasets
from stackyard_task import clearml_link, clearml_results, clearml_sdk, inputs, workloads
from stackyard_task.api import Address, Refused
from stackyard_task.commands import Command
from stackyard_task.records import RunRecord, StackPin, TaskSpec
from tests.installation.site import Site, site, snapshot_with
from tests.stackyard_detector.declared import WORKLOADS
from tests.waiting import until

#: The SDK's own copy of a parser warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

#: Does what its parameters say; a "trained" model is two small files and one that must not travel with it.
WORK = """
import os, time
from pathlib import Path


def work(parameters, channel, output_folder):
    channel.phase("data")
    print("a line of the workload", flush=True)
    read = {name: Path(value).read_text() for name, value in parameters.items() if name.startswith("read")}
    channel.phase("steady")
    for step in range(1, 4):
        channel.step(0.01)
        channel.progress(step, 3)
        channel.loss(step, 1.0 / step)
    channel.flush()
    if parameters.get("begun"):
        Path(parameters["begun"]).write_text("x")
    time.sleep(parameters.get("seconds", 0))
    model = Path(output_folder) / "model"
    if parameters.get("model"):
        model.mkdir()
        (model / "model.safetensors").write_bytes(b"weights")
        (model / "model.json").write_text("{}")
        (model / "code.pkl").write_bytes(b"not for us")
    (Path(output_folder) / "made.txt").write_text("made")
    channel.results(f1=0.5, said="text", clearml_seen="clearml" in __import__("sys").modules, **read)
"""
ENTRY = "work_for_link:work"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def code(installed: Site) -> Path:
    return snapshot_with(installed.home, {"work_for_link": WORK})


@pytest.fixture(scope="module")
def versions(installed: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Ids of two versions of one data set: b.txt changes, a.txt stays."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "a.txt").write_text("alpha")
    (folder / "b.txt").write_text("before")
    first = datasets.publish(installed.client, folder, "Link", "letters")
    (folder / "b.txt").write_text("after")
    second = datasets.publish(installed.client, folder, "Link", "letters")
    return first.version.id, second.version.id


def spec(**parameters: Any) -> TaskSpec:
    return TaskSpec("", ENTRY, parameters, stack=StackPin("plain"))


@pytest.fixture(scope="module")
def trained(installed: Site, code: Path, versions: tuple[str, str]) -> dict[str, Any]:
    """A finished run that read a data set and left a model."""
    return installed.run(
        spec(model=True, seconds=1.2, read_a="clearml-dataset:Link/letters@1.0.0//b.txt"),
        code,
        "trains a model",
    )


def test_a_finished_run_has_figures_plot_scalars_and_its_output(
    installed: Site, trained: dict[str, Any]
) -> None:
    assert trained["status"] == "completed", (
        trained["status_reason"] + installed.console(trained["id"])[-3000:]
    )
    values = installed.client.call("events.get_task_single_value_metrics", tasks=[trained["id"]])["tasks"][0][
        "values"
    ]
    named = {value["variant"]: value["value"] for value in values}
    record = installed.record(trained)
    assert named["wall time (s)"] == pytest.approx(record["measurement"]["wall_seconds"], rel=1e-6)
    assert named["peak RAM (MB)"] == pytest.approx(record["measurement"]["peak_rss_bytes"] / 1e6, rel=1e-6)
    assert named["f1"] == 0.5
    plots = installed.client.call("events.get_task_plots", task=trained["id"])["plots"]
    (plot,) = [p for p in plots if p["metric"] == "Resources"]
    assert {"CPU (% of a core)", "RAM (MB)"} <= {
        line["name"] for line in json.loads(plot["plot_str"])["data"]
    }
    scalars = installed.client.call("events.scalar_metrics_iter_histogram", task=trained["id"])
    assert {"CPU (% of a core)", "RAM (MB)", "Loss"} <= set(scalars)
    assert scalars["Loss"]["loss"]["x"] == [3]
    console = installed.console(trained["id"])
    assert "a line of the workload" in console
    assert "3 of 3 steps, loss 0.3333" in console
    assert trained["runtime"]["progress"] == "100"


def test_artifacts_are_files_the_record_is_the_last_and_the_child_saw_no_clearml(
    installed: Site, trained: dict[str, Any]
) -> None:
    held = trained["execution"]["artifacts"]
    assert sorted(a["key"] for a in held) == ["output-log", "outputs", "record", "series", "timeline"]
    assert held[-1]["key"] == "record"
    assert not [a for a in held if "pickle" in a["type"] or a["uri"].endswith((".pkl", ".pickle"))]
    with zipfile.ZipFile(installed.artifact(trained, "outputs")) as packed:
        assert "made.txt" in packed.namelist()
    record = installed.record(trained)
    assert record["results"]["clearml_seen"] is False
    assert record["results"]["read_a"] == "before"
    assert record["parameters"]["read_a"] == "clearml-dataset:Link/letters@1.0.0//b.txt"


def test_the_model_is_registered_with_the_data_it_was_trained_on(
    installed: Site, trained: dict[str, Any], versions: tuple[str, str]
) -> None:
    (entry,) = trained["models"]["output"]
    model = installed.client.call("models.get_by_id", model=entry["model"])["model"]
    assert (model["task"], model["name"], model["ready"]) == (trained["id"], "trains a model", True)
    assert model["tags"] == ["data:Link/letters@1.0.0"]
    about = {key: entry["value"] for key, entry in model["metadata"].items()}
    assert about["data set Link/letters@1.0.0"] == versions[0]
    assert about["f1"] == "0.5"
    file = installed.home / "model.zip"
    installed.client.download(model["uri"], file)
    with zipfile.ZipFile(file) as packed:
        assert sorted(packed.namelist()) == ["model.json", "model.safetensors"]
    assert trained["hyperparams"]["Datasets"]["letters"]["value"] == versions[0]


def test_a_run_reads_newest_data_models_and_what_other_tasks_left(
    installed: Site, code: Path, trained: dict[str, Any], versions: tuple[str, str]
) -> None:
    model = trained["models"]["output"][0]["model"]
    task = installed.run(
        spec(
            read_newest="clearml-dataset:Link/letters//b.txt",
            read_kept="clearml-dataset:Link/letters//a.txt",
            read_id=f"clearml-dataset:{versions[0]}/b.txt",
            read_artifact=f"clearml-artifact:{trained['id']}/outputs/made.txt",
            weights=f"clearml-model:{model}",
            by_name="clearml-model:Stackyard/runs/trains a model",
        ),
        code,
    )
    assert task["status"] == "completed", task["status_reason"] + installed.console(task["id"])[-3000:]
    results = installed.record(task)["results"]
    assert results["read_newest"] == "after"
    assert results["read_kept"] == "alpha"  # came with the parent, merged
    assert results["read_id"] == "before"
    assert results["read_artifact"] == "made"
    assert [entry["model"] for entry in task["models"]["input"]] == [model]


def test_a_clone_of_a_finished_run_names_only_what_it_used_itself(
    installed: Site, trained: dict[str, Any]
) -> None:
    id = installed.client.call("tasks.clone", task=trained["id"], new_task_name="again")["id"]
    other = f"clearml-artifact:{trained['id']}/outputs/made.txt"
    edit = {"section": "Parameters", "name": "read_a", "value": other}
    installed.client.call("tasks.edit_hyper_params", task=id, hyperparams=[edit], replace_hyperparams="none")
    installed.client.call("tasks.enqueue", task=id, queue_name="cpu")
    task = installed.ended(id)
    assert task["status"] == "completed", task["status_reason"]
    assert installed.record(task)["results"]["read_a"] == "made"
    assert not task["hyperparams"].get("Datasets")
    model = installed.client.call("models.get_by_id", model=task["models"]["output"][0]["model"])["model"]
    assert (model["tags"], model["metadata"]["task trains a model"]["value"]) == ([], trained["id"])


@pytest.mark.long
def test_what_a_parameter_names_and_is_not_there_fails_the_task_in_a_sentence(
    installed: Site, code: Path
) -> None:
    task = installed.run(spec(read="clearml-dataset:Link/nothing//a.txt"), code)
    assert task["status"] == "failed"
    assert task["status_reason"].startswith("bad_input: ")
    assert "data set Link/nothing cannot be had" in task["status_reason"]


#: Says of each reference what its task would fail with.
REFERENCES = """
import json, pathlib, sys, tempfile
import clearml
from stackyard_task import clearml_inputs, inputs

task, *references = sys.argv[1:]
fetcher = clearml_inputs.Inputs(clearml.Task.get_task(task_id=task))
for one in references:
    try:
        inputs.resolved({"read": one}, fetcher, pathlib.Path(tempfile.mkdtemp()))
    except inputs.InputError as error:
        print(json.dumps([error.kind, str(error)]))
"""


def refusals(installed: Site, *references: str) -> list[list[str]]:
    """What a task that names these references would fail with: kind and sentence of each that is refused."""
    asking = installed.client.call("tasks.create", name="asks", type="training")["id"]
    done = subprocess.run(
        [sys.executable, "-c", REFERENCES, asking, *references],
        env={
            **os.environ,
            "CLEARML_CONFIG_FILE": str(installed.home / "clearml.conf"),
            "STACKYARD_CACHE": str(installed.home / "kept"),
        },
        cwd=installed.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def test_each_kind_of_reference_says_what_is_not_there(installed: Site, trained: dict[str, Any]) -> None:
    says = {
        "clearml-dataset:Link/letters@9.9.9//a.txt": "data set Link/letters@9.9.9 cannot be had",
        "clearml-dataset:Link/letters//zzz.txt": "there is no 'zzz.txt' in it",
        "clearml-model:" + "0" * 32: "is not registered on the server",
        f"clearml-artifact:{trained['id']}/nope": "left no artifact 'nope'; it has: output-log, outputs",
    }
    told = refusals(installed, *says)
    assert [kind for kind, _ in told] == ["bad_input"] * len(says), told
    assert all(words in sentence for words, (_, sentence) in zip(says.values(), told, strict=True)), told


def test_a_file_of_the_agents_machine_is_never_moved_or_deleted(installed: Site, tmp_path: Path) -> None:
    original = tmp_path / "original.csv"
    original.write_bytes(b"a,b")
    original.chmod(0o644)
    digest, other = inputs.digest_of(original), "0" * 64
    for address in (f"file://{original}", str(original)):
        (told,) = refusals(installed, *(f"clearml-file:{sha256}:{address}" for sha256 in (digest, other)))
        assert f"SHA-256 {digest}, but {other} was asked for" in told[1]
        assert (original.read_bytes(), original.stat().st_mode & 0o777) == (b"a,b", 0o644)
        assert sorted(path.name for path in (installed.home / "kept" / "files").iterdir()) == [digest]
    ((_, sentence),) = refusals(installed, f"clearml-file:{digest}x:file://{original}")
    assert "is not clearml-file:" in sentence


def test_a_stack_this_machine_lacks_is_the_infrastructures_failure(installed: Site, code: Path) -> None:
    task = installed.run(TaskSpec("", ENTRY, {}, stack=StackPin("no-such-stack")), code)
    assert task["status"] in ("failed", "queued")  # the server may try elsewhere
    assert "stack no-such-stack is not on this machine" in task["status_reason"]


def test_an_aborted_run_ends_as_aborted_and_leaves_its_record(
    installed: Site, code: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    id = installed.send(spec(seconds=600, begun=str(begun)), code)
    until(begun.exists, "the workload's start")
    installed.client.call("tasks.stop", task=id)
    task = installed.ended(id)
    assert task["status"] == "stopped"
    assert installed.record(task)["failure"]["kind"] == "interrupted"


def test_a_run_whose_code_fails_says_so_and_one_that_was_ended_elsewhere_nothing_over_that(
    installed: Site, code: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    id = installed.send(spec(seconds=0.5, begun=str(begun)), code)
    until(begun.exists, "the workload's start")
    installed.client.call("tasks.failed", task=id, status_reason="ended by somebody")
    failed = installed.run(spec(read="/no/such/file"), code)
    assert failed["status"] == "failed"
    assert failed["status_reason"].startswith("code: ")
    assert installed.record(failed)["failure"]["kind"] == "code"
    task = installed.task(id)  # now its agent has done with it
    assert (task["status"], task["status_reason"]) == ("failed", "ended by somebody")


# -- without a server ------------------------------------------------------------------------------


class Server:
    """Stands for a server; keeps what it is told, and says no to what it shall."""

    where = Address("http://api", "http://files")

    def __init__(self, refuses: str = "") -> None:
        self.refuses = refuses
        self.told: list[tuple[str, Any]] = []

    def call(self, method: str, **fields: Any) -> dict[str, Any]:
        self.told.append((method, fields))
        return {"id": "m" * 32}

    def call_lines(self, method: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        return self.call(method, lines=lines)

    def upload(self, file: Path, path: str) -> str:
        if file.name == self.refuses:
            raise Refused(f"{path}: the file server refused it (507 the disk is full)", 507)
        self.told.append(("upload", path))
        return f"{self.where.files}/{path}"

    def artifacts(self) -> list[str]:
        said = [fields["artifacts"] for method, fields in self.told if method == REGISTER]
        return [artifact["key"] for some in said for artifact in some]


REGISTER = "tasks.add_or_update_artifacts"
TASK = {"id": "t" * 32, "name": "a task", "project": {"id": "p" * 32, "name": "Stackyard/runs"}}


def made(folder: Path) -> RunRecord:
    """A run folder as a supervisor leaves it."""
    (folder / "outputs").mkdir()
    (folder / "outputs" / "made.txt").write_text("made")
    (folder / "record.json").write_text("{}")
    return RunRecord("r", "w", "completed", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00")


@pytest.mark.parametrize("fails", ["outputs.zip", "record.json"])
def test_no_record_is_registered_unless_everything_was_uploaded(tmp_path: Path, fails: str) -> None:
    server: Any = Server(refuses=fails)
    with pytest.raises(clearml_results.NotDelivered, match=f"{fails}.*the disk is full"):
        clearml_results.Results(server, TASK).deliver(made(tmp_path), tmp_path)
    assert "record" not in server.artifacts()


def test_files_of_a_task_lie_below_its_name_and_the_record_comes_last(tmp_path: Path) -> None:
    server: Any = Server()
    late = {"type": "training_stats_scalar", "metric": "Loss"}
    clearml_results.Results(server, TASK, left=[late]).deliver(made(tmp_path), tmp_path)
    base = f"Stackyard/runs/a-task.{TASK['id']}/artifacts"
    uploads = [path for method, path in server.told if method == "upload"]
    assert uploads == [f"{base}/outputs/outputs.zip", f"{base}/record/record.json"]
    assert server.artifacts() == ["outputs", "record"]
    assert late in next(fields["lines"] for method, fields in server.told if method == "events.add_batch")


def test_files_go_where_the_task_or_its_agent_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def upload(file: str, url: str, **_: Any) -> str | None:
        sent.append(url)
        return None if file.endswith("record.json") else url

    monkeypatch.setattr(clearml_sdk.clearml.StorageManager, "upload_file", upload)
    server: Any = Server()
    record = made(tmp_path)
    elsewhere = {**TASK, "output": {"destination": "s3://bucket/runs/"}}
    with pytest.raises(
        clearml_results.NotDelivered, match=r"record\.json could not be uploaded to s3://bucket"
    ):
        clearml_results.Results(server, elsewhere).deliver(record, tmp_path)
    assert sent[0] == f"s3://bucket/runs/Stackyard/runs/a-task.{TASK['id']}/artifacts/outputs/outputs.zip"
    here = {**TASK, "output": {"destination": "http://files/"}}
    clearml_results.Results(server, here).deliver(record, tmp_path)
    assert len(sent) == 2
    assert server.artifacts() == ["outputs", "record"]


def test_the_steps_of_a_runs_figures_are_sent(tmp_path: Path) -> None:
    (tmp_path / "series.json").write_text("{}")
    assert [upload.name for upload in clearml_results.companions(tmp_path)] == ["series"]


def test_a_link_out_of_the_outputs_delivers_nothing(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (tmp_path / "secret").write_text("s")
    (outputs / "kept").write_text("k")
    (outputs / "latest").symlink_to("kept")
    (outputs / "out").symlink_to(tmp_path / "secret")
    (archive,) = clearml_results.companions(tmp_path)
    assert sorted(zipfile.ZipFile(archive.file).namelist()) == ["kept", "latest"]


def test_outputs_are_packed_whole_and_only_what_shrinks_is_compressed(tmp_path: Path) -> None:
    held = {"a/weights.bin": os.urandom(200_000), "a/log.txt": b"the same line\n" * 20_000, "nothing": b""}
    for name, content in held.items():
        file = tmp_path / "outputs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (archive,) = clearml_results.companions(tmp_path)
    with zipfile.ZipFile(archive.file) as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == held
    assert 200_000 < archive.file.stat().st_size < 210_000


@pytest.mark.parametrize(
    ("section", "name", "text", "says"),
    [
        ("Training", "epochs", "three", "Training/epochs is 'three', expected a whole number"),
        ("Training", "epochs", "0", "'epochs' is 0, expected at least 1"),
        ("Training", "schedule", "zigzag", "expected one of one-cycle, constant"),
        ("Data", "data", "{", "Data/data is '{', expected a table"),
        ("Run", "cores", "-1", "Run/cores is '-1', expected a number above 0"),
    ],
)
def test_a_wrong_text_in_a_form_is_refused_by_the_name_of_its_field(
    section: str, name: str, text: str, says: str
) -> None:
    told = TaskSpec("", "detector-train", {"data": {"sources": [{"path": "x"}]}}, WORKLOADS["detector-train"])
    with pytest.raises(workloads.ParameterError) as refused:
        clearml_link.overlay(told, {section: {name: text}})
    assert says in str(refused.value)


def test_fields_left_alone_change_nothing_and_notes_are_no_parameters() -> None:
    given = {"data": {"sources": [{"path": "x"}]}, "epochs": 3, "patience": None, "quantitative": False}
    told = TaskSpec(
        "", "detector-train", dict(given), WORKLOADS["detector-train"], stack=StackPin("s", "digest")
    )
    typed = {name: workloads.as_text(value) for name, value in given.items()}
    notes = {"Datasets": {"data": "0" * 32}, "properties": {"epochs": "x"}}
    clearml_link.overlay(told, {"Training": typed, "Run": {"stack": "s", "threads": ""}, **notes})
    assert told.parameters == given
    assert told.stack == StackPin("s", "digest")


def test_edited_fields_reach_the_run() -> None:
    told = TaskSpec(
        "",
        "detector-train",
        {"data": {"sources": [{"path": "x"}]}, "epochs": 3},
        WORKLOADS["detector-train"],
        stack=StackPin("s", "d"),
    )
    clearml_link.overlay(
        told,
        {
            "Training": {"epochs": " 5 ", "patience": "2"},
            "Run": {"stack": "other", "threads": "2", "cores": "0.5"},
        },
    )
    assert (told.parameters["epochs"], told.parameters["patience"]) == (5, 2)
    assert told.stack == StackPin("other")
    assert (told.threads, told.limits.cores) == (2, 0.5)


def test_the_form_of_a_command_has_its_inputs_apart_and_its_parameters_typed() -> None:
    command = Command(("train", "{lr}", "{data}", "{inputs.data}"), inputs={"data": "x"})
    declared = workloads.Workload(
        "train", "", "", workloads.inferred({"lr": 0.5, "data": "kept"}), command=command
    )
    told = TaskSpec("", "train", {"lr": 0.5, "data": "kept"}, declared, inputs={"data": "clearml-file:a"})
    form = {"Parameters": {"lr": "0.25", "data": "kept"}, "Inputs": {"data": "", "more": "x"}}
    clearml_link.overlay(told, form)
    assert told.parameters == {"lr": 0.25, "data": "kept"}
    assert told.inputs == {"data": "clearml-file:a"}  # an empty field leaves what there is
    clearml_link.overlay(told, {"Inputs": {"data": " clearml-dataset:p/d//f "}})
    assert told.inputs == {"data": "clearml-dataset:p/d//f"}
    with pytest.raises(workloads.ParameterError, match="Parameters/lr is 'fast', expected a number"):
        clearml_link.overlay(told, {"Parameters": {"lr": "fast"}})
