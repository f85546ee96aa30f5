"""What an agent is given: its clearml.conf, its environment, its command, and for containers our ``docker``.

Writes below HOME/agents/<slot>, readable by its owner only. Of the user's environment an agent gets nothing that
the operator did not name. May import errors, settings, ``queues``, ``slots`` and connection's value; starts nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stackyard.agents import boxes
from stackyard.agents.container_rules import BOX_TARGET
from stackyard.agents.slots import Slot
from stackyard.clearml.connection import Connection
from stackyard.errors import BadInputError
from stackyard.settings import base
from stackyard_task.wishes import SETTLED_VARIABLE, Settled

TEMPLATE = "clearml.conf"
POLICY_VARIABLE = "STACKYARD_GATE_POLICY"
#: Every process of an agent, in containers too, has this variable; ``mark_of`` is its value.
MARK = "STACKYARD_SLOT"
#: Every container of an agent has this label; its value is the same mark.
SLOT_LABEL = "stackyard.slot"
#: How often an agent asks its queue, and looks at the task it runs: each look costs it and the server 2 ms of CPU.
POLL_SECONDS = 0.2
REPORT_SECONDS = 10
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: A socket's name has at most 107 bytes (unix(7)), of which Python's multiprocessing takes 32 below TMPDIR.
_MOST_TEMPORARY_BYTES = 64
#: Names by which tasks may name limits of their container.
TASK_ARGUMENTS = ("--cpus", "--memory", "--shm-size")
_GATE = """#!/bin/sh
# The `docker` of an agent: checks what it starts; see docs/agents.md.
exec {python} -m stackyard.agents.gate "$@"
"""


#: What an agent starts in the place of Python: it measures ordinary tasks, and lets the rest through.
_INTERPRETER = """#!/bin/sh
# The Python of an agent's tasks: measures their scripts; see docs/clearml-tasks.md.
[ -n "$STACKYARD_PYTHON" ] || STACKYARD_PYTHON={python}
export STACKYARD_PYTHON STACKYARD_AGENTS_PYTHON={own} STACKYARD_WRAPPER="$0"
case "$1" in --version | -V | -c) exec "$STACKYARD_PYTHON" "$@" ;; esac # probes, which every task waits for
exec {own} -I -S -c 'import sys
sys.path.insert(0, sys.argv.pop(1))
from stackyard_task.interpreter import main
sys.exit(main())' {code} "$@"
"""
#: What an agent starts as its user's shell: measures ordinary tasks whose script a shell runs.
_SHELL = """#!/bin/sh
# The shell of an agent's tasks: measures their scripts; anything else is done by the shell itself.
if [ -z "$CLEARML_TASK_ID" ] || [ "$CLEARML_TASK_ID" = "$STACKYARD_MEASURED" ]; then
    exec "${{STACKYARD_SHELL:-{shell}}}" "$@"
fi
exec {own} -I -S -c 'import sys
sys.path.insert(0, sys.argv.pop(1))
from stackyard_task.interpreter import shell
sys.exit(shell())' {code} "$@"
"""
#: The shell of an agent that is given none, as the agent chooses it.
_SHELLS = ("/bin/bash", "/bin/sh")
#: Of the operator's environment, what making environments needs; no address with a login is written down.
_MAKERS_VARIABLES = re.compile(
    r"HOME|PATH|LANG|STACKYARD_(HOME|STACKS|WHEELS)|PIP_\w+|NETRC|PYENV_ROOT|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE"
    r"|(https?|no)_proxy|(HTTPS?|NO)_PROXY"
)

#: Where the SDK, the agents and our client find the authorities that a server's certificate is trusted by.
_AUTHORITIES = "REQUESTS_CA_BUNDLE"
_AUTHORITIES_TARGET = "/etc/stackyard/authorities.crt"
#: The agents' Python in images of stacks (``agents/image.sh``).
_IMAGE_PYTHON = "/opt/agent/venv/bin/python"
_LOGIN = re.compile(r"://[^/\s]*@")


@dataclass(frozen=True)
class Surroundings:
    """What all agents of this machine have in common."""

    #: Stackyard's home.
    home: Path
    #: This machine's name in the ids of its workers.
    machine: str
    server: Connection
    #: The agents' Python: has clearml, clearml-agent and stackyard.
    python: str = sys.executable
    #: "3.11" -> interpreter, for queues whose agents make their tasks' environments.
    pythons: Mapping[str, Path] = field(default_factory=dict)
    #: Variables named in ``pass_environment``, as the shell has them.
    passed: Mapping[str, str] = field(default_factory=dict)
    #: The shell's own, of which making environments gets what it needs.
    shell: Mapping[str, str] = field(default_factory=dict)
    #: The real docker client; ``None``: there is none.
    docker: Path | None = None
    #: Docker network of the containers; ``None``: docker's default bridge.
    network: str | None = None
    mounts: tuple[str, ...] = ()

    @property
    def agents(self) -> Path:
        """The folder of all agents."""
        return self.home / "agents"

    @property
    def authorities(self) -> str | None:
        """The shell's file of authorities, where the server speaks TLS; ``None``: those that libraries bring."""
        named = self.shell.get(_AUTHORITIES)
        return os.path.abspath(named) if named and self.server.api.startswith("https:") else None


@dataclass(frozen=True)
class Prepared:
    """An agent that only needs to be started."""

    slot: str
    queue: str
    worker: str
    folder: str
    command: tuple[str, ...]
    #: Complete; holds no secret.
    environment: Mapping[str, str]
    cores: tuple[int, ...]
    gpu: int | None
    in_container: bool
    #: Of everything that makes another start necessary when it changes.
    digest: str

    def to_json(self) -> dict[str, Any]:
        """As JSON writes it."""
        return asdict(self)


def worker_of(slot: Slot, machine: str) -> str:
    """The worker id of a slot's agent."""
    return f"{machine}:{slot.name}"


def prepare(slot: Slot, images: Mapping[str, str], around: Surroundings) -> Prepared:
    """Write what the agent of ``slot`` is given.

    Args:
        slot: its place.
        images: stack -> image id, of what may run there; for container slots.
        around: what all agents have in common.

    Raises:
        BadInputError: the template cannot be used.
    """
    folder = around.agents / slot.name
    home = folder / "home"
    for path in (around.agents, folder, home, folder / "tmp", folder / "log", around.agents / "cache"):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    worker = worker_of(slot, around.machine)
    text = configuration(worker, home, around, folder / "bin" / "python" if slot.makes_environments else None)
    write_private(folder / TEMPLATE, text)
    variables = _variables(slot, folder, home, around)
    if slot.in_container:
        _write_gate(slot, folder, images, around)
    else:
        _write_interpreter(slot, folder, around)
    command = _command(slot, around)
    digest = _digest([text, command, variables, slot.cores])
    return Prepared(
        slot=slot.name,
        queue=slot.queue,
        worker=worker,
        folder=str(folder),
        command=tuple(command),
        environment=variables,
        cores=slot.cores,
        gpu=slot.gpu,
        in_container=slot.in_container,
        digest=digest,
    )


def configuration(
    worker: str,
    home: Path,
    around: Surroundings,
    python: Path | None = None,
    template: Path | None = None,
) -> str:
    """The text of an agent's clearml.conf.

    Args:
        worker: the agent's id.
        home: its home.
        around: what all agents have in common.
        python: what it makes environments with; ``None``: its own.
        template: the file to fill in; ``None``: the installation's.

    Raises:
        BadInputError: the template is missing or names a value we do not have.
    """
    path = template or base() / "agents" / TEMPLATE
    values = {
        "api": around.server.api,
        "web": around.server.web,
        "files": around.server.files,
        "access_key": around.server.access_key,
        "secret_key": around.server.secret_key,
        "worker": worker,
        "machine": around.machine,
        "python": str(python or around.python),
        "home": str(home),
    }

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise BadInputError(f"{path}: @{match[1]}@ is unknown; known: {', '.join(values)}")
        return json.dumps(values[match[1]], ensure_ascii=False)

    try:
        return re.sub(r"@([a-z_]+)@", value, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: the agents' configuration cannot be read ({error})") from error


def _variables(slot: Slot, folder: Path, home: Path, around: Surroundings) -> dict[str, str]:
    path = [str(Path(around.python).parent), *SYSTEM_PATH.split(":")]
    if slot.in_container or slot.makes_environments:
        path.insert(0, str(folder / "bin"))
    variables = {
        **({**_for_makers(around), **_pips(around)} if slot.makes_environments else {}),
        **({_AUTHORITIES: around.authorities} if around.authorities else {}),
        **around.passed,
        "PATH": ":".join(path),
        "HOME": str(home),
        "USER": "stackyard-agent",
        "LANG": "C.UTF-8",
        # what an agent mounts into containers has to lie in its folder
        "TMPDIR": str(folder / "tmp" if slot.in_container else _temporary(folder)),
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        MARK: mark_of(slot.name, around.home),
        "STACKYARD_STACKS_FILE": str(around.agents / "stacks.json"),
        "STACKYARD_CACHE": str(around.agents / "cache"),
        SETTLED_VARIABLE: str(folder / "tasks.json"),
        "CLEARML_CONFIG_FILE": str(folder / TEMPLATE),
        "CLEARML_AGENT_TEMP_STDOUT_FILE_DIR": str(folder / "tmp"),
        "CLEARML_AGENT_QUEUE_POLL_FREQ_SEC": f"{POLL_SECONDS:g}",
        "CLEARML_AGENT_STATUS_REPORT_FREQ_SEC": f"{REPORT_SECONDS:g}",
        "CLEARML_AGENT_DISABLE_SSH_MOUNT": "1",
        "CLEARML_BLOCK_PICKLED_ARTIFACTS": "1",
        "CLEARML_SUPPRESS_UPDATE_MESSAGE": "1",
    }
    if slot.in_container:
        variables[POLICY_VARIABLE] = str(folder / "policy.json")
    else:
        variables["STACKYARD_SHELL"] = around.passed.get("SHELL", "")
        variables["SHELL"] = str(folder / "bin" / "shell")
    if not slot.in_container and not slot.makes_environments:
        # both: with one of them the agent makes an environment, or installs into one
        variables["CLEARML_AGENT_SKIP_PIP_VENV_INSTALL"] = str(folder / "bin" / "python")
        variables["CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL"] = "1"
    return variables


def _command(slot: Slot, around: Surroundings) -> list[str]:
    # not --foreground: there it prints three lines at every poll
    command = [around.python, "-m", "clearml_agent", "daemon", "--queue", slot.queue]
    command += ["--cpu-only"] if slot.gpu is None else ["--gpus", str(slot.gpu)]
    if slot.in_container:
        command += ["--docker", "--standalone-mode", "--force-current-version"]
    return command


def _for_makers(around: Surroundings) -> dict[str, str]:
    """What of the operator's environment is needed to make environments."""
    return {
        name: value
        for name, value in around.shell.items()
        if _MAKERS_VARIABLES.fullmatch(name) and not _LOGIN.search(value)
    }


def _data(around: Surroundings) -> dict[str, str]:
    """Where the operator has data sets, which studies may name."""
    folder = around.shell.get("STACKYARD_DATA")
    return {"STACKYARD_DATA": os.path.abspath(folder)} if folder else {}


def _pips(around: Surroundings) -> dict[str, str]:
    """Where pip finds the operator's configuration in an agent's home: the file may hold a login, its name does not."""
    if "PIP_CONFIG_FILE" in around.shell:
        return {}
    home = Path(around.shell.get("HOME") or "/nonexistent")
    top = Path(around.shell.get("XDG_CONFIG_HOME") or home / ".config")
    found = [path for path in (top / "pip" / "pip.conf", home / ".pip" / "pip.conf") if path.is_file()]
    return {"PIP_CONFIG_FILE": str(found[0])} if found else {}


def left_out(shell: Mapping[str, str]) -> list[str]:
    """What would be needed to make environments and is handed to nobody, for it holds a login; a sentence for each.

    Args:
        shell: the operator's environment.
    """
    names = sorted(
        name for name, value in shell.items() if _MAKERS_VARIABLES.fullmatch(name) and _LOGIN.search(value)
    )
    return [
        f"{name} holds a login and is not handed to those who make environments; put the address into pip's own "
        f"configuration instead, which they read: pip config set global.{_key_of(name)} ADDRESS"
        for name in names
    ]


def _key_of(name: str) -> str:
    """What pip's configuration calls it: "index-url" of PIP_INDEX_URL."""
    return name[len("PIP_") :].lower().replace("_", "-") if name.startswith("PIP_") else "proxy"


def _write_interpreter(slot: Slot, folder: Path, around: Surroundings) -> None:
    """What the agent takes for Python: one program, or one by the name of each Python that there is."""
    for path in (folder / "bin", folder / "runs"):
        path.mkdir(exist_ok=True, mode=0o700)
    pythons = {"python": Path(around.python)}
    if slot.makes_environments:
        pythons |= {f"python{minor}": python for minor, python in around.pythons.items()}
        pythons["python3"] = pythons["python"]
    code = shlex.quote(str(Path(__file__).resolve().parents[2]))
    own = shlex.quote(around.python)
    for name, python in pythons.items():
        script = folder / "bin" / name
        write_private(script, _INTERPRETER.format(python=shlex.quote(str(python)), own=own, code=code))
        script.chmod(0o700)
    shell = next((one for one in _SHELLS if os.access(one, os.X_OK)), _SHELLS[-1])
    write_private(folder / "bin" / "shell", _SHELL.format(shell=shell, own=own, code=code))
    (folder / "bin" / "shell").chmod(0o700)
    for left in set(folder.glob("bin/python*")) - {folder / "bin" / name for name in pythons}:
        left.unlink()
    _write_settled(slot, folder, None, around)


def _write_settled(slot: Slot, folder: Path, images: Mapping[str, str] | None, around: Surroundings) -> None:
    """How the ordinary tasks of a slot are run; with the images they may have, in containers."""
    settled = Settled(
        python=around.python,
        queue=slot.queue,
        environment=slot.environment,
        default_stack=slot.default_stack,
        stacks=None if slot.stacks is None else list(slot.stacks),
        gpu=slot.gpu is not None,
        runs=None if slot.in_container else str(folder / "runs"),
        images=None if images is None else dict(images),
        variables={**_for_makers(around), **_data(around), "STACKYARD_HOME": str(around.home)},
    )
    write_private(folder / "tasks.json", json.dumps(asdict(settled), indent=1) + "\n")


def _write_gate(slot: Slot, folder: Path, images: Mapping[str, str], around: Surroundings) -> None:
    binaries = folder / "bin"
    for path in (binaries, folder / "gate", folder / "box"):
        path.mkdir(exist_ok=True, mode=0o700)
    _write_settled(slot, folder, images, around)
    script = binaries / "docker"
    write_private(script, _GATE.format(python=shlex.quote(around.python)))
    script.chmod(0o700)
    where = {"own": _IMAGE_PYTHON, "code": f"{BOX_TARGET}/code"}
    programs = {
        "python": _INTERPRETER.format(python=_IMAGE_PYTHON, **where),
        "shell": _SHELL.format(shell=_SHELLS[0], **where),
    }
    box = boxes.made(folder / "box", programs)
    mark = mark_of(slot.name, around.home)
    trusted = around.authorities
    policy = {
        "queue": slot.queue,
        "docker": str(around.docker),
        "images": dict(images),
        "agent_folder": str(folder / "gate"),
        "labels": {SLOT_LABEL: mark},
        "environment": {MARK: mark, **({_AUTHORITIES: _AUTHORITIES_TARGET} if trusted else {})},
        "task_arguments": list(TASK_ARGUMENTS),
        "mounts": [*around.mounts, *([f"{trusted}:{_AUTHORITIES_TARGET}:ro"] if trusted else [])],
        "cpus": slot.cpus,
        "memory_bytes": slot.memory_bytes,
        "shm_bytes": slot.shm_bytes,
        "cpuset_cpus": ",".join(map(str, slot.cores)) or None,
        "gpu": slot.gpu,
        "network": around.network,
        "tasks": str(folder / "tasks.json"),
        "box": str(box),
    }
    write_private(folder / "policy.json", json.dumps(policy, indent=1) + "\n")
    boxes.tidy(folder / "box", box, folder / "policy.json")


def mark_of(slot: str, home: Path) -> str:
    """What tells the processes of a slot from those of every other slot and installation."""
    return f"{_digest(str(home))[:16]}:{slot}"


def _temporary(folder: Path) -> Path:
    """Where an agent's tasks put what passes: a folder in its own, by a short name where sockets had too long a one."""
    usual = folder / "tmp"
    if len(os.fsencode(usual)) <= _MOST_TEMPORARY_BYTES:
        return usual
    short = Path("/tmp") / f"stackyard-{os.getuid()}-{_digest(str(folder))[:12]}"
    return short if _leads_to(short, usual) in (None, True) else usual


def _leads_to(link: Path, place: Path) -> bool | None:
    """Whether a link of this user's leads there; ``None``: nothing is there."""
    try:
        return link.lstat().st_uid == os.getuid() and os.readlink(link) == str(place)
    except FileNotFoundError:
        return None
    except OSError:  # it is no link
        return False


def clean(folder: Path) -> None:
    """Make an agent's temporary folder anew, without what an ended one left there."""
    usual = folder / "tmp"
    shutil.rmtree(usual, ignore_errors=True)
    usual.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (temporary := _temporary(folder)) != usual:
        # it is there, or /tmp takes nothing: then Python finds another folder
        with contextlib.suppress(OSError):
            temporary.symlink_to(usual)


def leave(folder: Path) -> None:
    """Remove what an ended agent has outside its folder."""
    if (temporary := _temporary(folder)) != folder / "tmp":
        temporary.unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
