"""A stack small enough for tests: a fake torch of a few lines in a real wheel, and an index on loopback.

Called fake everywhere. Nothing here reaches beyond this machine.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stackyard import stacks
from stackyard.settings import Settings
from stackyard.stacks import definition
from stackyard.stacks.definition import StackSpec

PYTHON = "{}.{}".format(*sys.version_info[:2])

TORCH = """
__version__ = "{version}"


class version:
    cuda = {cuda!r}


class Matrix:
    def __init__(self, rows):
        self.rows = rows

    def t(self):
        return Matrix([list(column) for column in zip(*self.rows)])

    def __matmul__(self, other):
        columns = other.t().rows
        return Matrix([[sum(a * b for a, b in zip(row, c)) for c in columns] for row in self.rows])

    def sum(self):
        return Scalar(sum(map(sum, self.rows)))


class Scalar(float):
    def item(self):
        return float(self)


tensor = Matrix


def ones(rows, columns):
    return Matrix([[1.0] * columns for _ in range(rows)])


def set_num_threads(count):
    pass


class cuda:
    is_available = staticmethod(lambda: False)
    device_count = staticmethod(lambda: 0)
"""


def wheel(
    folder: Path,
    name: str,
    version: str,
    files: dict[str, str],
    requires: tuple[str, ...] = (),
    padding: int = 0,
) -> Path:
    """A real wheel; ``padding`` bytes that do not compress make it large."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
    inside = {
        **files,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*inside, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        if padding:
            archive.writestr(f"{name}/padding.bin", hashlib.shake_128(b"padding").digest(padding))
            record = f"{name}/padding.bin,,\n" + record
        for file, text in inside.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", record)
    return path


def torch_wheel(folder: Path, version: str = "9.9.0+cpu", cuda: str | None = None, **more: object) -> Path:
    """A wheel of the fake torch; ``cuda`` is what it says of itself once loaded."""
    files = {"torch/__init__.py": TORCH.format(version=version, cuda=cuda)}
    return wheel(folder, "torch", version, files, **more)  # type: ignore[arg-type]


def define(
    folder: Path,
    name: str = stacks.DEFAULT,
    lock: str = "torch==9.9.0\nsmall==1.0\n",
    cuda: str = "cpu",
    indexes: tuple[str, ...] = ("wheels",),
    more: str = "",
) -> StackSpec:
    """A stack's definition below ``folder``."""
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    capability = "" if cuda == "cpu" else "capability = [3.7, 7.5]\n"
    (own / "stack.toml").write_text(
        f'python = "{PYTHON}"\ntorch = "9.9.0"\ncuda = "{cuda}"\n'
        f"indexes = {list(indexes)}\n{capability}{more}"
    )
    (own / "requirements.lock").write_text(lock)
    return definition.read(own)


def define_plain(folder: Path, name: str = "plain", lock: str = "small==1.0\n", more: str = "") -> Path:
    """The folder of a definition without torch, which is not read yet."""
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    (own / "stack.toml").write_text(f'python = "{PYTHON}"\n{more}')
    (own / "requirements.lock").write_text(lock)
    return own


@dataclass
class Depot:
    """A home, a folder of definitions and a folder of wheels."""

    home: Path
    definitions: Path
    wheels: Path
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = Settings(home=self.home)


@dataclass
class Built:
    """A depot with its stack built, and what the build said."""

    depot: Depot
    stack: StackSpec
    said: list[str]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One built environment that many tests look at and none changes; the processes of a run share it.

    Its wheel folder lacks one package, which an index on loopback has.
    """
    own = tmp_path_factory.getbasetemp()
    top = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "built"
    top.mkdir(exist_ok=True)
    depot = Depot(top / "home", top / "definitions", top / "wheels")
    said = top / "said.json"
    with (top / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            said.write_text(json.dumps(_build(depot, top / "served")))
    return Built(depot, definition.read(depot.definitions / stacks.DEFAULT), json.loads(said.read_text()))


def _build(depot: Depot, served: Path) -> list[str]:
    torch_wheel(depot.wheels)
    wheel(depot.wheels, "small", "1.0", {"small.py": "x = 1\n"})
    lacking = wheel(served, "lacking", "2.0", {"lacking.py": "x = 2\n"})
    lock = f"torch==9.9.0\nsmall==1.0\nlacking==2.0 --hash=sha256:{sha256(lacking)}\n"
    stack = define(depot.definitions, lock=lock)
    said: list[str] = []
    index = Index(served)
    try:
        with pytest.MonkeyPatch.context() as monkeypatch:
            alone(monkeypatch)
            monkeypatch.setenv("PIP_INDEX_URL", index.address)
            stacks.build(stack, depot.settings, depot.wheels, said.append)
    finally:
        index.close()
    return said


@pytest.fixture
def depot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Depot:
    """An empty depot with the wheels of the fake stack; commands find it by the environment."""
    depot = Depot(tmp_path / "home", tmp_path / "definitions", tmp_path / "wheels")
    torch_wheel(depot.wheels)
    wheel(depot.wheels, "small", "1.0", {"small.py": "x = 1\n"})
    monkeypatch.setenv("STACKYARD_HOME", str(depot.home))
    monkeypatch.setenv("STACKYARD_STACKS", str(depot.definitions))
    monkeypatch.setenv("STACKYARD_WHEELS", str(depot.wheels))
    alone(monkeypatch)
    return depot


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip without this machine's configuration: its default index is a closed port."""
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")


class Index:
    """A package index on loopback (PEP 503) that counts what it sends."""

    def __init__(self, folder: Path, metadata: bool = True, ranges: bool = True) -> None:
        self.sent_bytes: dict[str, int] = {}
        self.asked: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *arguments: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                index.asked.append(self.path)
                content = index.content(self.path, folder, metadata)
                if content is None:
                    self.send_error(404)
                    return
                status, extra = 200, {}
                wanted = self.headers.get("Range", "")
                if ranges and self.path.endswith(".whl"):
                    extra["Accept-Ranges"] = "bytes"
                    if wanted.startswith("bytes="):
                        low, _dash, high = wanted[6:].partition("-")
                        total = len(content)
                        start = int(low) if low else total - int(high)
                        end = int(high) if low and high else total - 1
                        content = content[start : end + 1]
                        status = 206
                        extra["Content-Range"] = f"bytes {start}-{end}/{total}"
                self.send_response(status)
                kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
                for name, value in {
                    "Content-Type": kind,
                    "Content-Length": str(len(content)),
                    **extra,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                if body:
                    index.sent_bytes[self.path] = index.sent_bytes.get(self.path, 0) + len(content)
                    self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}/simple"

    @staticmethod
    def content(path: str, folder: Path, metadata: bool) -> bytes | None:
        """What lies at ``path``: a project page, a wheel, or its metadata."""
        name = path.rstrip("/").rpartition("/")[2].replace("%2B", "+")
        if path.endswith("/"):
            files = sorted(folder.glob(f"{name}-*.whl"))
            mark = ' data-dist-info-metadata="true" data-core-metadata="true"' if metadata else ""
            links = ""
            for f in files:
                address = f"/files/{f.name.replace('+', '%2B')}#sha256={sha256(f)}"
                links += f'<a href="{address}"{mark}>{f.name}</a>\n'
            return f"<!DOCTYPE html><html><body>{links}</body></html>".encode() if files else None
        if name.endswith(".metadata"):
            file = folder / name.removesuffix(".metadata")
            if not metadata or not file.is_file():
                return None
            with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
                return archive.read(next(n for n in archive.namelist() if n.endswith("METADATA")))
        file = folder / name
        return file.read_bytes() if file.is_file() else None

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def serve() -> Iterator[Callable[..., Index]]:
    """Start indexes; they are stopped with the test."""
    started: list[Index] = []

    def start(folder: Path, **how: bool) -> Index:
        started.append(Index(folder, **how))
        return started[-1]

    yield start
    for index in started:
        index.close()
