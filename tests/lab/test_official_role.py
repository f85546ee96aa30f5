"""The role clearml_server on a host with systemd, a real engine and real Compose. **Stand-ins**: the official images.

The stand-ins are those of ``make compose-check``; what is tested is what the role makes, keeps, refuses and takes down.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.compose import plugin, stack
from tests.lab import bundles, hosts
from tests.lab.hosts import Host, Lab, Result

FOLDER = "/opt/stackyard-official"
PLUGINS = "/usr/local/lib/docker/cli-plugins"
STANDINS = "/srv/standins.yml"
PASSWORD = "a password for tests"


@dataclass
class Official:
    """A host with an official server of stand-ins."""

    lab: Lab
    variables: Mapping[str, Any]

    @property
    def head(self) -> Host:
        """The server's host."""
        return self.lab.hosts["head"]

    def play(self, playbook: str = "site.yml", *options: str, **extra: Any) -> Result:
        """Play on it."""
        groups: dict[str, list[str]] = {"server": ["head"], "agents": []}
        return self.lab.play(
            playbook, self.lab.inventory(groups, self.variables), *options, extra=extra or None
        )

    def good(self, playbook: str = "site.yml", *options: str, **extra: Any) -> Result:
        """Play, and have it succeed."""
        result = self.play(playbook, *options, **extra)
        assert result.exit_code == 0, result.output[-4000:]
        return result

    def refused(self, words: str, **extra: Any) -> None:
        """A play that refuses in these words, before the role changed anything."""
        result = self.play("playbooks/server.yml", **extra)
        told = " ".join(result.output.split())
        assert result.exit_code != 0
        assert words in told, told[-1500:]
        assert result.changed == 0, result.named_changes()

    def front(self, path: str = "8008/debug.ping") -> bool:
        """Whether the front answers with a certificate of the lab's authority."""
        return self.head.succeeds(
            f"curl --silent --fail --cacert /etc/stackyard/tls/ca.crt https://{self.head.address}:{path}"
        )


def give_compose(host: Host, variables: Mapping[str, str]) -> None:
    """Compose v2, which Debian 12 has not."""
    found = [Path(variables.get("DOCKER_CONFIG", "/nowhere")) / "cli-plugins" / "docker-compose"]
    found += [Path(folder) / "docker-compose" for folder in (PLUGINS, "/usr/libexec/docker/cli-plugins")]
    program = next(path for path in found if path.is_file())
    host.shell(f"mkdir -p {PLUGINS}")
    hosts.docker("cp", str(program), f"{host.container}:{PLUGINS}/docker-compose")


def give_image(host: Host, image: str) -> None:
    """An image of this machine, for the engine of a host."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
        subprocess.run(
            ["docker", "exec", "-i", host.container, "docker", "load"],
            stdin=saved.stdout,
            check=True,
            capture_output=True,
            timeout=300,
        )


@pytest.fixture(scope="module")
def official(make_lab: Callable[..., Lab]) -> Iterator[Official]:
    try:
        variables = plugin.environment()
    except plugin.MissingError as reason:
        pytest.skip(str(reason))
    lab = make_lab(["head"], engines=["head"], internet=False)
    with bundles.served(bundles.bundle(), lab.gateway) as told, stack.standin_image(variables) as image:
        made = Official(
            lab,
            {
                "lab_admin_password": PASSWORD,
                "lab_server_kind": "official",
                "clearml_server_compose_files": [STANDINS],
                "clearml_server_backup_free_gib": 0,
                **told,
            },
        )
        give_compose(made.head, variables)
        made.head.put(STANDINS, (stack.HERE / "standins.yml").read_text().replace("${STANDIN_IMAGE}", image))
        made.good("playbooks/hosts.yml")
        made.good("playbooks/server.yml", "--tags", "docker")
        give_image(made.head, image)
        yield made


def test_a_server_comes_up_from_the_compose_file_with_keys_and_backups(official: Official) -> None:
    official.refused("There is no default", lab_admin_password="")
    official.refused("the official server needs", clearml_server_least_memory_mb=10**7)
    official.refused("or none of them", clearml_server_tls_key="key.pem")
    # Cut off between the settings and the administrator's password: the next play goes through all of it.
    broken = official.play("playbooks/server.yml", clearml_server_compose_files=[STANDINS, "/srv/none.yml"])
    assert broken.exit_code != 0
    official.good()
    assert official.front()
    assert official.front("8080/")
    rights = official.head.shell(
        f"stat -c %a {FOLDER}/.env {FOLDER}/server/secrets/ca.key /etc/stackyard/keys/lab.conf"
    )
    assert rights.split() == ["600"] * 3
    assert official.head.shell("systemctl is-active stackyard-backup.timer") == "active"
    told = Path(official.lab.folder / "plays.log").read_text()
    assert PASSWORD not in told.replace(str({"lab_admin_password": PASSWORD}), "")
    official.good("playbooks/verify.yml", "--tags", "server")


def test_a_second_play_changes_nothing(official: Official) -> None:
    again = official.good()
    assert again.named_changes() == []
    checked = official.good("site.yml", "--check", "--diff")
    assert checked.named_changes() == []


def test_what_is_chosen_once_is_not_changed_by_a_play(official: Official) -> None:
    official.refused("SERVER_NAME=other.lab.example", lab_server_address="other.lab.example")
    official.refused("API_PORT=9008", lab_api_port=9008)


def test_a_stopped_service_is_seen_and_brought_back(official: Official) -> None:
    compose = f"docker compose --project-directory {FOLDER} -f {FOLDER}/docker-compose.yml -f {STANDINS}"
    official.head.shell(f"{compose} stop fileserver")
    seen = official.play("playbooks/verify.yml", "--tags", "server")
    assert seen.exit_code != 0
    official.good("playbooks/server.yml")
    official.good("playbooks/verify.yml", "--tags", "server")


def test_an_upgrade_is_preceded_by_a_backup(official: Official) -> None:
    before = official.head.shell("ls /var/backups/stackyard").split()
    official.head.shell(f"echo '# an older one' >> {FOLDER}/server/front/nginx.conf")
    official.good("playbooks/server.yml")
    after = official.head.shell("ls /var/backups/stackyard").split()
    assert len(after) == len(before) + 1
    assert official.front()
    assert official.good("playbooks/server.yml").named_changes() == []


def test_what_is_done_otherwise_with_it_is_said(official: Official) -> None:
    for playbook in ("rotate-secrets.yml", "restore.yml"):
        refused = official.play(f"playbooks/{playbook}", lab_backup="/var/backups/stackyard/none")
        assert refused.exit_code != 0
        assert "docs/official-server.md" in refused.output
        assert refused.changed == 0, refused.named_changes()


def test_it_is_taken_down_and_its_data_stay(official: Official) -> None:
    official.good("playbooks/uninstall.yml", lab_uninstall=True)
    assert official.head.shell("docker ps -q") == ""
    assert official.head.succeeds(f"test -f {FOLDER}/.env && test -d /opt/clearml")
    official.good()
    assert official.front()
    official.good("playbooks/uninstall.yml", lab_uninstall=True, lab_remove_data=True)
    assert not official.head.succeeds(f"test -e {FOLDER} || test -e /opt/clearml")
