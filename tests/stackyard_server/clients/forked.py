"""The scripts that fork, and what of what they sent is on the server."""

from __future__ import annotations

import re

from ..running import Running

#: How many parameters, console lines and points each leaves.
SCRIPTS = {"forked_edits.py": 40, "forked_pool.py": 24}


def lost(server: Running, task: str, count: int) -> list[str]:
    """Which of a script's parameters, console lines and points are not on the server."""
    stored = server.call("tasks.get_by_id", task=task)["task"]
    parameters = [name for name in stored["hyperparams"]["General"] if name.startswith("step_")]
    log = server.call("events.get_task_log", task=task, batch_size=5000)["events"]
    lines = set(re.findall(r"line (\d{3})", "\n".join(event["msg"] for event in log)))
    points = server.call("events.scalar_metrics_iter_histogram", task=task)["loss"]["train"]["x"]
    there = {"parameters": len(parameters), "lines": len(lines), "points": len(set(points))}
    wrong = [f"{count - found} of {count} {what} lost" for what, found in there.items() if found != count]
    return wrong if stored["status"] == "completed" else [*wrong, f"ends as {stored['status']}"]
