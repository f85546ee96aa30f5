"""Which deployments there are: ours and a guest's by entry point, and what is said of one that cannot be had."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackyard.errors import StackyardError
from stackyard.launch import installed

GUEST = """
from stackyard.launch.bare import BareDeployment
from stackyard.launch.deployment import Deployment

class Slow(BareDeployment):
    name = "slow"

class Unnamed(BareDeployment):
    pass

class Half(Deployment):
    name = "slow"
    about = "begun"

class Silent(BareDeployment):
    name = "slow"
    about = None

class Quiet(Deployment):
    name = "slow"
    why_not = launcher = BareDeployment.why_not

other = 3
"""


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Packages as an installer leaves them, found beside what is installed."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", {k: v for k, v in sys.modules.items() if k != "guest_of_tests"})
    (tmp_path / "guest_of_tests.py").write_text(GUEST)

    def declare(package: str, *lines: str) -> None:
        folder = tmp_path / f"{package}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text("\n".join(["[stackyard.deployments]", *lines]) + "\n")
        forget()

    def forget() -> None:
        installed._declared.cache_clear()
        installed.named.cache_clear()

    yield declare
    forget()


def test_ours_are_found_as_a_guests_are_and_the_default_comes_first(declared: Callable[..., None]) -> None:
    assert installed.names() == ("bare", "agent", "container", "kubernetes", "slurm")
    declared("guest", "slow = guest_of_tests:Slow")
    assert installed.names() == ("bare", "agent", "container", "kubernetes", "slow", "slurm")
    assert installed.named("slow").about == installed.named("bare").about
    for name in ("bare", "agent", "container", "kubernetes", "slurm"):
        assert installed.named(name).name == name


def test_a_name_that_nobody_declares_is_told_with_those_there_are() -> None:
    with pytest.raises(StackyardError, match=r"'fast': no installed package .* bare, agent, container"):
        installed.named("fast")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("no_such_module:Slow", "of guest .* cannot be loaded: ModuleNotFoundError"),
        ("guest_of_tests:Missing", "of guest .* cannot be loaded: AttributeError"),
        ("guest_of_tests:other", "of guest .* is no subclass of stackyard.launch.deployment.Deployment"),
        ("guest_of_tests:Unnamed", "of guest .* calls itself 'bare'"),
        ("guest_of_tests:Half", "of guest .* does not define launcher, why_not; mend"),
        ("guest_of_tests:Silent", "of guest .* does not say in a text `about`"),
        ("guest_of_tests:Quiet", "of guest .* does not say in a text `about`"),
    ],
)
def test_a_guest_that_cannot_be_used_is_one_sentence_and_hinders_nobody(
    declared: Callable[..., None], value: str, words: str
) -> None:
    declared("guest", f"slow = {value}")
    assert installed.named("bare").name == "bare"
    with pytest.raises(StackyardError, match=words):
        installed.named("slow")


def test_two_packages_may_not_declare_one_name(declared: Callable[..., None]) -> None:
    declared("first-guest", "slow = guest_of_tests:Slow")
    declared("second-guest", "slow = guest_of_tests:Slow")
    with pytest.raises(
        StackyardError, match=r"several packages \((first|second)-guest, (first|second)-guest\)"
    ):
        installed.named("slow")


def test_an_installation_older_than_the_checkout_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "entry_points", lambda group: ())
    installed._declared.cache_clear()
    try:
        with pytest.raises(StackyardError, match="run `make install`"):
            installed.names()
    finally:
        installed._declared.cache_clear()


def test_a_bare_run_loads_no_client_of_a_server() -> None:
    """The client's libraries take a third of a second, which a matrix without a server does not pay."""
    program = (
        "import sys; from stackyard.launch import installed; installed.named('bare'); installed.names()\n"
        "sys.exit('httpx' in sys.modules or 'stackyard.clearml' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
