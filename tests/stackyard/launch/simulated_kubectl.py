"""A simulated kubectl: a program that starts a Job's command on this machine, for a PATH. No Kubernetes is near.

No image, no limit and no user of a manifest is heeded; the image's Python is the one that runs the tests. A test puts
files into the state folder: ``down`` (the cluster does not answer), ``held`` (no pod begins), ``forbidden`` (Jobs may
not be made), ``lost`` (the answer to apply is lost), and ``status`` in a Job's folder (JSON: its pod's).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NODES = [
    {
        "metadata": {"name": "node1"},
        "status": {"allocatable": {"cpu": "7910m", "memory": "15Gi", "nvidia.com/gpu": "2"}},
    },
    {"metadata": {"name": "node2"}, "status": {"allocatable": {"cpu": "4", "memory": "8000Mi"}}},
    {
        "metadata": {"name": "node3"},
        "spec": {"unschedulable": True},
        "status": {"allocatable": {"cpu": "64", "memory": "256Gi"}},
    },
]
PROGRAM = r"""#!{python} -IS
import json, os, signal, subprocess, sys
from pathlib import Path

state = Path({state!r})
words = [w for w in sys.argv[1:] if not w.startswith("--")]
options = dict(w[2:].partition("=")[::2] for w in sys.argv[1:] if w.startswith("--"))
with (state / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\n")

def refuse(said):
    print(said, file=sys.stderr)
    sys.exit(1)

if (state / "down").exists():
    refuse("Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout")

def tree(leader):
    every = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout.split()
    parents, found = dict(zip(every[::2], every[1::2])), [leader]
    for _ in range(8):
        found += [pid for pid in parents if parents[pid] in found and pid not in found]
    return found

def pod_of(job):
    status = {{"phase": "Pending"}}
    if (job / "pid").exists():
        status = {{"phase": "Running"}}
    if (job / "code").exists() and (job / "code").read_text():
        code = int((job / "code").read_text())
        end = {{"terminated": {{"exitCode": code, "reason": "Error" if code else "Completed"}}}}
        status = {{"phase": "Failed" if code else "Succeeded", "containerStatuses": [{{"state": end}}]}}
    if (job / "status").exists():
        status = json.loads((job / "status").read_text())
    return status

folders = [p for p in state.iterdir() if p.is_dir()]
if words[:2] == ["auth", "can-i"]:
    print("no" if (state / "forbidden").exists() else "yes")
    sys.exit((state / "forbidden").exists())
if words[:2] == ["get", "nodes"]:
    if (state / "no-nodes").exists():
        refuse('Error from server (Forbidden): nodes is forbidden: User "u" cannot list resource "nodes"')
    print((state / "nodes").read_text())
elif words[0] == "apply":
    document = json.load(sys.stdin)
    if document["metadata"]["namespace"] == "closed":
        refuse('Error from server (Forbidden): jobs.batch is forbidden')
    job = state / document["metadata"]["name"]
    job.mkdir()
    (job / "manifest.json").write_text(json.dumps(document))
    container = document["spec"]["template"]["spec"]["containers"][0]
    if not (state / "held").exists():
        command = [sys.executable, *container["command"][1:]]
        line = f'cd {{job}}; (cd "$OLDPWD"; exec "$@") & echo $! > part; mv part pid; wait $!; echo $? > code'
        subprocess.Popen(["sh", "-c", line, "sh", *command], cwd=container["workingDir"], stdin=subprocess.DEVNULL,
            stdout=(job / "log").open("wb"), stderr=subprocess.STDOUT, start_new_session=True,
            env={{"PATH": os.environ["PATH"], **{{e["name"]: e["value"] for e in container["env"]}}}})
        while not (job / "pid").exists():
            pass
    if (state / "lost").exists():
        refuse("Error from server: etcdserver: request timed out")
    print(f"job.batch/{{job.name}} created")
elif words[:2] == ["get", "jobs,pods"]:
    items = []
    for job in folders:
        labels = json.loads((job / "manifest.json").read_text())["metadata"]["labels"]
        status = pod_of(job)
        if not (job / "deleted").exists():
            done = {{"Succeeded": "Complete", "Failed": "Failed"}}.get(status["phase"])
            conditions = [{{"type": done, "status": "True"}}] if done else []
            items.append({{"kind": "Job", "metadata": {{"labels": labels}}, "status": {{"conditions": conditions}}}})
        if not ((job / "deleted").exists() and status["phase"] != "Running"):
            items.append({{"kind": "Pod", "metadata": {{"labels": labels}}, "status": status,
                "spec": {{"nodeName": "node1"}} if status["phase"] != "Pending" else {{}}}})
    print(json.dumps({{"items": items}}))
elif words[:2] == ["get", "jobs"]:
    if (state / words[2]).exists():
        print(f"job.batch/{{words[2]}}")
elif words[0] == "delete":
    name = words[2] if words[1] == "jobs" else options["selector"].partition("=")[2]
    job = state / name
    if not job.exists():
        sys.exit(0)
    (job / "deleted").touch()
    if (job / "pid").exists() and not (job / "code").exists():
        leader = (job / "pid").read_text().strip()
        for pid in (tree(leader) if words[1] == "pods" else [leader]):
            try:
                os.kill(int(pid), signal.SIGKILL if words[1] == "pods" else signal.SIGTERM)
            except ProcessLookupError:
                pass
"""


class SimulatedKubectl:
    """The program and its state.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.programs = folder / "programs"
        self.state.mkdir(parents=True)
        self.programs.mkdir()
        (self.state / "nodes").write_text(json.dumps({"items": NODES}))
        program = self.programs / "kubectl"
        program.write_text(PROGRAM.format(python=sys.executable, state=str(self.state)))
        program.chmod(0o755)

    def calls(self, words: str) -> list[str]:
        """What it was called with, where that contains these words."""
        path = self.state / "calls"
        return [line for line in (path.read_text().splitlines() if path.exists() else []) if words in line]

    def manifest(self, name: str) -> Any:
        """What was applied."""
        return json.loads((self.state / name / "manifest.json").read_text())

    def say(self, name: str, **status: Any) -> None:
        """Let the pod of a Job be said to have a status."""
        (self.state / name / "status").write_text(json.dumps(status))
