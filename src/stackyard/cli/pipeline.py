"""``stackyard pipeline run | publish | show | list | rerun | abort``: steps on queues, under a controller."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from stackyard import stacks, toml_tables, workloads
from stackyard.agents import queues as agent_queues
from stackyard.clearml import connection, pipelines
from stackyard.clearml.client import Client
from stackyard.clearml.pipelines import controller, watching
from stackyard.clearml.pipelines.submission import TEMPLATE, Here, Submission
from stackyard.clearml.pipelines.watching import RunState
from stackyard.clearml.sending import Sender
from stackyard.cli import requirements
from stackyard.cli.options import Config, Data, Json
from stackyard.errors import BadInputError, Interrupted, RunsFailedError
from stackyard.machine import data
from stackyard.settings import Settings
from stackyard.stacks import images
from stackyard.workloads import trials

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or a pipeline's name: its newest run.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for its end; exit status 4 says that it failed.")]


@app.command("run")
def run_command(
    file: Annotated[Path, typer.Argument(help="The pipeline file (TOML).", metavar="FILE")],
    on_change: Annotated[
        bool,
        typer.Option(
            "--on-change", help="Start it only if code, data, stacks or the file changed since the last run."
        ),
    ] = False,
    wait: Wait = False,
    local_controller: Annotated[
        bool,
        typer.Option(
            "--local-controller", help="Control the steps from here instead of a queue; implies --wait."
        ),
    ] = False,
    queue: Annotated[
        list[str] | None,
        typer.Option(
            "--queue", metavar="STEP=QUEUE", help="Another queue for a step than the file's; may be repeated."
        ),
    ] = None,
    data_folder: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Start a pipeline: its controller goes to a queue, which starts each step on that step's own queue."""
    settings = Settings.from_environment(data_folder)
    pipeline, here = prepared(file, settings, _pairs(queue or []))
    with _client(settings, config) as client:
        submission = Submission(pipeline, Sender(client), here, lambda line: typer.echo(line, err=as_json))
        submitted = submission.submit(on_change=on_change, enqueue=not local_controller)
        said = {"id": submitted.id, "started": submitted.started, "why": submitted.why}
        if not submitted.started:
            typer.echo(json.dumps(said, indent=1) if as_json else f"{pipeline.name}: {submitted.why}")
            return
        where = "controlled from here" if local_controller else f"in queue {pipeline.controller_queue}"
        typer.echo(f"run {submitted.id}, {where}: {_page(client, submitted.id)}", err=as_json)
        if not (wait or local_controller):
            if as_json:
                typer.echo(json.dumps(said, indent=1))
            return
        with ExitStack() as around:
            if local_controller:
                around.enter_context(controller.started(client, submitted.id))
            state = _followed(client, submitted.id, as_json, local_controller)
        _end(state, said, as_json)


@app.command("publish")
def publish_command(
    file: Annotated[Path, typer.Argument(help="The pipeline file (TOML).", metavar="FILE")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Put a pipeline among the task templates, for the web app to clone; a second call changes it in place."""
    settings = Settings.from_environment()
    pipeline, here = prepared(file, settings, {})
    with _client(settings, config) as client:
        id, outcome = Submission(pipeline, Sender(client), here).publish()
        said = {"name": TEMPLATE, "id": id, "outcome": outcome, "queue": pipeline.controller_queue}
        line = f"{outcome:9s} {TEMPLATE}  {id}  queue {pipeline.controller_queue}"
        typer.echo(json.dumps(said, indent=1) if as_json else line)


@app.command("show")
def show_command(run: Run, config: Config = None, as_json: Json = False) -> None:
    """Show how a run stands: each step's status, queue, worker, waiting and running time, and why it failed."""
    with _client(Settings.from_environment(), config) as client:
        state = watching.state_of(client, watching.found_run(client, run))
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(state), indent=1))
            return
        _print(state, _page(client, state.id))


@app.command("list")
def list_command(config: Config = None, as_json: Json = False) -> None:
    """Show the pipelines on the server and their newest runs."""
    with _client(Settings.from_environment(), config) as client:
        found = watching.pipelines(client)
    rows = [
        {
            "name": name,
            "run": None if run is None else run["id"],
            "status": None if run is None else run["status"],
            "reason": "" if run is None else run.get("status_reason") or "",
            "created": None if run is None else run.get("created"),
        }
        for name, run in found
    ]
    if as_json:
        typer.echo(json.dumps({"pipelines": rows}, indent=1))
        return
    if not rows:
        typer.echo("no pipeline is on the server; start one with: stackyard pipeline run FILE")
    for row in rows:
        why = f": {row['reason']}" if row["status"] in ("failed", "stopped") and row["reason"] else ""
        typer.echo(f"{row['name']}  {row['run'] or 'never run'}  {row['status'] or ''}{why}")


@app.command("rerun")
def rerun_command(
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step to make again.")],
    run: Annotated[
        str,
        typer.Option("--run", metavar="RUN", help="Id of the run, or the pipeline's name: its newest run."),
    ],
    wait: Wait = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make one step of a run again, alone, with the inputs it had."""
    with _client(Settings.from_environment(), config) as client:
        found = watching.found_run(client, run)
        again, queue = watching.rerun(client, found, step)
        typer.echo(f"step {step} again, task {again} in queue {queue}: {_page(client, again)}", err=as_json)
        said: dict[str, Any] = {"id": again, "run": found, "queue": queue}
        if wait:
            state = _step_end(client, again, as_json)
            said["step"] = dataclasses.asdict(state)
            if as_json:
                typer.echo(json.dumps(said, indent=1))
            if state.status not in ("completed", "published"):
                raise RunsFailedError(f"step {step} again: {state.status}: {state.reason}")
        elif as_json:
            typer.echo(json.dumps(said, indent=1))


@app.command("abort")
def abort_command(run: Run, config: Config = None) -> None:
    """End a run and the steps it has under way."""
    with _client(Settings.from_environment(), config) as client:
        found = watching.found_run(client, run)
        watching.abort(client, found)
        typer.echo(f"run {found} was asked to stop")


# -- what they share -------------------------------------------------------------------------------


def _client(settings: Settings, config: Path | None) -> Client:
    return Client(connection.find(settings, config))


def prepared(file: Path, settings: Settings, queues: Mapping[str, str]) -> tuple[pipelines.Pipeline, Here]:
    """A pipeline file and what its submission needs of this machine."""
    defined = stacks.load()
    catalogue = workloads.load(file.parent)
    pipeline = pipelines.read(
        toml_tables.text_of(file, "name a pipeline file"),
        str(file),
        stacks=defined,
        default_stack=stacks.DEFAULT,
        workloads=catalogue.declared,
        queues=queues,
        why_not=catalogue.why_not,
        unread=catalogue.unread(),
    )
    asked = [
        one
        for step in pipeline.steps
        for one in trials.of_parameters(
            step.declared or catalogue.declared.get(step.workload),
            step.parameters,
            {},
            f"steps.{step.name}.parameters",
        )
    ]
    trials.refuse(file, asked)
    steps = []
    for step in pipeline.steps:
        spec = requirements.stack_for(
            step.command, defined[step.stack], file.parent, settings, lambda line: typer.echo(line, err=True)
        )
        defined[spec.name] = spec
        steps.append(dataclasses.replace(step, stack=spec.name))
    pipeline = dataclasses.replace(pipeline, steps=tuple(steps))
    functions = [step.workload for step in pipeline.steps if step.command is None]
    code_folder, code = catalogue.taken(settings.home, functions)
    here = Here(
        code_folder=code_folder,
        code=code,
        pin_of=lambda name: defined[name].pin,
        tunables_of=lambda name: {**defined[name].environment, **defined[name].tunables},
        image_of=_images(settings),
        dataset=lambda reference: data.resolve(reference, settings.data),
        folder=file.resolve().parent,
        home=settings.home,
        leave_out=(file.resolve(), settings.home),
        workloads=catalogue.declared,
    )
    return pipeline, here


def _pairs(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        step, parted, queue = text.partition("=")
        if not (step and parted and queue):
            raise BadInputError(f"--queue {text!r}: expected STEP=QUEUE, such as train=gpu")
        if step in found:
            raise BadInputError(f"--queue {step}: given twice")
        found[step] = queue
    return found


def _images(settings: Settings) -> Callable[[str, str], str | None]:
    """What image a step on a queue runs in: none, where the queue's tasks run on the host."""
    defined = agent_queues.read(agent_queues.default_path()).queues
    recorded = images.recorded(settings)

    def image_of(queue: str, stack: str) -> str | None:
        if queue not in defined or not defined[queue].in_container:
            return None
        if stack not in recorded:
            raise BadInputError(
                f"queue {queue} runs tasks in containers and stack {stack} has no image; build it with: "
                f"stackyard stack image build {stack}"
            )
        return recorded[stack].reference

    return image_of


def _page(client: Client, id: str) -> str:
    task = client.call("tasks.get_by_id", task=id)["task"]
    return f"{client.connection.web}/projects/{task['project']}/tasks/{id}"


def _followed(client: Client, id: str, as_json: bool, local: bool) -> RunState:
    """Print what happens to a run until it is over."""
    state = watching.state_of(client, id)
    try:
        for line, state in watching.follow(client, id):  # noqa: B007
            typer.echo(line, err=as_json)
    except KeyboardInterrupt:
        if local:
            raise Interrupted(f"run {id} was aborted, and its steps with it") from None
        raise Interrupted(
            f"run {id} goes on; look at it with: stackyard pipeline show {id}, "
            f"end it with: stackyard pipeline abort {id}"
        ) from None
    return state


def _end(state: RunState, said: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**said, "run": dataclasses.asdict(state)}, indent=1))
    elif state.seconds is not None:
        own = (
            ""
            if state.controller_seconds is None
            else f", of them {state.controller_seconds:.1f} s between steps"
        )
        typer.echo(f"{state.seconds:.1f} s{own}")
    if not state.completed:
        raise RunsFailedError(f"pipeline {state.name} {state.status}: {state.reason}")


def _step_end(client: Client, id: str, as_json: bool) -> watching.StepState:
    """The state of a step's task once it has ended, told as it changes."""
    for line, state in watching.follow_step(client, id):  # noqa: B007
        typer.echo(line, err=as_json)
    return state


def _print(state: RunState, page: str) -> None:
    why = f": {state.reason}" if state.reason and not state.completed else ""
    typer.echo(f"{state.name}  {state.id}  {state.status}{why}")
    typer.echo(f"  page  {page}")
    width = max((len(step.name) for step in state.steps), default=0)
    for step in state.steps:
        waited = "-" if step.waited_seconds is None else f"{step.waited_seconds:.1f} s"
        ran = "-" if step.ran_seconds is None else f"{step.ran_seconds:.1f} s"
        said = f"  {step.reason}" if step.reason and step.status in ("failed", "stopped") else ""
        typer.echo(
            f"  {step.name:{width}s}  {step.status:11s}  waited {waited:>8s}  ran {ran:>8s}  "
            f"queue {step.queue or '-'}  worker {step.worker or '-'}  {step.id or ''}{said}"
        )
    if state.seconds is not None and state.controller_seconds is not None:
        typer.echo(f"  {state.seconds:.1f} s in all, {state.controller_seconds:.1f} s of them between steps")
