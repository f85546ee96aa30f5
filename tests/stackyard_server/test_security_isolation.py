"""What the server never does: call out, load code from data, run programs, speak an old TLS."""

from __future__ import annotations

import ast
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import stackyard_server
from stackyard_server import identity
from tests.waiting import PATIENCE_SECONDS

from .running import Running, running_server

SOURCE = Path(stackyard_server.__file__).parent
FORBIDDEN = {
    "pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "code", "subprocess", "requests", "httpx",
    "urllib.request", "http.client", "ftplib", "smtplib", "xmlrpc", "telnetlib", "aiohttp", "urllib3", "clearml",
}  # fmt: skip
#: The console's side: it starts a server and asks it whether it is up. No request leads there.
CONSOLE = {"admin/__init__.py", "admin/processes.py"}
CALLS = {"eval", "exec", "compile", "__import__"}


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize(
    "path",
    sorted(p for p in SOURCE.rglob("*.py") if p.relative_to(SOURCE).as_posix() not in CONSOLE),
    ids=lambda p: str(p.relative_to(SOURCE)),
)
@pytest.mark.promise("runs-nothing")
def test_no_module_unpickles_evaluates_runs_programs_or_calls_out(path: Path) -> None:
    """CVE-2024-24590 and ASVS 1.5.2 (no unsafe deserialisation), 1.3.2 (no eval), 1.3.6 and 13.2.4 (no outbound)."""
    tree = ast.parse(path.read_text())
    found = {name for name in imported(tree) if name in FORBIDDEN or name.split(".")[0] in FORBIDDEN}
    assert not found, f"{path.name} imports {found}"
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not called & CALLS, f"{path.name} calls {called & CALLS}"


WATCHED = """
import sys
seen = open(sys.argv[2], "w", buffering=1)
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "subprocess.Popen",
                 "os.system", "os.exec", "os.posix_spawn", "os.fork", "urllib.Request"):
        seen.write(f"{event} {arguments}\\n")
from pathlib import Path
from stackyard_server import identity
from stackyard_server.app import Server
from stackyard_server.settings import ServerSettings
server = Server(ServerSettings(Path(sys.argv[1]), web_port=0, api_port=0, files_port=0))
with server.store.writing() as tx:
    admin = identity.add_user(tx, 0, name="watched", role="admin")
    pair = identity.add_credentials(tx, admin)
import json
sys.addaudithook(watch)
print(json.dumps({"urls": server.urls, "pair": pair}), flush=True)
server.run()
"""


@pytest.mark.promise("reaches-out-to-nobody")
def test_the_server_never_connects_to_anything(tmp_path: Path) -> None:
    """ASVS 1.3.6 (SSRF), 13.2.4, 13.2.5; clearml-server phones home every 24 h (E2). Seen by Python's audit events."""
    seen = tmp_path / "seen"
    command = [sys.executable, "-c", WATCHED, str(tmp_path / "data"), str(seen)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        outside = "http://192.0.2.1/x"
        with httpx.Client(
            base_url=said["urls"]["api"], auth=tuple(said["pair"]), timeout=PATIENCE_SECONDS
        ) as client:

            def call(name: str, /, **body: object) -> dict[str, object]:
                answer = client.post(f"/{name}", json=body)
                assert answer.status_code < 500, answer.text
                data: dict[str, object] = answer.json()["data"]
                return data

            call("auth.login")
            for name in (
                "server.info",
                "server.report_stats_option",
                "server.config",
                "login.supported_modes",
            ):
                call(name)
            call("storage.set_settings", aws={"key": "k", "secret": "s", "buckets": [{"bucket": outside}]})
            task = call("tasks.create", name="outside", type="training", output_dest=outside).get("id")
            call("models.create", name="outside", uri=outside, task=task)
            image = {
                "type": "training_debug_image",
                "task": task,
                "metric": "m",
                "variant": "v",
                "iter": 1,
                "url": outside,
            }
            lines = {"Content-Type": "application/json-lines"}
            client.post("/events.add_batch", content=json.dumps({**image, "url": outside}), headers=lines)
            call("events.debug_images", metrics=[{"task": task}])
            call("tasks.delete", task=task, force=True, delete_external_artifacts=True, return_file_urls=True)
        httpx.get(f"{said['urls']['web']}/login", timeout=PATIENCE_SECONDS)
    finally:
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert seen.read_text() == ""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@pytest.mark.promise("tls", on="API, files, pages")
def test_tls_by_certificate_and_key_files(certificate: tuple[Path, Path]) -> None:
    """ASVS 12.1.1 and 3.3.1: TLS 1.2 or newer on all three ports, no plain HTTP beside it, a Secure cookie."""
    cert, key = certificate
    trust = ssl.create_default_context(cafile=str(cert))
    with running_server(trust=trust, tls_certificate=cert, tls_key=key) as server:
        with httpx.Client(verify=trust, timeout=PATIENCE_SECONDS) as client:
            login = client.post(f"{server.api}/auth.login", auth=(server.access_key, server.secret_key))
            assert "; Secure" in login.headers["set-cookie"]
            assert identity.COOKIE in login.headers["set-cookie"]
            for url in (server.api, server.files, server.web):
                assert url.startswith("https://")
                assert client.get(f"{url}/login").status_code < 500
        for url in (server.api, server.files, server.web):
            host, _, port = url.removeprefix("https://").partition(":")
            with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as plain:
                plain.sendall(b"GET /debug.ping HTTP/1.1\r\nHost: x\r\n\r\n")
                plain.settimeout(30)
                with contextlib.suppress(ConnectionError):
                    assert not plain.recv(100).startswith(b"HTTP")
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.load_verify_locations(cert)
            with warnings.catch_warnings(action="ignore"):
                old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1
            with (
                socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as line,
                pytest.raises((ssl.SSLError, OSError)),
            ):
                old.wrap_socket(line, server_hostname=host)


NAMES = [
    "x'); DROP TABLE task; --",
    'a"b',
    "a%b_c",
    "$.x",
    "a.b[0]",
    "\\",
    "\u202e\U0001f600",
    "{{7*7}}",
    "<b>x</b>",
]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        yield running


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.promise("names-are-data")
def test_names_are_data_wherever_they_stand(server: Running, name: str) -> None:
    """ASVS 1.2.4 (SQL) and 1.3.x: what looks like SQL, a JSON path, a pattern or a template stays text."""
    full = f"task {name}"
    parameter = {"section": "Args", "name": name, "value": name}
    task = server.call("tasks.create", name=full, type="training", hyperparams={"Args": {name: parameter}})[
        "id"
    ]
    shown = server.call("tasks.get_by_id", task=task)["task"]
    assert shown["name"] == full
    assert shown["hyperparams"]["Args"][name]["value"] == name
    assert server.call("tasks.update", task=task, tags=[name])["updated"] == 1
    found = server.call("tasks.get_all", tags=["__$all", name], only_fields=["id"])["tasks"]
    assert [t["id"] for t in found] == [task]
