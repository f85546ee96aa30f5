"""What a server offers to be cloned: the task templates, the examples they run on, the pipeline, and the study.

``stackyard task publish`` and ``stackyard up`` put it there, each time all of it, in place.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path

from stackyard import stacks, toml_tables, workloads
from stackyard.clearml.client import Client
from stackyard.clearml.pipelines.submission import TEMPLATE, Submission
from stackyard.clearml.sending import Sender
from stackyard.clearml.tasks import examples, templates, tuning
from stackyard.clearml.tasks.examples import Workshop
from stackyard.clearml.tasks.templates import Origin, Published
from stackyard.cli import pipeline
from stackyard.errors import BadInputError, StackyardError
from stackyard.launch import Launcher, Place, installed
from stackyard.launch.deployment import Premises
from stackyard.settings import Settings, base
from stackyard.stacks import images
from stackyard.stacks.definition import StackSpec
from stackyard.workloads import Catalogue
from stackyard_task import records
from stackyard_task.records import RunRecord, TaskSpec

#: The pipeline among the templates: it needs no data.
PIPELINE = Path("pipelines") / "quickstart.toml"
#: The study that the template of studies holds: it needs no data either.
STUDY = Path("examples") / "tuning" / "study.toml"
#: An example that is not made by then is given up.
_LIMIT_SECONDS = 300.0


def origin(
    client: Client, settings: Settings, stack: StackSpec, catalogue: Catalogue, workload: str | None = None
) -> Origin:
    """The code as it is now, and a stack: what tasks are made with.

    Args:
        client: of the server that they are sent to.
        settings: where snapshots and images are kept.
        stack: what the tasks run on.
        catalogue: the workloads there are.
        workload: a function of the user's own, whose code travels too.
    """
    folder, code = catalogue.taken(settings.home, [] if workload is None else [workload])
    image = images.reference(stack, settings, not client.connection.is_local)
    return Origin(folder, code, stack.pin, image)


def publish(
    client: Client,
    settings: Settings,
    stack: StackSpec,
    *,
    with_examples: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[list[Published], list[str]]:
    """Put all of it on the server, or bring it up to date in place.

    Args:
        client: of the server.
        settings: where Stackyard's home is.
        stack: what the task templates run on unless somebody chooses another.
        with_examples: also the small simulated data set and the model that templates run on as cloned.
        say: told one line at a time, where something takes long.

    Returns:
        Each template; sentences about what could not be had.

    Raises:
        StackyardError: the server refuses or does not answer.
    """
    catalogue = workloads.load()
    made_with = origin(client, settings, stack, catalogue)
    sender = Sender(client)
    missing: list[str] = []
    if with_examples:
        deployment = installed.named(installed.DEFAULT)(Premises.here(settings, {stack.name: stack}))
        workshop = Workshop(
            run=functools.partial(made_here, deployment.launcher(0), made_with.folder),
            stack=made_with.stack,
            python=stacks.python_of(stack, settings),
            environment={**stack.environment, **stack.tunables},
            plain_python=Path(sys.executable),
            declared=catalogue.declared,
        )
        missing += examples.publish(sender, workshop, say)
    presets = examples.presets() if with_examples else {}
    reasons = {name: catalogue.why_not(name) for name in catalogue.declared}
    declared = {name: workload for name, workload in catalogue.declared.items() if reasons[name] is None}
    missing += [f"no template of {name}: {why}" for name, why in reasons.items() if why is not None]
    missing += [f"no template of package {name}: {why}" for name, why in catalogue.faults.items()]
    done = templates.publish(sender, templates.defined(declared, presets), made_with)
    try:
        prepared, here = pipeline.prepared(base() / PIPELINE, settings, {})
        id, outcome = Submission(prepared, sender, here).publish()
        done.append(Published(TEMPLATE, id, outcome, prepared.controller_queue))
    except (
        BadInputError
    ) as error:  # a server without the queues of this pipeline has the templates all the same
        missing.append(f"no template of the pipeline: {error}")
    try:
        done.append(tuning.publish(sender, made_with, toml_tables.text_of(base() / STUDY)))
    except BadInputError as error:
        missing.append(f"no template of a study: {error}")
    return done, missing


def made_here(launcher: Launcher, code: Path, spec: TaskSpec, folder: Path, python: Path) -> RunRecord:
    """The record of a run made here and now, with that snapshot's code."""
    run = launcher.start(spec, Place(folder=folder, python=python, code=code))
    if run.wait(_LIMIT_SECONDS) is None:
        run.kill()
        raise StackyardError(f"{spec.run_id}: not done after {_LIMIT_SECONDS:g} s")
    try:
        return records.read_json(RunRecord, folder / records.RECORD_FILE)
    except records.RecordError as error:
        raise StackyardError(str(error)) from error
