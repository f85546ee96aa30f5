"""What of a container that an agent wants to start is kept: the rules of the gate, as plain values.

clearml-agent builds one ``docker run`` from three sources: itself, the operator's configuration and the task.
Its own part stands behind everything a task can say (from the worker's label on), the image and the command
last. So nothing is filtered here: the agent's part is read, the task's part is searched for the few limits it
may set, and a new command is written from those and the operator's policy. Whatever else a task asked for has
no way into it.

Pure: no clock, file, process or network. Standard library and errors only, because ``gate`` starts with every
container and must do so within a tenth of a second.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackyard.errors import BadInputError, StackyardError

#: Where clearml-agent mounts its configuration.
CONF_TARGET = "/tmp/clearml.conf"
#: And where we mount what its tasks have downloaded.
CACHE_TARGET = "/cache"
#: Where an ordinary task finds what measures it, and the folder that it shares with whoever started it.
BOX_TARGET, SHARED_TARGET = "/opt/stackyard", "/run/stackyard"
#: The image that a task has which names none (``agents/clearml.conf``).
NO_IMAGE = "stackyard/no-image-named-by-the-task"
#: Labels of every container that was let through; the first finds them all.
QUEUE_LABEL = "stackyard.queue"
TASK_LABEL = "stackyard.task"
WORKER_LABEL = "stackyard.worker"
STACK_LABEL = "stackyard.stack"
#: Processes a container may have; a fork bomb ends there.
PIDS = 4096
#: A container's weight where cores are short, against 1024 of what else runs there: server and agents come first.
CPU_SHARES = 512
#: How long a container may take to end after SIGTERM; the agent itself would give it one second.
STOP_SECONDS = 15

#: An engine refuses less, in words that mean little to a task's owner.
_LEAST = {"--cpus": 0.01, "--memory": 6 * 1024**2, "--shm-size": 1}

#: Limits a task may set, and other spellings of the same.
LIMITS = {"--cpus": "--cpus", "--memory": "--memory", "-m": "--memory", "--shm-size": "--shm-size"}
#: What the agent itself puts before a task's arguments: not worth a notice.
_AGENTS_OWN = {"-t", "--rm", "--gpus", "--restart"}
#: Environment variables that the agent itself gives a container.
_AGENTS_VARIABLES = {
    "CLEARML_WORKER_ID",
    "CLEARML_DOCKER_IMAGE",
    "CLEARML_TASK_ID",
    "CLEARML_CONFIG_FILE",
    "CLEARML_AUTH_TOKEN",
    "CLEARML_WORKER_TAGS",
    "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL",
    "CLEARML_AGENT_SERVICE_TASK",
    "NVIDIA_VISIBLE_DEVICES",
}
_WORKER = "clearml-worker-id="
_PARENT = "clearml-parent-worker-id="
_IDENTIFIER = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
_ENDS_WITH_TASK = re.compile(r"\sexecute\s.*--id ([A-Za-z0-9_-]{1,64})\Z", re.DOTALL)
_REFERENCE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,300}$")
_DIGEST = re.compile(r"(?:^|@)(sha256:[0-9a-f]{64})\Z")
_BYTES = re.compile(r"^(\d+(?:\.\d+)?) ?([bkmgt]?)(?:i?b)?$", re.IGNORECASE)
_CPUS = re.compile(r"^(\d+(?:\.\d*)?|\.\d+)$")

# Every process in turn becomes the next (the agent becomes the task's script), so that SIGTERM reaches the task and
# nobody between. The last words must be "--id TASK": by them the agent outside finds its container.
_SCRIPT = "exec $LOCAL_PYTHON -u -m clearml_agent execute --disable-monitoring --standalone-mode --id {task}"
# Of an ordinary task: in stand-alone mode an agent runs the script with its own Python, whatever it is told. The
# variables beside it are what has it install nothing.
_BOX_SCRIPT = "exec $LOCAL_PYTHON -u -m clearml_agent execute --disable-monitoring --id {task}"


class RefusedError(StackyardError):
    """A container that must not be started; the message says why, for the task's owner."""

    exit_code = 77
    #: First word of the task's reason, for programs: one of ``stackyard_task.records.FAILURE_KINDS``.
    kind = "bad_input"


class NotStartedError(RefusedError):
    """A container that might be started, were the machine in order: the task is not to blame."""

    kind = "infrastructure"


@dataclass(frozen=True)
class Mount:
    """A folder of the operator that every container of a queue sees."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class Policy:
    """What the operator allows one agent, as its policy file says."""

    queue: str
    #: The real docker client.
    docker: str
    #: Image id ("sha256:...") or a registry's digest -> the stack in it.
    allowed: Mapping[str, str]
    #: A private folder of this agent: the configuration's copy and the containers' cache lie there.
    folder: str
    #: By these the agent's containers are found again.
    labels: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Limits a task may set.
    arguments: tuple[str, ...] = ("--cpus", "--memory", "--shm-size")
    #: What a container gets that asks for nothing, and the most it may ask for; ``None``: no limit.
    cpus: float | None = None
    memory_bytes: int | None = None
    shm_bytes: int | None = None
    cpuset: str | None = None
    pids: int = PIDS
    #: Index of the one GPU; ``None``: none.
    gpu: int | None = None
    #: A network's name; ``None``: the engine's default bridge.
    network: str | None = None
    #: Keys of the configuration's ``api`` section as containers must see them.
    api: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: int = STOP_SECONDS
    #: How ordinary tasks are run, as a file; and the folder of what measures them. ``None``: as all others.
    tasks: str | None = None
    box: str | None = None


@dataclass(frozen=True)
class Asked:
    """What one ``docker run`` of the agent asks for."""

    image: str
    task: str
    worker: str
    parent_worker: str
    #: The agent's configuration file for this container, on the host.
    conf: str
    environment: Mapping[str, str]
    #: "--cpus" and so on -> the task's words.
    limits: Mapping[str, str]
    #: Names of arguments that will not be followed.
    dropped: tuple[str, ...]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_named_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for pair in value.items() for item in pair)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


#: Keys of a policy file -> fields of ``Policy``, and what may stand there; the others are for people.
_KEYS: Mapping[str, tuple[str, Callable[[object], bool], str]] = {
    "queue": ("queue", _is_text, "a text"),
    "docker": ("docker", _is_text, "a text"),
    "agent_folder": ("folder", _is_text, "a text"),
    "labels": ("labels", _is_named_texts, "an object of texts"),
    "environment": ("environment", _is_named_texts, "an object of texts"),
    "task_arguments": ("arguments", _is_texts, "a list of texts"),
    "cpus": ("cpus", _is_number, "a number"),
    "memory_bytes": ("memory_bytes", _is_whole, "a whole number"),
    "shm_bytes": ("shm_bytes", _is_whole, "a whole number"),
    "cpuset_cpus": ("cpuset", _is_text, "a text"),
    "pids": ("pids", _is_whole, "a whole number"),
    "gpu": ("gpu", _is_whole, "a whole number"),
    "network": ("network", _is_text, "a text"),
    "api": ("api", _is_named_texts, "an object of texts"),
    "stop_seconds": ("stop_seconds", _is_whole, "a whole number"),
    "tasks": ("tasks", _is_text, "a text"),
    "box": ("box", _is_text, "a text"),
}


def policy(values: object) -> Policy:
    """The policy that a policy file's JSON holds.

    Raises:
        BadInputError: a key is missing or of the wrong kind.
    """
    if not isinstance(values, dict):
        raise BadInputError("the gate's policy is no JSON object")
    fields: dict[str, Any] = {}
    for key, (name, fits, expected) in _KEYS.items():
        value = values.get(key)
        if value is not None:
            if not fits(value):
                raise BadInputError(f"the gate's policy: {key!r} is {value!r:.80}, expected {expected}")
            fields[name] = tuple(value) if isinstance(value, list) else value
        if not value and name in ("queue", "docker", "folder"):
            raise BadInputError(f"the gate's policy says no {key!r}")
    for name in fields.get("arguments", ()):
        if name not in LIMITS.values():
            raise BadInputError(
                f"the gate's policy: a task may set no {name!r}; known: --cpus, --memory, --shm-size"
            )
    images = values.get("images")
    if not isinstance(images, dict) or not _is_named_texts(images):
        raise BadInputError("the gate's policy says no 'images': stack -> image id")
    fields["allowed"] = {image.rpartition("@")[2]: stack for stack, image in images.items()}
    mounts = values.get("mounts") or []
    if not isinstance(mounts, list):
        raise BadInputError(f"the gate's policy: 'mounts' is {mounts!r:.80}, expected a list of texts")
    fields["mounts"] = tuple(_mount(entry) for entry in mounts)
    return Policy(**fields)


def asked(arguments: Sequence[str]) -> Asked:
    """What the agent's ``docker run ...`` asks for.

    Args:
        arguments: everything behind "docker", "run" first.

    Raises:
        RefusedError: it is not built as clearml-agent builds it; then nothing can be told apart.
    """
    if len(arguments) < 5 or arguments[0] != "run" or list(arguments[-3:-1]) != ["bash", "-c"]:
        raise RefusedError(
            "not a container of clearml-agent: the command is not `run ... IMAGE bash -c SCRIPT`"
        )
    found = _ENDS_WITH_TASK.search(arguments[-1])
    if found is None:
        raise RefusedError(
            "not a container of clearml-agent: its script does not end in `execute ... --id TASK`"
        )
    before = list(arguments[1:-4])
    starts = [at for at, word in enumerate(before[1:]) if before[at] == "-l" and word.startswith(_WORKER)]
    if not starts:
        raise RefusedError("not a container of clearml-agent: it has no worker's label")
    task_part, own = before[: starts[-1]], before[starts[-1] :]
    own_part = _own(own)
    if own_part.get("CLEARML_TASK_ID", found[1]) != found[1]:
        raise RefusedError("not a container of clearml-agent: it names two tasks")
    limits, dropped = _limits(task_part)
    return Asked(
        image=arguments[-4],
        task=found[1],
        worker=own_part.pop(_WORKER),
        parent_worker=own_part.pop(_PARENT, ""),
        conf=own_part.pop(CONF_TARGET, ""),
        environment={name: value for name, value in own_part.items() if name in _AGENTS_VARIABLES},
        limits=limits,
        dropped=dropped,
    )


def image(reference: str, allowed: Policy, look_up: Callable[[str], Sequence[str]]) -> tuple[str, str]:
    """(Id, stack) of the allowed image that ``reference`` stands for, which the engine has.

    Args:
        reference: as the task names it: by digest, id or name.
        allowed: the policy.
        look_up: reference -> the id and the repo digests of the image the engine has under it, the id first;
            empty: it has none such.

    Raises:
        RefusedError: it is none of the allowed ones, or the engine lacks it; the message names them.
    """
    choice = ", ".join(f"{stack} ({digest})" for digest, stack in sorted(allowed.allowed.items())) or "none"
    refusal = RefusedError(
        f"image {reference[:300]!r} is not allowed on queue {allowed.queue!r}; allowed there: {choice}"
    )
    if not _REFERENCE.fullmatch(reference):
        raise refusal
    digest = _DIGEST.search(reference)
    if digest and digest[1] in allowed.allowed:
        # A locally built image has no digest of a registry: NAME@sha256:ID is our way to name it by content.
        found = look_up(digest[1]) or look_up(reference)
        if not found:
            raise NotStartedError(
                f"image {reference!r} ({allowed.allowed[digest[1]]}) is allowed on queue {allowed.queue!r}, but this "
                f"machine does not have it; build it: stackyard stack image build {allowed.allowed[digest[1]]}"
            )
    else:
        found = look_up(reference)
    for name in found:
        stack = allowed.allowed.get(name.rpartition("@")[2])
        if stack is not None:
            return found[0], stack
    raise refusal


def command(
    wish: Asked,
    allowed: Policy,
    image_id: str,
    stack: str,
    conf: str,
    cache: str,
    user: str | None = None,
    more: Mapping[str, str] | None = None,
    shared: str | None = None,
) -> list[str]:
    """The ``docker run`` that is executed instead of the agent's.

    Args:
        wish: what was asked for.
        allowed: the policy.
        image_id: what ``image`` found,
        stack: and the stack in it.
        conf: the configuration's copy for this container.
        cache: a folder for what tasks of this agent download.
        user: "uid:gid" to run as; ``None``: the image's own user.
        more: further environment variables.
        shared: of an ordinary task that is measured: the folder that it shares with whoever started it.

    Raises:
        RefusedError: a limit is malformed or above the queue's.
    """
    words = [allowed.docker, "run", "--rm", "--init", "--pull", "never"]
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", str(allowed.pids)]
    words += ["--cpu-shares", str(CPU_SHARES), "--log-driver", "json-file", "--log-opt", "max-size=10m"]
    words += ["--ulimit", "core=0", "--stop-timeout", str(allowed.stop_seconds)]
    labels = {
        **our_labels(allowed),
        TASK_LABEL: wish.task,
        WORKER_LABEL: wish.worker,
        STACK_LABEL: stack,
        _WORKER.rstrip("="): wish.worker,
        _PARENT.rstrip("="): wish.parent_worker,
    }
    for name, value in labels.items():
        words += ["--label", f"{name}={value}"]
    words += _limit_words(wish, allowed)
    if allowed.cpuset:
        words += ["--cpuset-cpus", allowed.cpuset]
    if allowed.gpu is not None:
        words += ["--gpus", f"device={allowed.gpu}"]
    if allowed.network:
        words += ["--network", allowed.network]
    if user:
        words += ["--user", user]
    environment = {
        **wish.environment,
        **allowed.environment,
        **(more or {}),
        "CLEARML_CONFIG_FILE": CONF_TARGET,
        "STACKYARD_CACHE": CACHE_TARGET,
        "NVIDIA_VISIBLE_DEVICES": "none",
    }
    if allowed.gpu is not None:
        del environment["NVIDIA_VISIBLE_DEVICES"]  # --gpus says it
    boxed: tuple[Mount, ...] = ()
    if shared is not None and allowed.box is not None:
        environment |= {
            "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL": f"{BOX_TARGET}/python",
            "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL": "1",
            "SHELL": f"{BOX_TARGET}/shell",
            "STACKYARD_SHELL": "",  # containers have none of their own
            "STACKYARD_TASKS_FILE": f"{SHARED_TARGET}/tasks.json",
        }
        boxed = (Mount(allowed.box, BOX_TARGET, True), Mount(shared, SHARED_TARGET, False))
    for name, value in environment.items():
        words += ["--env", f"{name}={value}"]
    for mount in (Mount(conf, CONF_TARGET, True), Mount(cache, CACHE_TARGET, False), *boxed, *allowed.mounts):
        rights = ",readonly" if mount.read_only else ""
        words += ["--mount", f"type=bind,source={mount.source},target={mount.target}{rights}"]
    script = _BOX_SCRIPT if boxed else _SCRIPT
    return [*words, image_id, "bash", "-c", script.format(task=wish.task)]


def other(arguments: Sequence[str], allowed: Policy) -> list[str] | None:
    """The client's words for what else an agent does with docker; ``None``: it is not let through.

    Its containers are listed (``ps``) and stopped, each agent seeing its own only; whether a container
    to be stopped is one of theirs, the caller asks before. A version may be asked for.
    """
    if list(arguments) in (["--version"], ["version"]):
        return [allowed.docker, *arguments]
    if arguments and arguments[0] == "ps":
        filters = [["--filter", f"label={name}={value}"] for name, value in our_labels(allowed).items()]
        return [allowed.docker, "ps", *(word for words in filters for word in words), *arguments[1:]]
    name = stopped(arguments)
    if name is not None:
        return [allowed.docker, "stop", "--time", str(allowed.stop_seconds), name]
    return None


def our_labels(allowed: Policy) -> dict[str, str]:
    """What every container of this agent carries, and no other's."""
    return {QUEUE_LABEL: allowed.queue, **allowed.labels}


def stopped(arguments: Sequence[str]) -> str | None:
    """The container that ``docker stop [-t SECONDS] CONTAINER`` names; ``None``: it is no such command."""
    words = list(arguments)
    if words[:1] != ["stop"]:
        return None
    if len(words) == 4 and words[1] in ("-t", "--time"):
        words = [words[0], words[3]]
    return words[1] if len(words) == 2 and _IDENTIFIER.fullmatch(words[1]) else None


def size_bytes(text: str) -> int | None:
    """Bytes of a size as docker writes it ("4g", "512m", "1.5GiB"); ``None``: it is none."""
    found = _BYTES.fullmatch(text.strip())
    if found is None:
        return None
    powers = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
    size = float(found[1]) * 1024 ** powers[found[2].lower()]
    return int(size) if size < math.inf else None


def _mount(entry: object) -> Mount:
    source, _colon, rest = str(entry).partition(":")
    target, _colon, mode = rest.partition(":")
    # A comma would begin another option of --mount.
    if (
        source.startswith("/")
        and target.startswith("/")
        and mode in ("", "ro", "rw")
        and "," not in source + target
    ):
        return Mount(source, target, mode == "ro")
    raise BadInputError(f"the gate's policy: {entry!r} is not a mount like /data:/data:ro")


def _own(words: Sequence[str]) -> dict[str, str]:
    """What the agent's own part says: variables, the worker's labels, the configuration's path.

    Raises:
        RefusedError: it has an argument that this agent's version does not write.
    """
    said: dict[str, str] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        if word in ("-t", "--rm"):
            continue
        value = left.pop(0) if left else None
        if value is None or word not in ("-l", "-e", "-v", "--name", "--network"):
            raise RefusedError(f"not a container of clearml-agent 3: unexpected argument {word!r}")
        if word == "-l":
            for prefix in (_WORKER, _PARENT):
                if value.startswith(prefix):
                    said[prefix] = value.removeprefix(prefix)
        elif word == "-e":
            name, _equals, content = value.partition("=")
            said[name] = content
        elif word == "-v":
            source, _colon, target = value.rpartition(":")
            if target == CONF_TARGET:
                said[CONF_TARGET] = source
    return said


def _limits(words: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """(limits, names of what is dropped) in the part that a task can write; later words win, as with docker."""
    limits: dict[str, str] = {}
    dropped: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0).strip()
        if not word.startswith("-"):
            continue  # the value of something dropped
        name, equals, value = word.partition("=")
        if not equals and re.match(r"-m\d", word):
            name, equals, value = "-m", "=", word[2:]
        if name in LIMITS:
            limits[LIMITS[name]] = value if equals else (left.pop(0) if left else "")
        elif (name if name.startswith("--") else name[:2]) not in _AGENTS_OWN or equals:
            dropped.append(name if name.startswith("--") else name[:2])
    return limits, tuple(dict.fromkeys(dropped))


def _limit_words(wish: Asked, allowed: Policy) -> list[str]:
    words: list[str] = []
    for name, most in (
        ("--cpus", allowed.cpus),
        ("--memory", allowed.memory_bytes),
        ("--shm-size", allowed.shm_bytes),
    ):
        said = wish.limits.get(name) if name in allowed.arguments else None
        value: float | int | None = most
        if said is not None:
            value = _amount(name, said)
            if most is not None and value > most:
                raise RefusedError(
                    f"{name} {said[:40]} is more than queue {allowed.queue!r} gives a task "
                    f"({_words(name, most)}); ask for less"
                )
        if value is not None:
            words += [name, f"{value:g}" if name == "--cpus" else str(int(value))]
            if name == "--memory":
                words += ["--memory-swap", str(int(value))]  # no swap: a limit that is not slow but certain
    return words


def _words(name: str, value: float) -> str:
    return f"{value:g}" if name == "--cpus" else f"{value / 1024**2:,.0f} MiB"


def _amount(name: str, said: str) -> float | int:
    if name == "--cpus":
        value: float | int | None = float(said) if _CPUS.fullmatch(said) else None
    else:
        value = size_bytes(said)
    if value is None or not _LEAST[name] <= value < math.inf:
        raise RefusedError(
            f"{name} {said[:40]!r} is no amount a container can have; expected something like 2 or 4g"
        )
    return value
