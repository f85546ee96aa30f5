"""The Docker Engine of this machine: whether it answers, its images, and what its containers may use.

The only file that imports ``docker`` (the SDK), and only when asked for an engine: commands that need none do
not load it. Knows no stack, queue or task; labels and references are its callers'. Builds go through the docker
client (``builder``), because BuildKit is spoken by it alone. May import errors and settings.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard import extras
from stackyard.errors import NotRunnableError, StackyardError

#: An engine that takes longer for a ping is not one to work with.
ANSWER_SECONDS = 10
#: Removing an image of many layers, or stopping a container, on a busy machine.
CALL_SECONDS = 300


@dataclass(frozen=True)
class Image:
    """An image the engine has."""

    #: "sha256:..." of its configuration.
    id: str
    tags: tuple[str, ...]
    #: "name@sha256:..." under which a registry serves it; empty for an image that was only built here.
    repo_digests: tuple[str, ...]
    labels: Mapping[str, str]
    size_bytes: int
    #: When it was built, as the engine writes it.
    created_at: str | None = None


@dataclass(frozen=True)
class Container:
    """A container, running or not, and what it may use."""

    id: str
    name: str
    image_id: str
    labels: Mapping[str, str]
    #: "created", "running", "exited"...
    status: str
    #: The host's number of its first process; ``None``: not running.
    pid: int | None
    started_at: str | None
    finished_at: str | None
    exit_code: int | None
    out_of_memory: bool
    #: ``None``: not limited.
    cpus: float | None
    memory_bytes: int | None
    shm_bytes: int | None


@dataclass(frozen=True)
class Facts:
    """What an engine is and has."""

    version: str
    storage_driver: str
    cgroup_version: str
    cpus: int
    memory_bytes: int


class Engine:
    """One engine that answered."""

    def __init__(self, client: Any, not_found: type[Exception]) -> None:
        self._client = client
        self._not_found = not_found

    def facts(self) -> Facts:
        """What the engine says of itself."""
        with _sentences():
            info = self._client.info()
        return Facts(
            version=str(info.get("ServerVersion", "?")),
            storage_driver=str(info.get("Driver", "?")),
            cgroup_version=str(info.get("CgroupVersion", "1")),
            cpus=int(info.get("NCPU", 0)),
            memory_bytes=int(info.get("MemTotal", 0)),
        )

    def image(self, reference: str) -> Image | None:
        """The image a name, digest or id stands for; ``None``: the engine has none such."""
        with _sentences():
            try:
                attrs = self._client.images.get(reference).attrs
            except self._not_found:
                return None
        return _image(attrs)

    def image_id(self, reference: str) -> str | None:
        """ "sha256:..." of the image a reference stands for; ``None``: the engine has none such."""
        image = self.image(reference)
        return image.id if image else None

    def images(self, label: str | None = None, name: str | None = None) -> list[Image]:
        """Images with a label ("key" or "key=value") or of a name, without intermediate ones."""
        filters = {"label": label} if label else {}
        with _sentences():
            return [_image(found.attrs) for found in self._client.images.list(name=name, filters=filters)]

    def images_in_use(self) -> set[str]:
        """Ids of the images that containers were made from, running or not."""
        with _sentences():
            return {str(entry.get("ImageID", "")) for entry in self._client.api.containers(all=True)}

    def pull(self, reference: str) -> None:
        """Fetch an image from its registry."""
        with _sentences():
            self._client.images.pull(
                reference if "@" in reference or ":" in reference else f"{reference}:latest"
            )

    def tag(self, reference: str, name: str) -> None:
        """Give an image the name "repository:tag", which may have stood for another."""
        repository, _colon, tag = name.rpartition(":")
        with _sentences():
            self._client.images.get(reference).tag(repository, tag)

    def remove_image(self, reference: str) -> None:
        """Remove an image with all its names, as far as no container uses it; nothing if it is gone."""
        image = self.image(reference)
        if image is None:
            return
        with _sentences():
            for tag in image.tags:
                self._client.images.remove(tag, noprune=False)
            if self.image(image.id) is not None:
                self._client.images.remove(image.id, noprune=False)

    def output(self, image: str, command: Sequence[str]) -> tuple[int, str, str]:
        """Run ``command`` instead of what the image would, without network, rights or traces.

        Returns:
            Exit status, stdout, stderr.
        """
        with _sentences():
            container = self._client.containers.create(
                image,
                entrypoint=command[0],
                command=list(command[1:]),
                network_mode="none",
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
            )
            try:
                container.start()
                status = int(container.wait(timeout=CALL_SECONDS)["StatusCode"])
                out = container.logs(stdout=True, stderr=False).decode("utf-8", "replace")
                error = container.logs(stdout=False, stderr=True).decode("utf-8", "replace")
            finally:
                container.remove(force=True, v=True)
        return status, out, error

    def containers(self, label: str, running_only: bool = False) -> list[Container]:
        """Containers with a label ("key" or "key=value"), newest first."""
        with _sentences():
            found = self._client.api.containers(all=not running_only, filters={"label": label})
            return [known for known in (self.container(entry["Id"]) for entry in found) if known]

    def container(self, identifier: str) -> Container | None:
        """One container by id or name; ``None``: there is none."""
        with _sentences():
            try:
                return _container(self._client.api.inspect_container(identifier))
            except self._not_found:
                return None

    def stop(self, identifier: str, grace_seconds: float) -> None:
        """Ask a container to end, end it after the grace, and remove it; nothing if it is gone."""
        with _sentences():
            try:
                container = self._client.containers.get(identifier)
                container.stop(timeout=max(0, round(grace_seconds)))
                container.remove(force=True, v=True)
            except self._not_found:
                return
            except Exception as error:
                if "already in progress" not in str(error):
                    raise


def connect() -> Engine:
    """The engine that the environment names ($DOCKER_HOST), else the local one.

    Raises:
        NotRunnableError: none answers; the message says why and what to do.
    """
    extras.check("containers", "no Docker Engine can be asked")
    import docker
    import docker.errors

    try:
        client = docker.from_env(timeout=ANSWER_SECONDS)
        client.ping()
        client.api.timeout = CALL_SECONDS
    except Exception as error:
        where = os.environ.get("DOCKER_HOST") or "the local socket"
        raise NotRunnableError(
            f"no Docker Engine answers at {_without_login(where)} ({_reason(error)}); "
            "install and start one, or set DOCKER_HOST"
        ) from error
    return Engine(client, docker.errors.NotFound)


def obstacle() -> str | None:
    """Why no engine can be used here; ``None``: one answers."""
    try:
        connect()
    except NotRunnableError as error:
        return str(error)
    return None


@functools.cache
def builder() -> list[str]:
    """The command that builds with BuildKit: the first docker client on PATH that can.

    Clients up to 22 have BuildKit built in; later ones need the buildx plugin, without which they cannot.

    Raises:
        NotRunnableError: there is no client, or none that can.
    """
    seen = []
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        client = Path(folder) / "docker"
        if not folder or not os.access(client, os.X_OK):
            continue
        version = re.search(r"version (\d+)\.", _output([str(client), "--version"]))
        if version and (int(version[1]) < 23 or _output([str(client), "buildx", "version"])):
            return ["env", "DOCKER_BUILDKIT=1", str(client), "build"]
        seen.append(str(client))
    if seen:
        raise NotRunnableError(f"{seen[0]} cannot build with BuildKit; install its buildx plugin")
    raise NotRunnableError(
        "there is no docker client on PATH, which builds need; install docker's command line"
    )


def client_path() -> Path | None:
    """The docker client on PATH; ``None``: there is none."""
    found = shutil.which("docker")
    return Path(found) if found else None


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


@contextmanager
def _sentences() -> Iterator[None]:
    """Turns what the SDK raises into our own error, in the engine's words."""
    try:
        yield
    except StackyardError:
        raise
    except Exception as error:
        raise StackyardError(f"the Docker Engine says: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    said = str(getattr(error, "explanation", None) or error)
    for known, words in (
        ("No such file or directory", "its socket is not there"),
        ("Permission denied", "no right to use its socket"),
        ("Connection refused", "connection refused"),
        ("timed out", f"no answer within {ANSWER_SECONDS} s"),
    ):
        if known in said:
            return words
    return _without_login(said.splitlines()[0] if said else type(error).__name__)[:300]


def _without_login(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//", address)


def _image(attrs: Mapping[str, Any]) -> Image:
    return Image(
        id=attrs["Id"],
        tags=tuple(attrs.get("RepoTags") or ()),
        repo_digests=tuple(attrs.get("RepoDigests") or ()),
        labels=dict((attrs.get("Config") or {}).get("Labels") or {}),
        size_bytes=int(attrs.get("Size") or 0),
        created_at=_moment(attrs.get("Created")),
    )


def _container(attrs: Mapping[str, Any]) -> Container:
    state, host = attrs["State"], attrs["HostConfig"]
    cpus = (host.get("NanoCpus") or 0) / 1e9
    if not cpus and host.get("CpuQuota"):
        cpus = host["CpuQuota"] / (host.get("CpuPeriod") or 100_000)
    running = state.get("Running", False)
    return Container(
        id=attrs["Id"],
        name=str(attrs.get("Name", "")).lstrip("/"),
        image_id=attrs["Image"],
        labels=dict(attrs["Config"].get("Labels") or {}),
        status=state.get("Status", "?"),
        pid=state.get("Pid") or None,
        started_at=_moment(state.get("StartedAt")),
        finished_at=_moment(state.get("FinishedAt")),
        exit_code=None if running else state.get("ExitCode"),
        out_of_memory=bool(state.get("OOMKilled")),
        cpus=cpus or None,
        memory_bytes=host.get("Memory") or None,
        shm_bytes=host.get("ShmSize") or None,
    )


def _moment(text: str | None) -> str | None:
    """An instant as the engine writes it; ``None`` for the year 1, which stands for never."""
    return text if text and not text.startswith("0001-") else None
