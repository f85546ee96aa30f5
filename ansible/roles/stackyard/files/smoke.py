#!/usr/bin/env python3
"""One task for each queue that has a worker, and each stack; waits for all, and says what ran where as one JSON object.

    smoke.py STACKYARD CONFIG SECONDS STACK...

STACKYARD is the command; CONFIG a clearml.conf. Exit status 1: a task did not complete, or came without a record.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

#: What a task does: something that only the stack itself can.
PROGRAM = """
import platform, sys
try:
    import torch
    found, version = float((torch.ones(4) @ torch.ones(4)).item()), torch.__version__
except ModuleNotFoundError:
    import numpy
    found, version = float(numpy.ones(4) @ numpy.ones(4)), numpy.__version__
print(platform.node(), version, found)
sys.exit(found != 4.0)
"""
#: Queues of controllers: they start tasks and are none of a stack.
LEFT_OUT = ("services",)


def main(arguments: list[str]) -> int:
    """The program; its exit status."""
    command, config, seconds, *stacks = arguments
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "STACKYARD_HOME": folder, "HOME": folder}

        def call(*words: str, cwd: str | None = None) -> dict:
            done = subprocess.run(
                [command, *words, "--config", config, "--json"] if words[0] != "task" else [command, *words],
                env=environment,
                capture_output=True,
                text=True,
                timeout=float(seconds),
                cwd=cwd,
                check=False,
            )
            try:
                return json.loads(done.stdout)
            except ValueError:
                return {"status": "not sent", "reason": (done.stderr.strip() or "no word").splitlines()[-1]}

        work = Path(folder) / "smoke"
        work.mkdir()
        (work / "smoke.py").write_text(PROGRAM)
        served = json.loads(
            subprocess.run(
                [str(Path(command).with_name("python")), str(Path(__file__).with_name("served.py")), config],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            ).stdout
        )
        rows = []
        for queue in sorted(set(served) - set(LEFT_OUT)):
            for stack in stacks:
                told = call(
                    *("task", "submit", "--config", config, "--queue", queue, "--stack", stack, "--wait", "--json"),
                    *("--name", f"smoke {queue} {stack}", "--", "python", "smoke.py"),
                    cwd=str(work),
                )
                record = told.get("record") or {}
                where = record.get("environment") or {}
                rows.append(
                    {
                        "queue": queue,
                        "stack": stack,
                        "status": told.get("status"),
                        "reason": told.get("reason") or None,
                        "worker": told.get("worker"),
                        "task": told.get("id"),
                        "record": bool(record),
                        "torch": where.get("torch"),
                        "seconds": (record.get("usage") or record).get("wall_seconds"),
                    }
                )
    good = bool(rows) and all(row["status"] == "completed" and row["record"] for row in rows)
    print(json.dumps({"ok": good, "tasks": rows}, indent=1))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
