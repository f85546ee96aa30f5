"""From the pull to the first line of user code: on our agent with its environment known, and the agent's own way.

Both run the same task: a script stored whole that lists pandas, which is beyond the default stack. Ours is measured
from the second task on: the first one has the environment derived. ``default_agent_ratio`` is the median of the agent's
own way divided by ours: a clearml-agent as it comes, with its own clearml.conf and without anything of ours, makes an
environment for each task. It downloads nothing: one task before has filled pip's caches. Its cache of whole
environments is off. Such an agent installs over what the task before left, packages that nobody listed included; so
the folder is emptied before each task, as for a machine that this task meets first. What it takes where the same task
was the last one stands in a row too. Pulled is ``started`` as the server has it; the first line writes the clock of the
same machine.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.dispatch.starts import interval
from bench.dispatch.yard import running, wait_for_worker
from bench.result import NotHere, Result
from bench.tasks.yard import Yard

FIGURES = ("second_task_start_seconds", "default_agent_ratio")
REQUIREMENTS = "clearml\npandas>=2.2\n"
#: The first line says when it is run; pandas shows that what is listed is there.
SCRIPT = "import time; open({file!r}, 'w').write(repr(time.time()))\nimport pandas\n"
DEFAULT_QUEUE = "default-way"


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """Measure ours, then the other."""
    count, defaults = (5, 1) if quick else (15, 3)
    first, own = _start(yard), []
    for _ in range(count):
        time.sleep(random.uniform(0.0, 0.5))  # each meets the agent's polls elsewhere
        own.append(_start(yard))
    result.figure("second_task_start_seconds", statistics.median(own), interval(own))
    result.row(
        part="starts",
        n=count,
        seconds=[round(value, 3) for value in sorted(own)],
        first_task_start_seconds=round(first, 2),
    )
    with default_agent(yard) as environments:
        warming = _start(yard, DEFAULT_QUEUE)
        again = [_start(yard, DEFAULT_QUEUE) for _ in range(defaults)]
        theirs = []
        for _ in range(defaults):
            shutil.rmtree(environments, ignore_errors=True)
            theirs.append(_start(yard, DEFAULT_QUEUE))
    result.figure("default_agent_ratio", statistics.median(theirs) / statistics.median(own))
    result.row(
        part="starts",
        n=defaults,
        default_agent_seconds=[round(value, 2) for value in sorted(theirs)],
        default_agent_first_seconds=round(warming, 2),
        default_agent_seconds_over_the_same_task=[round(value, 2) for value in sorted(again)],
        ratio_over_the_same_task=round(statistics.median(again) / statistics.median(own), 2),
    )


def _start(yard: Yard, queue: str = "cpu") -> float:
    """Seconds from the pull of one task to its first line.

    Raises:
        NotHere: it does not complete.
    """
    yard.check_time(10.0)
    file = yard.new("first-line")
    id = yard.send("starts", SCRIPT.format(file=str(file)), requirements=REQUIREMENTS, queue=queue)
    task = yard.ended(id)
    if task["status"] != "completed" or not file.exists():
        raise NotHere(f"a task of queue {queue} ended as {task['status']}: {yard.said(id)}")
    return float(file.read_text()) - datetime.fromisoformat(task["started"]).timestamp()


@contextmanager
def default_agent(yard: Yard) -> Iterator[Path]:
    """An agent as ClearML's manual begins, with nothing of ours, until the block is left.

    Yields:
        the folder in which it makes environments.
    """
    home = yard.new("default-agent")
    home.mkdir()
    conf = home / "clearml.conf"
    to = yard.client.connection
    conf.write_text(
        f'api {{ api_server: "{to.api}", web_server: "{to.web}", files_server: "{to.files}"\n'
        f'credentials {{ access_key: "{to.access_key}", secret_key: "{to.secret_key}" }} }}\n'
        f'agent {{ worker_id: "{DEFAULT_QUEUE}", venvs_cache {{ path: "" }} }}\n'
    )
    conf.chmod(0o600)
    ours = ("CLEARML", "TRAINS", "PYTHON", "STACKYARD", "VIRTUAL_ENV")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    variables.update(HOME=str(home), TMPDIR=str(home), CLEARML_CONFIG_FILE=str(conf))
    command = [sys.executable, "-m", "clearml_agent", "daemon", "--queue", DEFAULT_QUEUE]
    command += ["--create-queue", "--cpu-only", "--foreground"]
    with running(command, variables, Path(home)):
        wait_for_worker(yard.client, DEFAULT_QUEUE)
        yield home / ".clearml" / "venvs-builds"
