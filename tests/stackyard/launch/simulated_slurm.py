"""A simulated Slurm: programs that act on this machine as Slurm's do, for a PATH. Nothing of Slurm itself runs.

Jobs are folders below a state folder. A test puts files there: ``down`` (the controller does not answer), ``held`` (no
job begins), ``lost`` (the answer to sbatch is lost), and in a job's folder ``state`` and ``reason`` (what it is said
to be). ``calls`` lists what was called.
"""

from __future__ import annotations

import sys
from pathlib import Path

NODES = ("work*|node1|8|16000|gpu:a100:2(S:0)|idle|up|1:00:00", "work*|node2|4|8000|(null)|mixed|up|1:00:00")
NODES += (
    "urgent|node1|8|16000|gpu:a100:2(S:0)|idle|up|1:00:00",
    "old|node3|64|64000|(null)|down*|up|infinite",
)
PROGRAM = r"""#!{python} -IS
import os, signal, subprocess, sys
from pathlib import Path

state, program = Path({state!r}), Path(sys.argv[0]).name
options = dict((w[2:].partition("=")[::2]) for w in sys.argv[1:] if w.startswith("--"))
words = [w for w in sys.argv[1:] if not w.startswith("--")]
with (state / "calls").open("a") as calls:
    calls.write(" ".join([program, *sys.argv[1:]]) + "\n")

def refuse(said):
    print(f"{{program}}: error: {{said}}", file=sys.stderr)
    sys.exit(1)

if (state / "down").exists():
    refuse("Unable to contact slurm controller (connect failure)")

def said(job):
    if (job / "state").exists():
        return (job / "state").read_text()
    if not (job / "pid").exists():
        return "PENDING"
    if (job / "status").exists() and (job / "status").read_text():
        return "COMPLETED" if (job / "status").read_text().strip() == "0" else "FAILED"
    return "RUNNING"

def reason(job):
    return (job / "reason").read_text() if (job / "reason").exists() else "None"

jobs = sorted((p for p in state.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
if program == "sinfo":
    print((state / "nodes").read_text())
elif program == "sbatch":
    if options.get("partition") == "closed":
        refuse("Batch job submission failed: Access/permission denied")
    job = state / str(len(jobs) + 100)
    job.mkdir()
    (job / "name").write_text(options["job-name"])
    (job / "script").write_bytes(sys.stdin.buffer.read())
    (job / "variables").write_text("\n".join(sorted(os.environ)))
    if not (state / "held").exists():
        line = f'echo $$ > "{{job}}/pid"; sh "{{job}}/script"; echo $? > "{{job}}/status"'
        with open(options["output"].replace("%%", "%"), "wb") as output:
            subprocess.Popen(["sh", "-c", line], cwd=options["chdir"], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True)
        while not ((job / "pid").exists() and (job / "pid").read_text().strip()):
            pass
    if (state / "lost").exists():
        refuse("Batch job submission failed: Socket timed out on send/recv operation")
    print(f"{{job.name}};lab")
elif program == "squeue":
    wanted = set(options["jobs"].split(",")) if "jobs" in options else None
    found = [j for j in jobs if wanted is None or j.name in wanted]
    if "name" in options:
        found = [j for j in found if (j / "name").read_text() == options["name"]]
    if wanted is not None and len(wanted) == 1 and not found:
        refuse("Invalid job id specified")
    for job in found:
        where = "node1" if (job / "pid").exists() else ""
        print(job.name if options["format"] == "%i" else "|".join([job.name, said(job), reason(job), where]))
elif program == "scancel":
    job = state / words[-1]
    now = said(job)
    if now not in ("PENDING", "RUNNING") or options.get("state", now) != now:
        sys.exit(0)
    if now == "PENDING":
        if "signal" in options:
            refuse(f"Kill job error on job id {{job.name}}: Job is pending execution, not yet running")
        (job / "state").write_text("CANCELLED")
        sys.exit(0)
    number = signal.Signals["SIG" + options.get("signal", "TERM")]
    if "batch" in options:
        leader = int((job / "pid").read_text())
        below = subprocess.run(["ps", "-o", "pid=", "--ppid", str(leader)], capture_output=True, text=True).stdout
        for pid in below.split():
            os.kill(int(pid), number)
    else:
        leader = (job / "pid").read_text().strip()
        every = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout.split()
        parents, tree = dict(zip(every[::2], every[1::2])), [leader]
        for _ in range(8):
            tree += [pid for pid in parents if parents[pid] in tree and pid not in tree]
        (job / "state").write_text("CANCELLED")
        for pid in tree:
            try:
                os.kill(int(pid), number)
            except ProcessLookupError:
                pass
"""


class SimulatedSlurm:
    """Its programs and its state.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.programs = folder / "programs"
        self.state.mkdir(parents=True)
        self.programs.mkdir()
        (self.state / "nodes").write_text("\n".join(NODES))
        text = PROGRAM.format(python=sys.executable, state=str(self.state))
        for name in ("sbatch", "squeue", "scancel", "sinfo"):
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)

    def calls(self, program: str) -> list[str]:
        """What a program was called with, in order."""
        path = self.state / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.split()[0] == program]

    def job(self, id: str) -> Path:
        """The folder of a job."""
        return self.state / id

    def say(self, id: str, state: str, reason: str = "None") -> None:
        """Let a job be said to be in a state."""
        (self.job(id) / "reason").write_text(reason)
        (self.job(id) / "state").write_text(state)
