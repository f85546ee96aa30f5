"""The program that agents find as ``docker``: checks what they start, then becomes the real docker, or its parent.

``python -m stackyard.agents.gate ARGUMENTS``, with $STACKYARD_GATE_POLICY naming this agent's policy file. A
container that the policy allows is started by the command that ``container_rules`` writes; anything else starts
nothing, and its task fails with a sentence. What is decided is decided there; here are the file, the engine's
answers, the server and the exec.

Ordinary tasks, which name no stack and measure nothing, are ``stackyard_task.box``'s: it chooses the image, and stays.

Standard library and ``container_rules`` only, and that box: it runs once for every container, before it starts.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from stackyard.agents import container_rules as rules
from stackyard.errors import BadInputError, StackyardError

if TYPE_CHECKING:
    from stackyard_task.box import Box

POLICY_VARIABLE = "STACKYARD_GATE_POLICY"
#: What a container is told of its start: the moment it was asked for (seconds since 1970), image, queue.
ASKED_AT_VARIABLE = "STACKYARD_CONTAINER_ASKED_AT"
IMAGE_VARIABLE = "STACKYARD_IMAGE"
QUEUE_VARIABLE = "STACKYARD_QUEUE"

#: How long the engine may take to describe an image, and the server to note a failure.
_ANSWER_SECONDS = 20
#: An agent looks at its task's status every poll, 5 s or less; one that does not look any more is not waited for.
_SEEN_SECONDS = 30
#: The number of the user in our images (``agents/image.sh``).
_IMAGE_USER = 1000


def main(arguments: Sequence[str]) -> int:
    """Check ``arguments`` and become docker; the exit status if that is not to be."""
    try:
        allowed = _policy()
        if arguments[:1] == ["run"]:
            _start(arguments, allowed)
        name = rules.stopped(arguments)
        if name is not None and not _is_ours(name, allowed):
            raise rules.RefusedError(f"docker stop: {name[:12]} is no container of queue {allowed.queue!r}")
        words = rules.other(arguments, allowed)
        if words is None:
            raise rules.RefusedError(
                f"docker {' '.join(arguments[:1])}: agents of queue {allowed.queue!r} may only run their tasks' "
                "containers, list and stop them"
            )
        _become(words)
    except StackyardError as error:
        print(f"stackyard: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"stackyard: {error.filename or 'docker'}: {error.strerror or error}", file=sys.stderr)
        return rules.RefusedError.exit_code


def _start(arguments: Sequence[str], allowed: rules.Policy) -> NoReturn:
    """Become the container's client.

    Raises:
        RefusedError: nothing was started, and the task was failed.
    """
    wish = ordinary = shared = None
    try:
        wish = rules.asked(arguments)
        named = None
        if wish.image != rules.NO_IMAGE:
            named = rules.image(wish.image, allowed, lambda reference: _look_up(reference, allowed))
        if allowed.tasks and allowed.box:
            ordinary = _ordinary(wish, allowed)
        if ordinary is not None:
            named, shared = _chosen(ordinary, named, allowed)
        image_id, stack = named or rules.image(wish.image, allowed, lambda _reference: ())
        if wish.dropped:
            print(
                f"stackyard: ignored: {', '.join(wish.dropped)}; a task may set only "
                f"{', '.join(allowed.arguments) or 'nothing'} on queue {allowed.queue!r}",
                flush=True,
            )
        conf = _private_copy(wish.conf, allowed)
        user = None if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
        more = {
            ASKED_AT_VARIABLE: f"{time.time():.3f}",
            IMAGE_VARIABLE: image_id,
            QUEUE_VARIABLE: allowed.queue,
        }
        words = rules.command(
            wish,
            allowed,
            image_id,
            stack,
            conf,
            _cache(allowed),
            user,
            more,
            None if shared is None else str(shared),
        )
        if ordinary is not None and shared is not None:
            ordinary.told = {**wish.environment, IMAGE_VARIABLE: image_id}
            raise SystemExit(ordinary.run(words, shared))
    except (StackyardError, OSError) as error:
        if wish is not None:
            kind = getattr(error, "kind", rules.NotStartedError.kind)
            if ordinary is not None:
                raise SystemExit(ordinary.not_started(kind, str(error))) from None
            print(f"stackyard: {error}", file=sys.stderr, flush=True)
            if _fail(wish, f"{kind}: {error}"):
                # An exit status would make the agent write over the reason; so it shall see the status first. It
                # then ends us.
                time.sleep(_SEEN_SECONDS)
            raise SystemExit(rules.RefusedError.exit_code) from None
        raise
    _become(words)


def _ordinary(wish: rules.Asked, allowed: rules.Policy) -> Box | None:
    """The task, if it is none that Stackyard sent.

    Raises:
        NotStartedError: that cannot be told.
    """
    from stackyard_task import box  # not waited for by the other commands of agents

    try:
        found = box.looked_up(wish.conf, wish.task, allowed.tasks or "", os.environ)
    except box.NotMet as error:
        raise rules.NotStartedError(str(error)) from error
    if found is not None:
        found.owner = _IMAGE_USER if os.geteuid() == 0 else None
        found.runs = Path(allowed.folder).parent / "runs"
    return found


def _chosen(
    ordinary: Box, named: tuple[str, str] | None, allowed: rules.Policy
) -> tuple[tuple[str, str], Path]:
    """(image id and stack, the folder that the container shares with us) of an ordinary task.

    Raises:
        SystemExit: nothing is to be started, and the task was failed.
    """
    from stackyard_task import box

    try:
        choice = ordinary.choose(named and named[1], lambda image: bool(_look_up(image, allowed)))
    except box.NotMet as error:
        raise SystemExit(ordinary.not_started(error.kind, str(error))) from None
    if choice.image and choice.stack:
        named = choice.image, choice.stack.name
    if named is None:
        raise rules.NotStartedError("no image was chosen for the task")
    return named, ordinary.share(Path(allowed.folder) / "boxes", choice, rules.SHARED_TARGET)


def _become(words: list[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(words[0], words)


def _policy() -> rules.Policy:
    path = os.environ.get(POLICY_VARIABLE)
    if not path:
        raise BadInputError(f"{POLICY_VARIABLE} is not set; it names the policy of this agent's containers")
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise OSError("it is no regular file")  # opening a FIFO would wait
        return rules.policy(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInputError(
            f"{path}: the policy of this agent's containers cannot be read ({error})"
        ) from error


def _look_up(reference: str, allowed: rules.Policy) -> list[str]:
    """The id and repo digests of the image the engine has under ``reference``."""
    form = "{{.Id}}{{range .RepoDigests}} {{.}}{{end}}"
    return _docker(allowed, ["image", "inspect", "--format", form, "--", reference]).split()


def _is_ours(name: str, allowed: rules.Policy) -> bool:
    said = _docker(allowed, ["container", "inspect", "--format", "{{json .Config.Labels}}", "--", name])
    labels = _json(said or "{}")
    return all(labels.get(key) == value for key, value in rules.our_labels(allowed).items())


def _docker(allowed: rules.Policy, words: list[str]) -> str:
    """What docker prints; empty if it knows nothing of the kind.

    Raises:
        RefusedError: the engine does not answer.
    """
    try:
        done = subprocess.run(
            [allowed.docker, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise rules.NotStartedError(f"the Docker Engine did not answer within {_ANSWER_SECONDS} s") from None
    if done.returncode != 0 and "no such" not in done.stderr.lower():
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise rules.NotStartedError(f"the Docker Engine says: {said[:300]}")
    return done.stdout if done.returncode == 0 else ""


def _private_copy(conf: str, allowed: rules.Policy) -> str:
    """A copy of the agent's configuration that the container can read, and on this host only this agent.

    The folder is closed to everybody else, the file in it is not: the engine mounts the file itself, and inside it
    is read under whichever number the container has.
    """
    values = _json(Path(conf).read_text(encoding="utf-8")) if conf else {}
    _section(values, "api").update(allowed.api)
    # The agent's own places in a container are root's.
    _section(values, "sdk", "storage", "cache")["default_base_dir"] = f"{rules.CACHE_TARGET}/clearml"
    for key in ("vcs_cache", "pip_download_cache"):
        _section(values, "agent", key)["path"] = f"{rules.CACHE_TARGET}/{key}"
    text = json.dumps(values, indent=1)
    folder = Path(allowed.folder) / "container"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    target = folder / "clearml.conf"
    fresh = folder / f".clearml.conf.{os.getpid()}"
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o444)
    fresh.replace(target)
    return str(target)


def _cache(allowed: rules.Policy) -> str:
    """The folder for what tasks download, in the name the container will have. Each agent has one of its own."""
    folder = Path(allowed.folder) / "cache"
    if not folder.exists():
        folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(folder, _IMAGE_USER, _IMAGE_USER)
    return str(folder)


def _fail(wish: rules.Asked, reason: str) -> bool:
    """Set the task to failed with ``reason``, with the agent's own credentials; whether the server took it.

    If the server cannot be reached the agent fails the task itself, by our exit status, and the reason stands in
    the task's log.
    """
    import urllib.request  # a third of the time this program would need to start, and seldom wanted

    try:
        api = _json(Path(wish.conf).read_text(encoding="utf-8")).get("api", {}) if wish.conf else {}
        credentials = api.get("credentials", {})
        server = os.environ.get("CLEARML_API_HOST") or api["api_server"]
        key = os.environ.get("CLEARML_API_ACCESS_KEY") or credentials["access_key"]
        secret = os.environ.get("CLEARML_API_SECRET_KEY") or credentials["secret_key"]
        login = base64.b64encode(f"{key}:{secret}".encode()).decode()
        body = {"task": wish.task, "status_reason": reason, "status_message": reason, "force": True}
        request = urllib.request.Request(
            f"{server.rstrip('/')}/tasks.failed",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Basic {login}"},
        )
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):
            return True
    except Exception as error:  # noqa: BLE001 - an edge: whatever goes wrong here, nothing has been started
        print(f"stackyard: the server could not be told: {type(error).__name__}", file=sys.stderr)
        return False


def _json(text: str) -> dict[str, Any]:
    """The configuration that clearml-agent writes for containers: JSON, though its name says otherwise."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInputError("the agent's configuration for containers is not JSON") from None
    return values if isinstance(values, dict) else {}


def _section(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """The section of the configuration below these names, made where it is missing."""
    for name in names:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise BadInputError(f"the agent's configuration for containers: {name!r} is not a section")
    return values


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
