"""Packages come with all they need, and apt installs from the folder. Real apt and packages, a small repository."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.bundle import debian, packages
from stackyard.errors import StackyardError

COPYRIGHT = (
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: Expat\n"
)
SILENT: Callable[[str], None] = lambda text: None  # noqa: E731

if shutil.which("dpkg-deb") is None or shutil.which("apt-get") is None:
    pytest.skip("no apt on this machine", allow_module_level=True)


def package(folder: Path, name: str, depends: str = "", copyright: str = "") -> None:
    """A package of the repository at ``folder`` that holds its copyright file, if any."""
    root = folder / f"{name}.root"
    (root / "DEBIAN").mkdir(parents=True)
    fields = f"Package: {name}\nVersion: 1:2.0-1\nArchitecture: all\nMaintainer: A <a@b.example>\nDescription: small\n"
    (root / "DEBIAN" / "control").write_text(fields + (f"Depends: {depends}\n" if depends else ""))
    if copyright:
        (root / "usr" / "share" / "doc" / name).mkdir(parents=True)
        (root / "usr" / "share" / "doc" / name / "copyright").write_text(copyright)
    subprocess.run(
        [
            "dpkg-deb",
            "--root-owner-group",
            "-Zgzip",
            "--build",
            str(root),
            str(folder / f"{name}_2.0-1_all.deb"),
        ],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(root)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for Debian: two packages, one of which needs the other; a third that nobody wants."""
    folder = tmp_path / "repository"
    folder.mkdir()
    package(folder, "sy-engine", depends="sy-library (>= 1:1.0)", copyright=COPYRIGHT)
    package(folder, "sy-library", copyright="Do what you like.\n")
    package(folder, "sy-other")
    debian._index(folder, "bookworm")
    monkeypatch.setattr(debian, "_sources", lambda suite: f"deb [trusted=yes] copy:{folder} ./\n")
    monkeypatch.setattr(packages, "of_debian", lambda suite: ("sy-engine",))
    return folder


def test_a_package_comes_with_what_it_needs_and_its_licence(tmp_path: Path, repository: Path) -> None:
    debian.fill(tmp_path / "out", "bookworm", (), io.StringIO(), SILENT)
    told = {debian.describe(tmp_path / "out", path.name) for path in (tmp_path / "out").glob("*.deb")}
    assert told == {
        ("sy-engine", "1:2.0-1", "Expat"),
        ("sy-library", "1:2.0-1", "see /usr/share/doc/sy-library/copyright"),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "repository"]


def test_apt_takes_packages_from_the_folder_without_a_word(tmp_path: Path, repository: Path) -> None:
    debian.fill(tmp_path / "out", "bookworm", ("sy-other",), io.StringIO(), SILENT)
    root = tmp_path / "host"
    for name in ("state/lists/partial", "cache/archives/partial", "etc"):
        (root / name).mkdir(parents=True)
    (root / "status").touch()
    (root / "etc" / "sources.list").write_text(f"deb [trusted=yes] file:{tmp_path / 'out'} ./\n")
    options = debian._options(root)
    updated = subprocess.run(
        ["apt-get", *options, "--quiet=2", "update"], capture_output=True, text=True, check=True
    )
    assert updated.stderr == ""
    asked = ["apt-get", *options, "--simulate", "install", "sy-engine", "sy-other"]
    simulated = subprocess.run(asked, capture_output=True, text=True, check=True)
    installed = [line.split()[1] for line in simulated.stdout.splitlines() if line.startswith("Inst ")]
    assert sorted(installed) == ["sy-engine", "sy-library", "sy-other"]


def test_the_same_packages_make_the_same_index(tmp_path: Path, repository: Path) -> None:
    for name in ("one", "two"):
        debian.fill(tmp_path / name, "bookworm", (), io.StringIO(), SILENT)
    for name in ("Packages", "Packages.gz", "Release"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_package_that_nobody_has_is_said_in_apts_words(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(StackyardError, match=r"bookworm: apt-get .*sy-missing"):
        debian.fill(tmp_path / "out", "bookworm", ("sy-missing",), io.StringIO(), SILENT)
