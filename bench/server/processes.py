"""The servers under test as child processes: started, found to answer, measured, ended by their process id."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from stackyard_server import identity
from stackyard_server.store import Store

PATIENCE_SECONDS = 60.0


@dataclass
class Ours:
    """A running embedded server."""

    process: psutil.Process
    api: str
    access_key: str
    secret_key: str
    folder: Path
    #: From exec to the first authenticated 200.
    start_seconds: float

    @property
    def rss_mb(self) -> float:
        """Resident memory of the whole tree, MB."""
        tree = [self.process, *self.process.children(recursive=True)]
        return sum(p.memory_info().rss for p in tree) / 1e6


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def prepare(folder: Path) -> tuple[str, str]:
    """A data folder with one user and a key: (access key, secret key)."""
    store = Store(folder)
    now = int(time.time() * 1000)
    with store.writing() as tx:
        identity.found(tx, now)
        user = identity.add_user(tx, now, name="bench")
        pair = identity.add_credentials(tx, user)
    store.close()
    return pair


@contextmanager
def ours(folder: Path | None = None, pair: tuple[str, str] | None = None) -> Iterator[Ours]:
    """The embedded server as `stackyard server start` starts it, on a new folder or a prepared one."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = folder or Path(scratch) / "data"
        key, secret = pair or prepare(folder)
        ports = [free_port() for _ in range(3)]
        command = [
            str(Path(sys.executable).with_name("stackyard")),
            "server",
            "start",
            "--folder",
            str(folder),
        ]
        for name, port in zip(("web", "api", "files"), ports):
            command += [f"--{name}-port", str(port)]
        api = f"http://127.0.0.1:{ports[1]}"
        begun = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_login(api, key, secret, child)
            took = time.perf_counter() - begun
            yield Ours(psutil.Process(child.pid), api, key, secret, folder, took)
        finally:
            end(child)


def _wait_login(api: str, key: str, secret: str, child: subprocess.Popen[bytes]) -> None:
    """Ask until the first authenticated 200."""
    import base64

    basic = base64.b64encode(f"{key}:{secret}".encode()).decode()
    asked = urllib.request.Request(f"{api}/auth.login", headers={"Authorization": f"Basic {basic}"})
    wait(lambda: json.loads(urllib.request.urlopen(asked, timeout=5).read()), child)


def wait(ask: object, child: subprocess.Popen[bytes]) -> None:
    """Until ``ask()`` no longer raises.

    Raises:
        RuntimeError: The process ended, or it never answered.
    """
    end_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            ask()  # type: ignore[operator]
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError) as fault:
            if child.poll() is not None:
                raise RuntimeError(f"{child.args} ended with status {child.returncode}") from fault
            if time.monotonic() > end_at:
                raise RuntimeError(f"{child.args} does not answer") from fault
            time.sleep(0.005)


def end(child: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, then insist; its own children go with it."""
    try:
        family = psutil.Process(child.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(15)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


@contextmanager
def bare() -> Iterator[str]:
    """The bare ceiling's address."""
    with tempfile.TemporaryDirectory() as scratch:
        port = free_port()
        command = [sys.executable, "-m", "bench.server.bare", f"{scratch}/bare.sqlite", str(port)]
        child = subprocess.Popen(command)
        try:
            wait(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read(), child)
            yield f"http://127.0.0.1:{port}"
        finally:
            end(child)


@contextmanager
def mlflow(python: Path) -> Iterator[str]:
    """The address of an MLflow tracking server: SQLite, one worker."""
    with tempfile.TemporaryDirectory() as scratch:
        port = free_port()
        command = [
            str(python), "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{scratch}/mlflow.sqlite",
            "--artifacts-destination", f"{scratch}/artifacts", "--workers", "1", "--host", "127.0.0.1",
            "--port", str(port),
        ]  # fmt: skip
        quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        child = subprocess.Popen(
            command, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=scratch
        )
        try:
            wait(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).read(), child)
            yield f"http://127.0.0.1:{port}"
        finally:
            end(child)
