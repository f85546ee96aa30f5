"""Hosts with nothing but systemd, SSH and Python: containers with addresses of their own on a network of their own.

Needs a Docker Engine (``tests/engine_setup.sh start``). All that a lab makes has one label, by which it is removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
ANSIBLE = ROOT / "ansible"
BINARIES = ROOT / ".venv" / "bin"
LABEL = "stackyard.lab"
BASE = "stackyard-base:bookworm"
IMAGE = "stackyard-lab-host:bookworm"
#: Authorities that this machine trusts beyond its distribution's: those of a proxy, say. Hosts that use it need them.
AUTHORITIES = Path("/usr/local/share/ca-certificates")
BOOT_SECONDS = 60.0
#: The longest that one playbook may take.
PLAY_SECONDS = 1200.0
#: Three octets, so that several labs beside each other have networks of their own.
_NETWORKS = [f"10.217.{number}" for number in range(1, 250)]


class LabError(Exception):
    """A host, a network or a playbook is not as it has to be; the message says what was seen."""


def docker(*arguments: str, check: bool = True, seconds: float = 600.0) -> str:
    """What a docker command prints.

    Raises:
        LabError: it failed, and ``check`` is set.
    """
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=seconds, check=False
    )
    if check and done.returncode != 0:
        raise LabError(f"docker {' '.join(arguments[:3])}: {done.stderr.strip()[-400:]}")
    return done.stdout.strip()


def why_not() -> str | None:
    """Why no lab can be made here; ``None``: one can."""
    try:
        version = docker("version", "--format", "{{.Server.Version}}", seconds=20)
    except (LabError, OSError, subprocess.TimeoutExpired) as reason:
        return f"no Docker Engine answers ({reason}): tests/engine_setup.sh start"
    if not version or not docker("images", "-q", BASE):
        return f"no image {BASE}: tests/engine_setup.sh start"
    if not (BINARIES / "ansible-playbook").is_file():
        return "no ansible-playbook in .venv: make install"
    return None


def build_image(base: str = BASE, image: str = IMAGE) -> str:
    """The image of a bare host, built unless it is there."""
    if not docker("images", "-q", image):
        folder = str(HERE)
        docker("build", "--quiet", "--network=host", "--build-arg", f"BASE={base}", "--tag", image, folder)
    return image


@dataclass(frozen=True)
class Result:
    """What a playbook came to."""

    exit_code: int
    output: str
    seconds: float
    #: Host -> ok, changed, unreachable, failures, skipped.
    recap: Mapping[str, Mapping[str, int]]
    #: (role or "", task, host, "ok" | "changed" | "failed"..., message), in order.
    tasks: Sequence[Mapping[str, Any]]

    @property
    def changed(self) -> int:
        """How many tasks changed something, over all hosts."""
        return sum(counts["changed"] for counts in self.recap.values())

    def named_changes(self) -> list[str]:
        """Which tasks changed something, and where."""
        return [f"{task['host']}: {task['name']}" for task in self.tasks if task["status"] == "changed"]

    def role_seconds(self) -> dict[str, float]:
        """How long each role took; what several hosts do at once counts once."""
        found: dict[str, float] = {}
        for task in {each["id"]: each for each in self.tasks}.values():
            found[task["role"]] = found.get(task["role"], 0.0) + task["seconds"]
        return found


@dataclass
class Host:
    """One host.

    Args:
        name: its name, in the lab and as its host name.
        address: its address on the lab's network.
        container: the container's name.
    """

    name: str
    address: str
    container: str
    lab: Lab = field(repr=False)

    def shell(self, command: str, check: bool = True, seconds: float = 120.0, user: str = "root") -> str:
        """What a command prints, run as root without SSH."""
        return docker(
            "exec", "--user", user, self.container, "bash", "-c", command, check=check, seconds=seconds
        )

    def succeeds(self, command: str) -> bool:
        """Whether a command ends with 0."""
        done = subprocess.run(
            ["docker", "exec", self.container, "bash", "-c", command],
            capture_output=True,
            timeout=120,
            check=False,
        )
        return done.returncode == 0

    def put(self, path: str, text: str, mode: str = "0644") -> None:
        """Write a file."""
        command = ["docker", "exec", "-i", self.container, "bash", "-c"]
        command.append(f"install -D -m {mode} /dev/stdin {path}")
        subprocess.run(command, input=text.encode(), check=True, timeout=60)

    def await_up(self, seconds: float = BOOT_SECONDS) -> None:
        """Wait until systemd has started what it starts, and SSH answers.

        Raises:
            LabError: it has not within ``seconds``.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = docker("exec", self.container, "systemctl", "is-system-running", check=False)
            if state in ("running", "degraded") and self.succeeds("systemctl is-active --quiet ssh"):
                return
            time.sleep(0.1)
        raise LabError(f"{self.name} is not up within {seconds:.0f} s: {state or 'no word of systemd'}")

    def reboot(self) -> None:
        """Restart the host as its power switch would: what it has on its disk stays."""
        docker("restart", "--time", "30", self.container)

    def power_off(self) -> None:
        """Cut the power: nothing ends in order."""
        docker("kill", self.container)

    def power_on(self) -> None:
        """Start it again."""
        docker("start", self.container)


class Lab:
    """Hosts on one network, and the playbooks that are played on them.

    Args:
        folder: an empty folder for keys, inventories and logs.
        names: the hosts' names.
        engines: those of them that run a Docker Engine of their own.
        internet: whether the network has a way out.
    """

    def __init__(
        self, folder: Path, names: Sequence[str], engines: Sequence[str] = (), internet: bool = True
    ) -> None:
        self.folder = folder
        self.name = f"sy-lab-{secrets.token_hex(3)}"
        self.key = folder / "id_ed25519"
        self.internet = internet
        self.hosts: dict[str, Host] = {}
        self._engines = set(engines)
        self._wanted = list(names)
        self.network = ""

    def __enter__(self) -> Lab:
        build_image()
        self.folder.mkdir(parents=True, exist_ok=True)
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)]
        subprocess.run(keygen, check=True)
        try:
            self.network = self._make_network()
            for name in self._wanted:
                self.add(name, name in self._engines)
            for host in self.hosts.values():
                host.await_up()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        self.remove()

    def _make_network(self) -> str:
        """The first three octets of the network that was made."""
        for octets in _NETWORKS:
            with contextlib.suppress(LabError):
                more = [] if self.internet else ["--internal"]
                subnet = ["--subnet", f"{octets}.0/24", "--gateway", f"{octets}.1"]
                docker("network", "create", "--label", f"{LABEL}={self.name}", *subnet, *more, self.name)
                return octets
        raise LabError("no network could be made for a lab: 248 are taken")

    @property
    def gateway(self) -> str:
        """This machine's address on the lab's network."""
        return f"{self.network}.1"

    def add(self, name: str, engine: bool = False, address: str | None = None) -> Host:
        """Start a host; wait for it with ``await_up``."""
        address = address or f"{self.network}.{10 + len(self.hosts)}"
        container = f"{self.name}-{name}"
        rights = ["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"]
        volumes = ["-v", "/var/lib/docker", "-v", "/var/lib/containerd"] if engine else []
        unconfined = ["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]
        place = ["--network", self.name, "--ip", address, "--hostname", name, "--cgroupns=private"]
        temporary = ["--tmpfs", "/run", "--tmpfs", "/run/lock"]
        label = ["--label", f"{LABEL}={self.name}"]
        docker(
            "run",
            "--detach",
            "--name",
            container,
            *label,
            *place,
            *rights,
            *unconfined,
            *temporary,
            *volumes,
            IMAGE,
        )
        host = Host(name, address, container, self)
        host.put("~/.ssh/authorized_keys", self.key.with_suffix(".pub").read_text(), "0600")
        self.hosts[name] = host
        return host

    def remove(self) -> None:
        """Remove all hosts, their disks and the network."""
        found = docker("ps", "-aq", "--filter", f"label={LABEL}={self.name}", check=False).split()
        if found:
            docker("rm", "--force", "--volumes", *found, check=False)
        docker("network", "rm", self.name, check=False)

    # -- playing -------------------------------------------------------------------------------------

    def inventory(self, groups: Mapping[str, Sequence[str]], variables: Mapping[str, Any]) -> Path:
        """Write an inventory with these groups of hosts, and variables for all of them; its file."""
        ssh = f"-o UserKnownHostsFile={self.folder}/known_hosts -o StrictHostKeyChecking=accept-new"
        ssh += " -o HashKnownHosts=no"  # ``replace`` looks for an address there
        common: dict[str, Any] = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": ssh,
            "ansible_python_interpreter": "/usr/bin/python3",
            "base_authorities": sorted(map(str, AUTHORITIES.glob("*.crt"))) if self.internet else [],
            **variables,
        }
        document = {
            "all": {
                "vars": common,
                "hosts": {host.name: {"ansible_host": host.address} for host in self.hosts.values()},
                "children": {
                    name: {"hosts": dict.fromkeys(members, None)} for name, members in groups.items()
                },
            }
        }
        path = self.folder / "inventory.json"
        path.write_text(json.dumps(document, indent=1))
        path.chmod(0o600)
        return path

    def replace(self, name: str) -> Host:
        """A fresh host in the place of one that is gone: with its name and address, and nothing of what it had."""
        gone = self.hosts.pop(name)
        docker("rm", "--force", "--volumes", gone.container)
        host = self.add(name, name in self._engines, gone.address)
        host.await_up()
        known = self.folder / "known_hosts"
        known.write_text(
            "".join(line for line in known.read_text().splitlines(True) if gone.address not in line)
        )
        return host

    def start(
        self,
        playbook: str,
        inventory: Path,
        *options: str,
        extra: Mapping[str, Any] | None = None,
        report: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Begin to play, in a process group of its own; its output is what communicate gives."""
        more = ["--extra-vars", json.dumps(extra)] if extra else []
        told = {"STACKYARD_PLAY_REPORT": str(report)} if report else {}
        return subprocess.Popen(
            [
                str(BINARIES / "ansible-playbook"),
                "-i",
                str(inventory),
                str(ANSIBLE / playbook),
                *more,
                *options,
            ],
            cwd=ANSIBLE,
            env={
                **os.environ,
                "PATH": f"{BINARIES}:{os.environ['PATH']}",
                "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
                "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callbacks"),
                "ANSIBLE_CALLBACKS_ENABLED": "told",
                "ANSIBLE_LOCAL_TEMP": str(self.folder / "ansible"),
                "ANSIBLE_SSH_CONTROL_PATH_DIR": "/tmp/sy-lab-control",
                **told,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def play(
        self, playbook: str, inventory: Path, *options: str, extra: Mapping[str, Any] | None = None
    ) -> Result:
        """Run one of ``ansible/playbooks`` (or ``site.yml``) as an operator does."""
        report = self.folder / f"play-{secrets.token_hex(3)}.jsonl"
        began = time.monotonic()
        process = self.start(playbook, inventory, *options, extra=extra, report=report)
        try:
            output, _nothing = process.communicate(timeout=PLAY_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise LabError(f"{playbook} took more than {PLAY_SECONDS:.0f} s") from None
        seconds = time.monotonic() - began
        with (self.folder / "plays.log").open("a") as log:
            log.write(f"$ {playbook} {' '.join(options)}\n{output}\n[{seconds:.1f} s]\n")
        lines = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
        recap = next((line["recap"] for line in lines if "recap" in line), {})
        tasks = [line for line in lines if "recap" not in line]
        return Result(process.returncode, output, seconds, recap, tasks)


def clear_all() -> None:
    """Remove what labs of earlier runs left."""
    found = docker("ps", "-aq", "--filter", f"label={LABEL}", check=False).split()
    if found:
        docker("rm", "--force", "--volumes", *found, check=False)
    for network in docker("network", "ls", "-q", "--filter", f"label={LABEL}", check=False).split():
        docker("network", "rm", network, check=False)


@contextlib.contextmanager
def lab(folder: Path, names: Sequence[str], **more: Any) -> Iterator[Lab]:
    """A lab for the time of a block."""
    with Lab(folder, names, **more) as made:
        yield made
