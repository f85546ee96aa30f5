"""The gate as an agent meets it: a program called ``docker``, in front of a real engine."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stackyard.machine import docker_engine
from stackyard.machine.docker_engine import Engine
from tests.engine import docker
from tests.stackyard.agents.test_container_rules import TASK, run_of_agent

#: What a container says of itself; in place of the agent's Python, so that no agent is needed.
PROBE = """#!/bin/sh
echo "arguments $*"
grep -E 'CapEff|NoNewPrivs' /proc/self/status
id -u
cat /tmp/clearml.conf
touch /cache/mine && echo writes-cache
"""


class Server:
    """Takes the one call that the gate makes, and keeps it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        kept = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kept.append((self.path, self.headers["Authorization"], json.loads(body)))
                self.send_response(
                    500
                )  # a server that does not take it: the gate does not wait for the agent
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


class Gate:
    """An agent's folder with policy, configuration and the program."""

    def __init__(self, folder: Path, images: dict[str, str], server: Server, label: str = "a=b") -> None:
        self.folder, self.server = folder, server
        self.conf = folder / "agent.cfg"
        api = {"api_server": server.address, "credentials": {"access_key": "K", "secret_key": "S"}}
        self.conf.write_text(json.dumps({"api": api, "agent": {"worker_id": "w:0"}}))
        self.conf.chmod(0o600)
        client = docker_engine.client_path()
        key, _equals, value = label.partition("=")
        self.policy = {
            "queue": "boxes",
            "docker": str(client or "/nowhere/docker"),
            "agent_folder": str(folder),
            "images": images,
            "labels": {key: value},
            "environment": {"LOCAL_PYTHON": "/cache/probe"},
            "network": "none",
        }

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = self.folder / "policy.json"
        path.write_text(json.dumps(self.policy))
        return subprocess.run(
            [sys.executable, "-m", "stackyard.agents.gate", *arguments],
            env={**os.environ, "STACKYARD_GATE_POLICY": str(path), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, image: str, *task: str) -> subprocess.CompletedProcess[str]:
        """As the agent would."""
        words = [
            word.replace("/h/.clearml_agent.x.cfg", str(self.conf)) for word in run_of_agent(image, task)
        ]
        return self(*words)


@pytest.fixture
def server() -> Iterator[Server]:
    held = Server()
    yield held
    held.http.shutdown()
    held.http.server_close()


@pytest.fixture
def gate(
    tmp_path: Path,
    server: Server,
    engine: Engine,
    base_image: Callable[[str], str],
    no_containers_left: str,
) -> Gate:
    """A gate that allows the base image only; in it runs the probe."""
    image = engine.image_id(base_image("3.11"))
    assert image is not None
    made = Gate(tmp_path, {"base": image}, server, no_containers_left)
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    (cache / "probe").write_text(PROBE)
    (cache / "probe").chmod(0o755)
    return made


@pytest.mark.engine
@pytest.mark.promise("container-least-rights")
@pytest.mark.promise("container-credentials")
def test_an_allowed_image_runs_with_no_rights_and_reads_a_configuration_nobody_else_can(
    gate: Gate, engine: Engine, base_image: Callable[[str], str]
) -> None:
    image = engine.image_id(base_image("3.11"))
    done = gate.run(f"any/name@{image}", "--cpus=1", "-v", "/:/host", "--privileged")
    assert done.returncode == 0, done.stderr
    assert f"execute --disable-monitoring --standalone-mode --id {TASK}" in done.stdout
    assert "CapEff:\t0000000000000000" in done.stdout
    assert "NoNewPrivs:\t1" in done.stdout
    assert "writes-cache" in done.stdout
    assert "ignored: -v, --privileged" in done.stdout
    inside = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])
    assert inside["api"]["credentials"]["access_key"] == "K"
    assert inside["sdk"]["storage"]["cache"]["default_base_dir"].startswith("/cache/")
    assert (gate.folder / "container").stat().st_mode & 0o077 == 0
    assert not gate.server.calls


@pytest.mark.engine
@pytest.mark.parametrize("image", ["stackyard-base:bullseye", "evil:latest", "sha256:" + "0" * 64])
def test_a_forbidden_image_starts_nothing_and_its_task_fails_naming_both(
    gate: Gate, engine: Engine, image: str
) -> None:
    begun = time.time()
    done = gate.run(image)
    assert done.returncode == 77
    assert "execute" not in done.stdout
    ((path, login, body),) = gate.server.calls
    assert path == "/tasks.failed"
    assert login == "Basic " + base64.b64encode(b"K:S").decode()
    assert body["task"] == TASK
    for text in (body["status_reason"], done.stderr):
        assert repr(image) in text
        assert f"base ({gate.policy['images']['base']})" in text  # type: ignore[index]
    assert body["status_reason"].startswith("bad_input: image ")
    assert not created_since(begun, image)


def created_since(moment: float, image: str) -> list[str]:
    """What the engine itself noted of containers of an image; others' are of other images."""
    until = f"{time.time() + 1:.0f}"
    said = docker("events", "--since", f"{moment:.6f}", "--until", until, "--filter", "event=create")
    return [line for line in said.splitlines() if image in line or TASK in line]


@pytest.mark.engine
def test_a_container_is_found_by_its_agent_only_and_ends_when_told(gate: Gate, engine: Engine) -> None:
    (gate.folder / "cache" / "probe").write_text(
        "#!/bin/sh\ntrap 'echo ended well; exit 0' TERM\necho up\nwhile :; do sleep 0.1; done\n"
    )
    path = gate.folder / "policy.json"
    image = gate.policy["images"]["base"]  # type: ignore[index]
    gate("--version")
    words = [w.replace("/h/.clearml_agent.x.cfg", str(gate.conf)) for w in run_of_agent(image)]
    running = subprocess.Popen(
        [sys.executable, "-m", "stackyard.agents.gate", *words],
        env={**os.environ, "STACKYARD_GATE_POLICY": str(path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        (line,) = gate("ps", "--no-trunc", "--format", "{{.ID}}: {{.Command}}").stdout.splitlines()
        assert f"--id {TASK}'\"" in line, "the words by which clearml-agent looks for it"
        identifier = line.partition(":")[0]
        found = engine.container(identifier)
        assert found is not None
        assert found.labels["stackyard.worker"] == "w:0"

        gate.policy["queue"] = "another"
        assert gate("ps", "--quiet").stdout == ""
        refused = gate("stop", "-t", "1", identifier)
        assert (refused.returncode, refused.stdout) == (77, "")
        assert "is no container of queue 'another'" in refused.stderr

        gate.policy["queue"] = "boxes"
        assert gate("stop", "-t", "1", identifier).returncode == 0
        assert running.stdout.read() == "ended well\n"
        assert running.wait(20) == 0
    finally:
        running.kill()
        running.wait()


def test_whatever_else_docker_can_do_is_refused(tmp_path: Path, server: Server) -> None:
    gate = Gate(tmp_path, {}, server)
    for words in (["pull", "evil"], ["exec", "x", "id"], ["run", "-v", "/:/host", "evil"], []):
        done = gate(*words)
        assert done.returncode == 77
        assert done.stderr.startswith("stackyard: ")
        assert done.stderr.count("\n") == 1
    assert not server.calls, "no task is known to be failed"


def test_without_a_policy_nothing_is_started(tmp_path: Path, server: Server) -> None:
    gate = Gate(tmp_path, {}, server)
    missing = gate("ps", STACKYARD_GATE_POLICY=str(tmp_path / "none.json"))
    assert missing.returncode == 2
    assert "none.json: the policy of this agent's containers cannot be read" in missing.stderr
    assert gate("ps", STACKYARD_GATE_POLICY="").returncode == 2


@pytest.mark.promise("gate-refusals-told")
def test_an_engine_that_does_not_answer_fails_the_task_with_its_words(tmp_path: Path, server: Server) -> None:
    gate = Gate(tmp_path, {"base": "sha256:" + "a" * 64}, server)
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    client.chmod(0o755)
    gate.policy["docker"] = str(client)
    done = gate.run("stackyard/torch@sha256:" + "a" * 64)
    assert done.returncode == 77
    ((_path, _login, body),) = server.calls
    assert (
        body["status_reason"] == "infrastructure: the Docker Engine says: Cannot connect to the Docker daemon"
    )


def test_the_gate_loads_nothing_but_the_standard_library_and_its_rules() -> None:
    code = (
        "import sys; before = set(sys.modules); import stackyard.agents.gate; "
        "print(*sorted(n for n in set(sys.modules) - before if n.split('.')[0] not in sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "stackyard",
        "stackyard.agents",
        "stackyard.agents.container_rules",
        "stackyard.agents.gate",
        "stackyard.errors",
    ]
