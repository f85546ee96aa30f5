"""Images of stacks: built from ``agents/stacks/<name>/Dockerfile``, recorded by id, verified, removed.

An image holds two environments (``agents/image.sh`` fills them) and ``/opt/stack/stacks.json``, which tells a
task inside where the stack is. A derived stack's is built on its base's image (``agents/derived.Dockerfile``). Which
images there are is kept in HOME/images.json: the id decides, a name can be moved. Speaks to the engine through
``docker_engine`` only; knows no queue and no task.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.machine import docker_engine
from stackyard.machine.docker_engine import Engine
from stackyard.settings import Settings
from stackyard.stacks import (
    definition,
    environment,
    hook,
    indexes,
    process,
    pythons,
    verification,
    wheelhouse,
)
from stackyard.stacks.definition import LOCK_FILE, StackSpec
from stackyard.stacks.installation import Progress
from stackyard_task.records import RecordError, from_json, parse, read_json, write_json

#: Every image we build carries the stack's name and digest under these.
STACK_LABEL = "stackyard.stack"
DIGEST_LABEL = "stackyard.digest"
#: Which installation built it: several may share an engine.
HOME_LABEL = "stackyard.home"
#: Where things are in an image; ``agents/image.sh`` and the Dockerfiles say the same.
STACK_PYTHON = "/opt/stack/venv/bin/python"
AGENT_PYTHON = "/opt/agent/venv/bin/python"
#: Base images of one's own, tried where a Dockerfile's is not on the engine.
LOCAL_BASE = "stackyard-base"

_FILE = "images.json"
_PROBE = (
    "import json, platform, os; print(json.dumps([platform.python_version(), platform.machine(), {glibc}]))"
)
_GLIBC = "os.confstr('CS_GNU_LIBC_VERSION') if 'CS_GNU_LIBC_VERSION' in os.confstr_names else None"
_VERSIONS = (
    "import json; from importlib.metadata import version as v; print(json.dumps({n: v(n) for n in %r}))"
)
_AGENT_PACKAGES = ("clearml", "clearml-agent")


@dataclass(frozen=True)
class StackImage:
    """What HOME/images.json keeps of one stack's image."""

    stack: str
    #: "sha256:..." of the image's configuration: what the engine calls its id.
    image_id: str
    stack_digest: str
    python: str
    base: str
    base_id: str
    tag: str
    built_at: str
    size_bytes: int
    #: "name@sha256:..." per registry that serves it; empty until it has been pushed.
    repo_digests: tuple[str, ...] = ()
    #: Versions of what the agent's environment holds: clearml, clearml-agent.
    agent: Mapping[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """How a task names this image: by content, so that nothing else can be meant."""
        return (
            self.repo_digests[0]
            if self.repo_digests
            else f"stackyard/{_repository(self.stack)}@{self.image_id}"
        )


@dataclass(frozen=True)
class BuildOptions:
    """How an image is built."""

    #: ``None``: the Dockerfile's, or where the engine lacks that, a local ``stackyard-base`` that fits.
    base: str | None = None
    #: The user's folder of wheels, tried first; ``None``: $STACKYARD_WHEELS, if set.
    wheels: Path | None = None
    #: pip works inside the build; otherwise a wheelhouse is made here and the build has no network.
    online: bool = False
    #: Online: torch's index; ``None``: the first address among the stack's indexes.
    index: str | None = None
    #: Online: a pip.conf and certificates for this build only.
    pip_config: Path | None = None
    ca: Path | None = None


def recorded(settings: Settings) -> dict[str, StackImage]:
    """The images built here, by stack. Whether the engine still has one is ``why_not``'s answer.

    Raises:
        BadInputError: HOME/images.json is there and cannot be read.
    """
    path = settings.home / _FILE
    if not path.exists():
        return {}
    try:
        held = read_json(dict[str, dict[str, Any]], path)
        return {
            name: from_json(StackImage, {**entry, "stack": name}, f"{path}: {name}")
            for name, entry in held.items()
        }
    except RecordError as error:
        raise BadInputError(f"{error}; remove the file and build the images again") from error


def reference(stack: StackSpec, settings: Settings, elsewhere: bool) -> str | None:
    """How a task names the image of a stack; ``None``: there is none.

    Args:
        stack: the stack as it is defined here.
        settings: where images are recorded.
        elsewhere: other machines may run the task, each with an image that was built there. Then it is the name by the
            stack's digest, which every machine has: its gate looks up what that is there, and whether it is allowed.
    """
    image = recorded(settings).get(stack.name)
    if image is not None and (image.repo_digests or not elsewhere):
        return image.reference
    return _tag(stack) if elsewhere else None


def _tag(stack: StackSpec) -> str:
    return f"stackyard/{_repository(stack.name)}:{stack.digest[:12]}"


def why_not(stack: StackSpec, settings: Settings, engine: Engine) -> str | None:
    """Why there is no image of ``stack`` as it is defined now; ``None``: there is one."""
    image = recorded(settings).get(stack.name)
    advice = f"build it: stackyard stack image build {stack.name}"
    if image is None:
        return f"no image of {stack.name}; {advice}"
    if image.stack_digest not in (stack.digest, _defined_for(stack, image.python).digest):
        return f"the image of {stack.name} holds another version of the stack; {advice}"
    if engine.image_id(image.image_id) is None:
        return f"the image of {stack.name} is no longer on this machine's engine; {advice}"
    return None


def build(
    stack: StackSpec,
    settings: Settings,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> StackImage:
    """The image of ``stack``, built, verified and recorded; its base's first, where that is not there.

    Args:
        stack: what to build; the Python of the base image decides which of the stack's Pythons.
        settings: where images are recorded and wheelhouses made.
        options: base image, wheels, online or not.
        progress: called with one line whenever there is something new to show.

    Raises:
        NotRunnableError: no engine, no client that can build, no base, or no source of the wanted torch.
        StackyardError: the build failed, or what it made is not what is pinned.
    """
    options, say = options or BuildOptions(), progress or (lambda text: None)
    wheels = environment.wheel_folder(options.wheels)
    engine, builder = docker_engine.connect(), docker_engine.builder()
    if stack.base is not None:
        base = _base_of_derived(stack, stack.base, settings, options, say, engine)
    else:
        base = options.base or _default_base(stack, engine)
    minor, glibc = _probe(engine, base, say)
    stack = _defined_for(stack, minor)
    if stack.python != minor and stack.base is not None:
        raise BadInputError(
            f"{stack.name} was derived for Python {stack.python}, the image of {stack.base.name} has {minor}; build "
            f"that on an image with {stack.python}: stackyard stack image build {stack.base.name} --base IMAGE"
        )
    if stack.python != minor:
        raise BadInputError(f"{base} has Python {minor}, the stack {stack.name} needs {stack.python}")
    work = settings.home / "images" / stack.name
    log_path = settings.home / "images" / f"{stack.name}.log"
    work.parent.mkdir(parents=True, exist_ok=True)
    with _only_builder(work), log_path.open("w", encoding="utf-8") as log:
        shutil.rmtree(work, ignore_errors=True)
        try:
            context = _context(stack, work / "context")
            if not options.online:
                lock = context / LOCK_FILE if stack.base is None else None
                wheelhouse.fill(context / "wheels", stack, lock, glibc, wheels, log, say)
            identifier = work / "image-id"
            tag = _tag(stack)
            label = ["--label", f"{HOME_LABEL}={mark(settings)}"]
            command = [*builder, *_arguments(stack, options, base, tag, identifier), *label, str(context)]
            say("building the image")
            done = process.run(command, log, _Steps(say).line)
            if done.exit_code != 0:
                raise StackyardError(
                    f"{stack.name}: the build failed: {_reason(done.lines)}; whole output: {log_path}"
                )
            image_id = identifier.read_text(encoding="utf-8").strip()
        finally:
            shutil.rmtree(work, ignore_errors=True)
    say("verifying: versions, a tensor operation, every package")
    checked = verify(stack, image_id, engine)
    if not checked.ok:
        raise StackyardError(f"{stack.name}: " + "; ".join(str(m) for m in checked.mismatches))
    built = _described(stack, engine, image_id, base, tag)
    _keep(settings, {built.stack: built})
    return built


def adopt(stack: StackSpec, settings: Settings, progress: Progress | None = None) -> StackImage:
    """Record an image of ``stack`` that was built on another machine and loaded here, once it was verified.

    So several machines run the very same image, with one id.

    Args:
        stack: what the image has to hold.
        settings: where images are recorded.
        progress: called with one line whenever there is something new to show.

    Raises:
        BadInputError: the engine has no image that was built of this stack as it is defined.
        StackyardError: what it holds is not what is pinned.
    """
    say = progress or (lambda text: None)
    engine = docker_engine.connect()
    for minor in pythons.MINORS:
        spec = _defined_for(stack, minor)
        found = [image for image in engine.images(label=f"{DIGEST_LABEL}={spec.digest}") if image.tags]
        if spec.python == minor and found:
            break
    else:
        raise BadInputError(
            f"the engine has no image of {stack.name} as it is defined; load one of another machine: docker load"
        )
    image = found[0]
    say(f"verifying {image.tags[0]}: versions, a tensor operation, every package")
    checked = verify(spec, image.id, engine)
    if not checked.ok:
        raise StackyardError(f"{stack.name}: " + "; ".join(str(m) for m in checked.mismatches))
    if _tag(spec) not in image.tags:
        engine.tag(image.id, _tag(spec))
    taken = _described(spec, engine, image.id, image.tags[0], _tag(spec))
    _keep(settings, {taken.stack: taken})
    return taken


def verify(stack: StackSpec, image_id: str, engine: Engine) -> verification.Verification:
    """What the stack's Python in an image loads, compared with ``stack``; without network.

    Args:
        stack: what is pinned; defined for whichever of its Pythons.
        image_id: the image.
        engine: where it is.
    """
    script = verification.SCRIPT.read_text(encoding="utf-8")
    arguments = verification.arguments(stack)
    seen = verification.answered(*engine.output(image_id, [STACK_PYTHON, "-I", "-c", script, *arguments]))
    minor = ".".join(str(seen.get("python", stack.python)).split(".")[:2])
    return verification.compare(_defined_for(stack, minor), seen)


def mark(settings: Settings) -> str:
    """What tells the images of this installation from those of others on the same engine."""
    return hashlib.sha256(str(settings.home.absolute()).encode()).hexdigest()[:16]


def forget(name: str, settings: Settings) -> None:
    """Forget the image of a stack, which is gone, and what its build left beside it."""
    _keep(settings, {name: None})
    for file in (f"{name}.log", f".{name}.lock"):
        (settings.home / "images" / file).unlink(missing_ok=True)


def remove(name: str, settings: Settings, engine: Engine) -> list[str]:
    """Remove the image of a stack and older ones of the same name; the ids of what was removed.

    Raises:
        BadInputError: the image of a derived stack is built on it.
        StackyardError: a container uses it.
    """
    held = recorded(settings)
    image = held.get(name)
    above = next((one.stack for one in held.values() if image is not None and one.base == image.tag), None)
    if above is not None and engine.image_id(held[above].image_id) is not None:
        raise BadInputError(
            f"the image of {above} is built on that of {name}; remove it first: stackyard stack image remove {above}"
        )
    found = {image.image_id} if image else set()
    found |= {known.id for known in engine.images(label=f"{STACK_LABEL}={name}")}
    removed = []
    for identifier in sorted(found):
        engine.remove_image(identifier)
        removed.append(identifier)
    _keep(settings, {name: None})
    return removed


def stacks_file(stack: StackSpec, python: str, image: str | None = None) -> dict[str, dict]:
    """The entry of ``$STACKYARD_STACKS_FILE`` for one stack: what a task on this machine, or in this image, reads.

    Args:
        stack: the stack.
        python: its interpreter there.
        image: the image's id, where that is known.
    """
    return {
        stack.name: {
            "python": python,
            "digest": stack.digest,
            "python_version": stack.python,
            "torch": stack.torch,
            "cuda": stack.cuda,
            "environment": dict(stack.environment),
            "tunables": dict(stack.tunables),
            "image": image,
        }
    }


def _repository(name: str) -> str:
    """A stack's name as part of an image's: lower-case words between single . - or _ (the OCI distribution rules)."""
    return re.sub(r"[^a-z0-9]+", lambda m: m[0] if m[0] in ("-", ".", "_") else "-", name.lower()).strip(
        "-._"
    )


def _defined_for(stack: StackSpec, minor: str) -> StackSpec:
    """The same stack, defined for another of the Pythons it allows; a derived one has one only."""
    if stack.python == minor or stack.base is not None:
        return stack
    return definition.read(stack.folder, running=minor)


def _base_of_derived(
    stack: StackSpec,
    base: StackSpec,
    settings: Settings,
    options: BuildOptions,
    say: Progress,
    engine: Engine,
) -> str:
    """The name under which the engine has the image of a derived stack's base, built now where it is missing."""
    if options.index is not None:
        raise BadInputError(f"--index is that of torch, which {stack.name} has from {base.name}")
    if why_not(base, settings, engine) is not None:
        build(base, settings, options, lambda text: say(f"{base.name}: {text}"))
    elif options.base is not None:
        raise BadInputError(f"--base is not for {stack.name}: it is built on the image of {base.name}")
    image = recorded(settings)[base.name]
    if engine.image_id(image.tag) != image.image_id:  # names can be moved, and BuildKit takes a name only
        engine.tag(image.image_id, image.tag)
    return image.tag


def _default_base(stack: StackSpec, engine: Engine) -> str:
    text = (stack.folder / "Dockerfile").read_text(encoding="utf-8")
    named = re.search(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    if named is None:
        raise BadInputError(f"{stack.folder / 'Dockerfile'}: says no ARG BASE=...; give one with --base")
    if engine.image_id(named[1]) is None:
        for image in engine.images(name=LOCAL_BASE):
            with contextlib.suppress(StackyardError):
                minor, _glibc = _probe(engine, image.tags[0], lambda text: None)
                if _defined_for(stack, minor).python == minor:
                    return image.tags[0]
    return named[1]


def _probe(engine: Engine, base: str, say: Progress) -> tuple[str, tuple[int, int]]:
    """(Python's minor version, glibc's version) of a base image, which is fetched where it is missing."""
    if engine.image_id(base) is None:
        say(f"fetching {base}")
        try:
            engine.pull(base)
        except StackyardError as reason:
            raise NotRunnableError(
                f"the base image {base} is not here and cannot be fetched ({reason}); name another with --base"
            ) from reason
    status, out, error = engine.output(base, ["python3", "-c", _PROBE.format(glibc=_GLIBC)])
    try:
        python, machine, library = from_json(tuple[str, str, str], parse(out, base), base)
        glibc = tuple(int(part) for part in library.split()[1].split(".")[:2])
    except (ValueError, AttributeError, IndexError) as broken:
        said = (error.strip().splitlines() or ["no output"])[-1]
        raise NotRunnableError(
            f"{base} cannot be a base: it needs python3 on glibc (exit {status}: {said[:200]})"
        ) from broken
    if machine != platform.machine():
        raise NotRunnableError(f"{base} is for {machine}, this machine is {platform.machine()}")
    return ".".join(python.split(".")[:2]), (glibc[0], glibc[1])


def _context(stack: StackSpec, context: Path) -> Path:
    """The build's context, in the shape of ``agents/``: only what the build reads."""
    agents = environment.root(stack).folder.parent.parent
    target = context / "stacks" / stack.name
    target.mkdir(parents=True)
    dockerfile = stack.folder / "Dockerfile" if stack.base is None else agents / "derived.Dockerfile"
    try:
        for name in (LOCK_FILE, "image.sh"):
            shutil.copyfile(agents / name, context / name)
        shutil.copyfile(stack.folder / LOCK_FILE, target / LOCK_FILE)
        shutil.copyfile(dockerfile, target / "Dockerfile")
    except OSError as error:
        raise BadInputError(f"{error.filename}: needed to build an image ({error.strerror})") from error
    words = indexes.options(stack.indexes) if stack.base is not None else []
    lines = [f"{option} {address}\n" for option, address in zip(words[::2], words[1::2], strict=True)]
    (target / "indexes.txt").write_text("".join(lines), encoding="utf-8")
    for name, content in hook.files().items():
        path = context / "hook" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return context


def _arguments(stack: StackSpec, options: BuildOptions, base: str, tag: str, identifier: Path) -> list[str]:
    values = {
        "BASE": base,
        "DIGEST": stack.digest,
        "STACKS": json.dumps(stacks_file(stack, STACK_PYTHON)),
    }
    arguments = [
        "--progress=plain",
        "--file",
        str(identifier.parent / "context/stacks" / stack.name / "Dockerfile"),
    ]
    if stack.base is not None:
        values["NAME"] = stack.name
    if options.online:
        addresses = [entry for entry in stack.indexes if "://" in entry]
        if stack.base is None:
            values["INDEX"] = (addresses or [""])[0] if options.index is None else options.index
        certificates = options.ca or (Path(os.environ["PIP_CERT"]) if os.environ.get("PIP_CERT") else None)
        for name, path in (("pip", options.pip_config), ("ca", certificates)):
            if path is not None:
                arguments += ["--secret", f"id={name},src={path}"]
    else:
        arguments += ["--network", "none"]
    for name, value in values.items():
        arguments += ["--build-arg", f"{name}={value}"]
    return [*arguments, "--tag", tag, "--iidfile", str(identifier)]


def _described(stack: StackSpec, engine: Engine, image_id: str, base: str, tag: str) -> StackImage:
    image = engine.image(image_id)
    _status, versions, _error = engine.output(image_id, [AGENT_PYTHON, "-c", _VERSIONS % (_AGENT_PACKAGES,)])
    return StackImage(
        stack=stack.name,
        image_id=image_id,
        stack_digest=stack.digest,
        python=stack.python,
        base=base,
        base_id=engine.image_id(base) or "",
        tag=tag,
        built_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        size_bytes=image.size_bytes if image else 0,
        repo_digests=image.repo_digests if image else (),
        agent=_versions(versions, image_id),
    )


def _versions(said: str, image_id: str) -> dict[str, str]:
    """What the agent's environment of an image holds, as its own Python says."""
    try:
        return from_json(dict[str, str], parse(said or "{}", image_id), image_id)
    except RecordError as error:
        raise StackyardError(f"the versions in the image cannot be read: {error}") from error


def _keep(settings: Settings, changes: Mapping[str, StackImage | None]) -> None:
    """Change HOME/images.json, one process at a time."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with _locked(settings.home / ".images.lock"):
        held = {**recorded(settings), **changes}
        entries = {name: asdict(image) for name, image in held.items() if image is not None}
        for entry in entries.values():
            del entry["stack"]
        write_json(entries, settings.home / _FILE)


@contextlib.contextmanager
def _only_builder(work: Path) -> Iterator[None]:
    with _locked(work.with_name(f".{work.name}.lock")):
        yield


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class _Steps:
    """Turns BuildKit's plain output into lines for a waiting user."""

    def __init__(self, say: Progress) -> None:
        self._say = say

    def line(self, text: str) -> None:
        """Take one line of output."""
        step = re.match(r"#\d+ \[[^]]*\] (.+)", text)
        if step and step[1].startswith(("RUN", "COPY")):
            self._say("building the image: " + step[1].rpartition("--mount=type=secret,id=ca ")[2][:60])


def _reason(lines: tuple[str, ...]) -> str:
    """The line of the build's output that says what went wrong: pip's complaint rather than BuildKit's."""
    said = [re.sub(r"^#\d+ [\d.]+ ", "", line) for line in lines]
    errors = [line for line in said if re.match(r"(ERROR|error|E):? ", line)] or said[-1:]
    return (errors[0] if errors else "no output")[:300]
