"""``examples_failed``: the examples of ClearML's SDK, each run as an ordinary task on our agent.

``--examples DIR`` names a checkout that a person brought: DIR/examples, or the folder itself. It is put into a git
repository, and every script is a task of its own, with its folder's requirements.txt, in the project and by the name
that its Task.init says; a line for torch or its companions that the script does not import is none that its task would
list. One that fails is run by a plain clearml-agent too, and a row says how it ends there. What needs the network, a
GPU, a data set to download, a service or a word at the command line that nobody can give is left out by name, with the
reason in the rows. Without ``--examples`` the figure is ``None``.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from pathlib import Path
from typing import Any

from bench.result import NotHere, Result
from bench.tasks.starts import DEFAULT_QUEUE, default_agent
from bench.tasks.yard import QUEUE, Yard, commit

FIGURES = ("examples_failed", "examples_run", "examples_left_out")
#: One example, with its environment, takes at most so long.
_SECONDS = 240.0
_OF_TORCH = ("torch", "torchvision", "torchaudio")
_PARENT = {"artifacts_retrieval.py": "artifacts.py", "programmatic_orchestration.py": "toy_base_task.py"}
_DATA, _NET = "downloads a data set", "loads files from the network"
_ENDLESS = "runs until somebody stops it"
_OTHERS = "wants tasks that other examples left, which are left out"
#: A file, or a folder with all below it -> why it is left out.
LEFT_OUT: dict[str, str] = {
    "advanced/execute_remotely_example.py": _DATA,
    "advanced/model_embedding.py": "asks a server of models that serves the person",
    "advanced/model_finetuning": "downloads a language model and wants a GPU",
    "automation/manual_random_param_search_example.py": _OTHERS,
    "cicd/check_remotely_runnable.py": "runs in a job of GitHub's",
    "cicd/compare_models.py": "runs in a job of GitHub's",
    "cicd/example_task.py": "lists pandas 1.5.1 without an older numpy: what pip then installs does not load anywhere",
    "cicd/task_stats_to_comment.py": "runs in a job of GitHub's",
    "datasets": _DATA,
    "distributed/pytorch_distributed_example.py": _DATA,
    "frameworks/autokeras": _DATA,
    "frameworks/catboost": _DATA,
    "frameworks/fastai": _DATA,
    "frameworks/ignite": _DATA,
    "frameworks/jsonargparse/jsonargparse_command.py": "wants a command behind it, such as person",
    "frameworks/jsonargparse/pytorch_lightning_cli.py": "wants a command behind it, such as fit",
    "frameworks/jsonargparse/pytorch_lightning_cli_old.py": _DATA,
    "frameworks/keras": _DATA,
    "frameworks/kerastuner": _DATA,
    "frameworks/lightgbm": _NET,
    "frameworks/matplotlib": _DATA,
    "frameworks/megengine": _DATA,
    "frameworks/openmmlab": _DATA,
    "frameworks/pytorch-lightning": _DATA,
    "frameworks/pytorch/pytorch_abseil.py": _DATA,
    "frameworks/pytorch/pytorch_distributed_example.py": _DATA,
    "frameworks/pytorch/pytorch_matplotlib.py": "downloads a trained model",
    "frameworks/pytorch/pytorch_mnist.py": _DATA,
    "frameworks/pytorch/pytorch_model_update.py": _DATA,
    "frameworks/pytorch/pytorch_tensorboard.py": _DATA,
    "frameworks/pytorch/pytorch_tensorboardx.py": _DATA,
    "frameworks/tensorboardx/pytorch_tensorboardX.py": _DATA,
    "frameworks/xgboost/xgboost_sample.py": "wants the program dot of Graphviz on the machine",
    "frameworks/tensorflow/legacy": "is written for TensorFlow 1, which no Python here has",
    "frameworks/tensorflow/tensorflow_mnist.py": _DATA,
    "hyperdatasets": "wants the paid edition of the server",
    "optimization/hyper-parameter-optimization/base_template_keras_simple.py": _DATA,
    "optimization/hyper-parameter-optimization/hyper_parameter_optimizer.py": _OTHERS,
    "optimization/hyper-parameter-optimization/multi_objective_hpo.py": _OTHERS,
    "pipeline/full_tabular_data_process_pipeline_example.py": _DATA,
    "pipeline/pipeline_from_decorator.py": _NET,
    "pipeline/pipeline_from_functions.py": _NET,
    "pipeline/pipeline_from_tasks.py": _OTHERS,
    "pipeline/step1_dataset_artifact.py": _DATA,
    "pipeline/step2_data_processing.py": _NET,
    "pipeline/step3_train_model.py": _OTHERS,
    "reporting/matplotlib_automatic_reporting.py": _DATA,
    "reporting/matplotlib_manual_reporting.py": _DATA,
    "reporting/pandas_reporting.py": _NET,
    "reporting/using_artifacts_example.py": "wants its first half completed, as a run outside an agent leaves it",
    "router": _ENDLESS,
    "scheduler": _ENDLESS,
    "services": "is a service with accounts of its own",
}
#: What a person gave at the command line when the task was made.
PARAMETERS: dict[str, dict[str, str | tuple[str, str]]] = {
    "frameworks/click/click_single_cmd.py": {
        "Args/hello": ("True", "click.Command"),
        "Args/hello/count": "2",
        "Args/hello/name": "bench",
        "Args/count": "2",
        "Args/name": "bench",
    },
    "frameworks/click/click_multi_cmd.py": {
        "Args/hello": ("True", "click.Command"),
        "Args/hello/count": "2",
        "Args/hello/name": "bench",
        "Args/cli/print_something": "True",
        "Args/cli/what_to_print": "something",
    },
    "frameworks/fire/fire_single_cmd.py": {"Args/count": ("2", "fire.Arg.shared")},
}


def figures(result: Result, quick: bool, yard: Yard, options: Any) -> None:
    """Run them, one after the other.

    Raises:
        NotHere: no checkout was named, or there are no examples in it.
    """
    if options.examples is None:
        raise NotHere("no checkout of the SDK's examples is named: --examples DIR")
    top = options.examples / "examples" if (options.examples / "examples").is_dir() else options.examples
    scripts = in_order(sorted(str(path.relative_to(top)) for path in top.rglob("*.py")))
    if not scripts:
        raise NotHere(f"there is no example in {top.name}")
    kept = [script for script in scripts if reason(script) is None]
    for script in scripts:
        if script not in kept:
            result.row(part="examples", example=script, left_out=reason(script))
    result.figure("examples_left_out", len(scripts) - len(kept))
    repository = yard.new("examples")
    shutil.copytree(top, repository, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    commit(repository)
    failed = ran = 0
    wrong: list[str] = []
    for script in kept[:3] if quick else kept:
        try:
            yard.check_time(60.0)
        except NotHere as why:
            result.row(part="examples", example=script, not_measured=str(why))
            continue
        begun = time.monotonic()
        told = _fate(yard, repository, script)
        ran += 1
        if told["status"] != "completed" or not told["has_record"]:
            failed += 1
            wrong.append(script)
        result.row(part="examples", example=script, seconds=round(time.monotonic() - begun, 1), **told)
        result.figure("examples_failed", failed)
        result.figure("examples_run", ran)
        if options.json is not None:
            result.write(options.json)  # as it is so far: each takes a while
        if told["status"] != "completed":
            print(f"  {told['status']}: {script}: {told['reason']}", flush=True)
    if wrong:
        with default_agent(yard) as environments:
            for script in wrong:
                with contextlib.suppress(NotHere):
                    yard.check_time(60.0)
                    shutil.rmtree(environments, ignore_errors=True)  # it would leave packages to the next
                    told = _fate(yard, repository, script, DEFAULT_QUEUE)
                    result.row(part="examples", example=script, by="a plain clearml-agent", **told)


def reason(script: str) -> str | None:
    """Why an example is left out; ``None``: it is run."""
    parts = Path(script).parts
    places = ("/".join(parts[: count + 1]) for count in range(len(parts)))
    return next((LEFT_OUT[place] for place in places if place in LEFT_OUT), None)


def in_order(scripts: list[str]) -> list[str]:
    """What others build on goes before them."""
    later = [script for script in scripts if Path(script).name in _PARENT]
    return [script for script in scripts if script not in later] + later


def requirements(script: str, listed: str) -> str:
    """Of what a folder lists, what the task of a script lists: of torch and its companions only what is imported."""
    kept = []
    for line in listed.splitlines():
        name = re.match(r"\s*([A-Za-z0-9_.-]*)", line)
        if (
            name is None
            or name[1] not in _OF_TORCH
            or re.search(rf"^\s*(import|from) {name[1]}\b", script, re.M)
        ):
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


def _fate(yard: Yard, repository: Path, script: str, queue: str = QUEUE) -> dict[str, Any]:
    file = repository / script
    listed = file.parent / "requirements.txt"
    text = listed.read_text(encoding="utf-8") if listed.is_file() else "clearml\n"
    project, name = _named(file)
    id = yard.send(
        name,
        repository=str(repository),
        folder=str(Path(script).parent),
        entry=file.name,
        requirements=requirements(file.read_text(encoding="utf-8"), text),
        queue=queue,
        project=project,
        parameters=PARAMETERS.get(script, {}),
    )
    try:
        task = yard.ended(id, _SECONDS)
    except NotHere as why:
        return {"status": "not ended", "has_record": False, "reason": str(why)}
    told = {"status": task["status"], "has_record": yard.record(id) is not None, "reason": None}
    if task["status"] != "completed":
        told.update(reason=str(task.get("status_reason"))[:400], said=yard.said(id, 600))
    return told


def _named(file: Path) -> tuple[str, str]:
    """(project, name) as the script's first Task.init says them; of both something where it says them otherwise."""
    text = file.read_text(encoding="utf-8")
    call = re.search(r"Task\.init\((.*?)\)", text, re.DOTALL)
    texts = re.findall(
        r"""(?:^|[\s,(])(?:(project_name|task_name)\s*=\s*)?(["'])(.*?)\2""", call[1] if call else ""
    )
    found = {key: value for key, _, value in texts if key}
    plain = [value for key, _, value in texts if not key]
    project = found.get("project_name") or (plain.pop(0) if plain else file.parent.name)
    return project, found.get("task_name") or (plain.pop(0) if plain else file.stem)
