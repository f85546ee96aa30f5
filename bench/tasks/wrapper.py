"""``wrapper_start_ms``: what standing in for Python costs, from the agent's exec to the first line of user code.

The program that an agent takes for Python is executed as the agent does it, for a task that the server has as started,
and so is the Python that this task gets: alternated pairs of the same script, the median of the differences. In it
are: the shell that names the interpreter, its start (the agent's Python, isolated), the task's document over loopback
(with the login before it), which Python to take (known before, so read from the cache), the run folder, the cgroup,
the supervisor with what it asks of the stack's Python, and what runs in that Python before the script. Not in it:
pull, checkout and whatever else the agent does before its exec, and all that happens after the first line.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.measure import median_interval
from bench.result import NotHere, Result
from bench.tasks.starts import REQUIREMENTS
from bench.tasks.yard import SLOT, Yard

FIGURES = ("wrapper_start_ms",)
SCRIPT = "import time; open({file!r}, 'w').write(repr(time.time()))\n"


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """Alternated pairs."""
    pairs = 6 if quick else 30
    said = yard.new("python")
    yard.run(
        "which python",
        f"import sys; open({str(said)!r}, 'w').write(sys.executable)",
        requirements=REQUIREMENTS,
    )
    real = said.read_text()
    script = {"binary": "python3", "entry_point": "script.py", "requirements": {"pip": REQUIREMENTS}}
    id = yard.client.call("tasks.create", name="wrapper", type="training", script=script)["id"]
    yard.client.call("tasks.started", task=id, force=True)
    to = yard.client.connection
    bare = yard.agents_variables()
    variables = {
        **bare,
        "CLEARML_TASK_ID": id,
        "CLEARML_API_HOST": to.api,
        "CLEARML_FILES_HOST": to.files,
        "CLEARML_WEB_HOST": to.web,
        "CLEARML_API_ACCESS_KEY": to.access_key,
        "CLEARML_API_SECRET_KEY": to.secret_key,
    }
    wrapper = str(yard.lab.home / "agents" / SLOT / "bin" / "python")
    _milliseconds(yard, wrapper, variables)  # what is compiled or read once
    ours, plain = [], []
    for pair in range(pairs):
        for stands_in in (True, False) if pair % 2 else (False, True):
            if stands_in:
                ours.append(_milliseconds(yard, wrapper, variables))
            else:
                plain.append(_milliseconds(yard, real, bare))
    more = [one - other for one, other in zip(ours, plain)]
    result.figure("wrapper_start_ms", statistics.median(more), median_interval(more))
    result.row(
        part="wrapper",
        pairs=pairs,
        ms=[round(value, 1) for value in sorted(more)],
        python_ms=round(statistics.median(plain), 1),
    )


def _milliseconds(yard: Yard, python: str, variables: dict[str, str]) -> float:
    """From the exec of one program to the first line of a script."""
    yard.check_time(2.0)
    folder = yard.new("exec")
    folder.mkdir()
    file, script = folder / "first-line", folder / "script.py"
    script.write_text(SCRIPT.format(file=str(file)))
    begun = time.time()
    done = subprocess.run(
        [python, "-u", str(script)],
        env=variables,
        cwd=Path(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0 or not file.exists():
        raise NotHere(f"{Path(python).name} ended with {done.returncode}: {done.stderr.decode()[-300:]}")
    return 1000 * (float(file.read_text()) - begun)
