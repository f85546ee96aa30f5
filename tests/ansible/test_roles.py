"""Roles and playbooks without a host: syntax, what roles take, the lab's variables, and the programs in roles."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / "ansible"
ROLES = sorted(path.name for path in (ANSIBLE / "roles").iterdir() if path.is_dir())
BINARIES = Path(sys.executable).parent
_LAB = re.compile(r"\blab_[a-z0-9_]+\b")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def texts() -> str:
    """All that roles and playbooks say."""
    files = [
        path for part in ("roles", "playbooks") for path in (ANSIBLE / part).rglob("*") if path.is_file()
    ]
    return "\n".join(
        path.read_text(encoding="utf-8", errors="replace") for path in files if path.suffix != ".json"
    )


def test_playbooks_are_ones_that_ansible_loads() -> None:
    """`make check` has ansible-lint look at them, too: it takes a minute."""
    playbooks = sorted(str(path) for path in (ANSIBLE / "playbooks").glob("*.yml"))
    inventory = ANSIBLE / "inventories" / "example-two-node"
    done = subprocess.run(
        [str(BINARIES / "ansible-playbook"), "--syntax-check", "-i", str(inventory), "site.yml", *playbooks],
        cwd=ANSIBLE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_a_role_says_what_it_takes(role: str) -> None:
    folder = ANSIBLE / "roles" / role
    specs = read(folder / "meta" / "argument_specs.yml")["argument_specs"]
    options: dict[str, Any] = specs["main"]["options"]
    defaults = read(folder / "defaults" / "main.yml")
    required = {name for name, option in options.items() if option.get("required")}
    assert set(options) - required <= set(defaults) <= set(options)
    for name, option in options.items():
        assert name.startswith(f"{role}_"), name
        assert option.get("description"), name
        assert option.get("type"), name
        told = defaults.get(name)
        if "default" in option and not (isinstance(told, str) and "{{" in told):
            assert option["default"] == told, name
        if re.search(r"password|secret", name):
            assert option.get("no_log"), name
            assert told in (None, "") or "{{" in told, f"{name} has a default"
    text = (folder / "defaults" / "main.yml").read_text()
    unexplained = re.findall(r"(?<!\n)\n\n+[a-z]\w+:", text)
    assert not unexplained, f"variables without a comment above: {unexplained}"
    readme = (folder / "README.md").read_text()
    assert len(readme.splitlines()) >= 5
    meta = read(folder / "meta" / "main.yml")["galaxy_info"]
    assert (meta["license"], meta["namespace"], meta["role_name"]) == ("Apache-2.0", "stackyard", role)


def test_only_defaults_read_what_belongs_to_the_lab() -> None:
    """Tasks and templates know their role's variables; which of the lab's those come from is said in one place."""
    allowed = {
        "lab_node",
        "lab_backup",
        "lab_backup_to",
        "lab_backup_digest",
        "lab_restore_replace",
        "lab_remove_data",
    }
    allowed |= {"lab_new_admin_password", "lab_uninstall"}  # given with -e for one playbook
    for path in sorted((ANSIBLE / "roles").rglob("*")):
        if (
            path.is_file()
            and path.parent.name in ("tasks", "templates", "handlers")
            and path.suffix != ".json"
        ):
            lines = [line for line in path.read_text().splitlines() if "fail_msg" not in line]
            code = "\n".join(line for line in lines if not re.match(r"\s+(lab_|[A-Z(.])", line))
            found = {
                name for name in _LAB.findall(code) if f"{{{{ {name}" in code or f"not {name}" in code
            } - allowed
            assert not found, f"{path.relative_to(ROOT)}: {found}"


def test_the_lab_page_lists_every_variable_of_a_lab() -> None:
    page = set(_LAB.findall((ROOT / "docs" / "lab.md").read_text()))
    used = set(_LAB.findall(texts()))
    assert used - page == set(), "used, and not on the page"
    assert page - used == set(), "on the page, and nobody reads it"


@pytest.mark.parametrize("folder", sorted((ANSIBLE / "inventories").iterdir()), ids=lambda path: path.name)
def test_an_example_inventory_can_be_used(folder: Path) -> None:
    hosts = read(folder / "hosts.yml")["all"]["children"]
    assert {"server", "agents"} <= set(hosts) <= {"server", "agents", "gpu", "monitoring", "storage"}
    assert len(hosts["server"]["hosts"]) == 1
    known = {name for role in ROLES for name in read(ANSIBLE / "roles" / role / "defaults" / "main.yml")}
    lab = set(_LAB.findall(texts()))
    told: set[str] = set(read(folder / "group_vars" / "all" / "lab.yml"))
    for group in hosts.values():
        for variables in group["hosts"].values():
            told |= set(variables or ())
    assert not {name for name in told if not name.startswith("ansible_")} - known - lab
    example = read(folder / "group_vars" / "all" / "vault.example.yml")
    assert example is None, "an example holds a secret"
    addresses = re.findall(r"\d+\.\d+\.\d+\.\d+", (folder / "hosts.yml").read_text())
    assert all(address.startswith("192.0.2.") for address in addresses), "not an address for documentation"


def test_the_queues_of_a_host_are_ones_that_up_takes(tmp_path: Path) -> None:
    from stackyard.agents import queues

    filters = load(ANSIBLE / "filter_plugins" / "toml.py").FilterModule().filters()
    document = filters["from_toml"]((ROOT / "agents" / "queues.toml").read_text())
    slots = read(ANSIBLE / "inventories" / "example-two-node" / "hosts.yml")["all"]["children"]["agents"][
        "hosts"
    ]["head"]
    for name, changed in slots["clearml_agent_slots"].items():
        document["queues"][name] |= changed
    path = tmp_path / "queues.toml"
    path.write_text(filters["to_toml"](document))
    read_back = queues.read(path)
    assert read_back.queues["cpu"].cores == 4
    assert read_back.queues["cpu-container"].memory_bytes == 8 << 30
    assert read_back.queues["gpu"] == queues.read(ROOT / "agents" / "queues.toml").queues["gpu"]


_VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
_NAMES = st.text(min_size=1, max_size=12)


@given(
    st.dictionaries(
        _NAMES,
        st.one_of(_VALUES, st.lists(_VALUES, max_size=4), st.dictionaries(_NAMES, _VALUES)),
        max_size=6,
    )
)
def test_what_is_written_as_toml_is_read_back(document: dict[str, Any]) -> None:
    filters = load(ANSIBLE / "filter_plugins" / "toml.py").FilterModule().filters()
    assert filters["from_toml"](filters["to_toml"](document)) == document


def test_a_checkout_is_packed_the_same_twice_and_without_what_is_made_there(tmp_path: Path) -> None:
    pack = load(ANSIBLE / "roles" / "stackyard" / "files" / "pack.py")
    for name in (
        "pyproject.toml",
        "src/a.py",
        "agents/stacks/mine/stack.toml",
        ".venv/bin/python",
        "runs/x/record.json",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    first = pack.archive_of(tmp_path)
    assert pack.archive_of(tmp_path) == first
    with tarfile.open(fileobj=BytesIO(first)) as tar:
        assert tar.getnames() == ["agents/stacks/mine/stack.toml", "pyproject.toml", "src/a.py"]
    (tmp_path / "src" / "a.py").write_text("other")
    assert hashlib.sha256(pack.archive_of(tmp_path)).digest() != hashlib.sha256(first).digest()


def certificate(folder: Path, address: str, days: int = 100, renew: int = 30) -> str:
    script = ANSIBLE / "roles" / "stackyard_server" / "files" / "certificate.sh"
    done = subprocess.run(
        ["sh", str(script), address, str(days), str(renew)],
        env={**os.environ, "STACKYARD_SETTINGS": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("address", "option"),
    [("10.0.0.5", "-verify_ip"), ("lab.example", "-verify_hostname"), ("fd00::5", "-verify_ip")],
)
def test_a_certificate_of_the_labs_own_is_good_for_its_address(
    tmp_path: Path, address: str, option: str
) -> None:
    assert "made an authority" in certificate(tmp_path, address)
    assert certificate(tmp_path, address) == "", "made again for nothing"
    chain, authority = tmp_path / "authority" / "server.crt", tmp_path / "tls" / "ca.crt"
    verify = ["openssl", "verify", "-CAfile", str(authority), "-x509_strict", "-purpose", "sslserver"]
    subprocess.run([*verify, option, address, str(chain)], check=True, capture_output=True)
    assert (
        subprocess.run([*verify, option, "10.9.9.9", str(chain)], capture_output=True, check=False).returncode
        != 0
    )
    assert (tmp_path / "authority").stat().st_mode & 0o077 == 0
    for name in ("ca.key", "server.key"):
        assert (tmp_path / "authority" / name).stat().st_mode & 0o077 == 0
    before = authority.read_bytes()
    assert "made a certificate for 10.0.0.9" in certificate(tmp_path, "10.0.0.9")
    assert authority.read_bytes() == before, "another authority, which no agent trusts"


def test_a_certificate_is_made_anew_before_it_ends(tmp_path: Path) -> None:
    certificate(tmp_path, "lab.example", days=20, renew=10)
    assert certificate(tmp_path, "lab.example", days=20, renew=10) == ""
    assert "made a certificate" in certificate(tmp_path, "lab.example", days=20, renew=21)
