"""Which packages of a distribution the roles install: what a bundle brings for hosts without internet."""

from __future__ import annotations

#: Whatever the roles of ansible/ install by name, on any host.
_EVERYWHERE = (
    "ca-certificates",
    "curl",
    "docker.io",
    "git",
    "iptables",
    "nfs-common",
    "nfs-kernel-server",
    "nftables",
    "openssl",
    "prometheus",
    "prometheus-node-exporter",
    "prometheus-process-exporter",
    "python3",
    "python3-apt",
    "python3-bcrypt",
    "python3-venv",
    "systemd-timesyncd",
)
#: The Python of our side, by suite.
_PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}


def of_debian(suite: str) -> tuple[str, ...]:
    """The packages of a suite, in order."""
    minor = _PYTHONS[suite]
    return (*_EVERYWHERE, f"python{minor}", f"python{minor}-venv")


def python_of(suite: str) -> str:
    """The Python of our side that a suite has, as "3.11"."""
    return _PYTHONS[suite]
