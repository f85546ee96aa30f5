"""``make compose-check``: validate docker-compose.yml with Compose v2, bring it up on stand-ins, look, take it down.

Exit status: 0 everything holds; 1 something does not; 3 cannot run on this machine (skipped, the reason is printed).
"""

from __future__ import annotations

import http.client
import ssl
import sys
import time
from typing import Any

from tests.compose import plugin, stack

SKIPPED = 3
#: A port may be open to others only here: the TLS front.
FRONT = "front"


def check_file(config: dict[str, Any]) -> None:
    """What holds of every service, whatever its image."""
    for name, service in config["services"].items():
        assert not service.get("privileged"), f"{name} is privileged"
        assert "no-new-privileges:true" in service["security_opt"], f"{name} may gain privileges"
        assert service["cap_drop"] == ["ALL"], f"{name} keeps capabilities"
        assert service.get("mem_limit"), f"{name} has no memory limit"
        assert service["logging"]["options"]["max-size"], f"{name}: logs grow without end"
        assert service["healthcheck"]["test"], f"{name} has no health check"
        assert "network_mode" not in service, f"{name} has a network of its own kind"
        mounts = [str(mount.get("source", "")) for mount in service.get("volumes", [])]
        assert not [mount for mount in mounts if "docker.sock" in mount], f"{name} has the engine's socket"
        for other, about in service.get("depends_on", {}).items():
            assert about["condition"] == "service_healthy", f"{name} does not wait for {other}"
        for port in service.get("ports", []):
            assert name == FRONT or port["host_ip"] == "127.0.0.1", f"{name} publishes {port}"
        if name != "agent":
            tag = service["image"].rpartition(":")[2]
            assert tag[0].isdigit() or tag[:2] == "v" + tag[1:2], f"{name}: {service['image']} is not pinned"
    for name in ("stores", "clearml"):
        assert config["networks"][name]["internal"], f"the network {name} has a way out"
    stores = {n for n, s in config["services"].items() if set(s["networks"]) == {"stores"}}
    assert {"elasticsearch", "mongo", "redis"} <= stores, "a data store is on another network than theirs"


def check_running(up: stack.Stack) -> None:
    """What the engine says of the running containers, and what the front answers."""
    found = up.containers()
    services = up.rendered()["services"]
    assert set(found) == set(services), f"not everything runs: {sorted(set(services) - set(found))}"
    for name, container in found.items():
        assert container["State"]["Health"]["Status"] == "healthy", f"{name} is not healthy"
        host = container["HostConfig"]
        assert not host["Privileged"]
        assert host["CapDrop"] == ["ALL"]
        assert host["Memory"] > 0, f"{name} has no memory limit"
        published = {
            (inside, binding["HostIp"]): int(binding["HostPort"])
            for inside, bindings in (container["NetworkSettings"]["Ports"] or {}).items()
            for binding in bindings or []
        }
        for inside, address in published:
            assert address == "127.0.0.1", f"{name} answers on {address} ({inside})"
        assert not published or name in (FRONT, "prometheus"), f"{name} is published"
    for name in ("stores", "clearml"):
        assert up.networks()[name]["Internal"], f"the network {name} has a way out"
    check_front(up)
    status, _, _ = ask(up.ports["PROMETHEUS_PORT"], None, "/metrics")
    assert status == 401, "Prometheus answers without a password"


def check_front(up: stack.Stack) -> None:
    """TLS by the installation's own authority, GET bodies, and how uploaded pages come."""
    trusted = ssl.create_default_context(cafile=str(up.folder / "server" / "secrets" / "ca.crt"))
    status, _, said = ask(up.ports["API_PORT"], trusted, "/debug.ping", b'{"a": 1}')
    assert status == 200
    assert b'"bytes": 8' in said, (
        "the front drops the body of a GET, which ClearML's SDK sends with every call"
    )
    status, _, _ = ask(up.ports["WEB_PORT"], trusted, "/")
    assert status == 200
    status, headers, _ = ask(up.ports["FILES_PORT"], trusted, "/page.html")
    assert status == 200
    assert "sandbox" in (headers.get("content-security-policy") or ""), "an uploaded page may run its scripts"
    status, headers, _ = ask(up.ports["WEB_PORT"], None, "/")
    assert status == 301, "plain HTTP is answered"
    assert (headers.get("location") or "").startswith("https://")


def ask(
    port: int, trusted: ssl.SSLContext | None, path: str, body: bytes | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Status, headers and body of a GET on localhost; without ``trusted``, not encrypted."""
    connection = (
        http.client.HTTPSConnection("localhost", port, timeout=20, context=trusted)
        if trusted
        else http.client.HTTPConnection("localhost", port, timeout=20)
    )
    try:
        connection.request("GET", path, body=body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def main() -> int:
    """Run the check; answers the exit status."""
    began = time.monotonic()
    try:
        variables = plugin.environment()
        with stack.standin_image(variables) as image, stack.running(variables, image) as up:
            check_file(up.rendered(plain=True))
            check_running(up)
            names = sorted(up.containers())
    except plugin.MissingError as reason:
        print(f"compose-check: skipped: {reason}")
        return SKIPPED
    except AssertionError as fault:
        print(f"compose-check: {fault}")
        return 1
    print(
        f"compose-check: {len(names)} services on stand-in images were healthy ({', '.join(names)}); published: the "
        f"TLS front, and Prometheus on loopback; taken down after {time.monotonic() - began:.0f} s. "
        "The official images themselves were not run."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
