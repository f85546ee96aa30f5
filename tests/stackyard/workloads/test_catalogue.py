"""What can be run: the packages' workloads, a folder's own, and the code that travels for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stackyard import workloads
from stackyard.errors import BadInputError
from stackyard.settings import base
from stackyard.workloads import own
from tests.stackyard import own_commands
from tests.stackyard.guest_package import install

DECLARED = """
[count]
entry = "counting:count"
help = "count"

[count.parameters]
to = { kind = "integer", default = 3, help = "how far" }
"""


def test_every_entry_that_an_installed_package_declares_is_there_and_can_be_called() -> None:
    found = workloads.load()
    assert {"detector-train", "detector-infer", "simulate-firewall"} <= set(found.declared)
    for workload in found.declared.values():
        assert own.found(workload.entry, Path("/nowhere"), found.packages).entry == workload.entry
        assert found.why_not(workload.name) is None
        assert found.sources([workload.name]) == []


def test_a_folder_declares_workloads_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "workloads.toml").write_text(DECLARED)
    (tmp_path / "counting.py").write_text("def count(parameters, channel, output_folder): pass\n")
    found = workloads.load(tmp_path)
    assert found.declared["count"].parameters[0].default == 3
    assert found.sources(["count", "detector-train"]) == [tmp_path / "counting.py"]
    (tmp_path / "counting.py").unlink()
    assert "there is no module 'counting'" in (found.why_not("count") or "")


def test_a_name_is_declared_once(tmp_path: Path) -> None:
    (tmp_path / "workloads.toml").write_text(DECLARED.replace("[count", "[detector-train"))
    with pytest.raises(
        BadInputError, match="'detector-train' is declared already, by package 'stackyard_detector'"
    ):
        workloads.load(tmp_path)


def test_a_command_brings_a_folder_and_no_module_and_a_packages_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_commands.written(tmp_path / "mine")
    (tmp_path / "mine" / "workloads.toml").write_text(own_commands.DECLARED)
    found = workloads.load(tmp_path / "mine")
    assert found.why_not("train") is None
    assert found.sources(["train"]) == []
    command = found.declared["train"].command
    assert command is not None
    assert command.code == "code"
    (tmp_path / "mine" / "code").rename(tmp_path / "mine" / "moved")
    assert "its code is 'code': there is no folder" in (found.why_not("train") or "")
    package = install(tmp_path / "site", monkeypatch, "guest_of_commands", own_commands.DECLARED)
    own_commands.written(package)
    there = workloads.load()
    assert there.why_not("train") is None
    theirs = there.declared["train"].command
    assert theirs is not None
    assert theirs.code == str(package / "code")
    assert theirs.inputs == {"data": str(package / "data.txt")}


def test_two_modules_of_one_name_cannot_travel_together(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "work.py").write_text("def main(parameters, channel, output_folder): pass\n")
    found = workloads.load(tmp_path)
    with pytest.raises(BadInputError, match="would travel under one name"):
        found.sources(["a/work.py:main", "b/work.py:main"])
    assert found.sources(["a/work.py:main", "b/../a/work.py:main"]) == [tmp_path / "a" / "work.py"]
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "__init__.py").write_text("def main(parameters, channel, output_folder): pass\n")
    with pytest.raises(BadInputError, match="would travel under one name"):
        found.sources(["a/work.py:main", "work:main"])


def test_from_a_packages_own_folder_its_workloads_are_declared_once() -> None:
    package = workloads.load().packages[-1]
    assert workloads.load(package).declared == workloads.load().declared


def test_a_snapshot_that_was_changed_is_not_taken_for_the_code_it_names(tmp_path: Path) -> None:
    folder, code = workloads.load().taken(tmp_path)
    (folder / "stackyard_task" / "child.py").write_text("changed")
    again, same = workloads.load().taken(tmp_path)
    assert (again, same.digest) == (folder, code.digest)
    assert (again / "stackyard_task" / "child.py").read_text() != "changed"
    (folder / "work.so").write_bytes(b"")
    again, same = workloads.load().taken(tmp_path)
    assert (again, same.digest) == (folder, code.digest)
    assert not (again / "work.so").exists()


def test_a_snapshot_holds_the_packages_and_what_is_asked_for_and_names_both(tmp_path: Path) -> None:
    script = base() / "examples" / "own-function"
    found = workloads.load(script)
    plain, code = found.taken(tmp_path, ["detector-train"])
    assert code.own_digest is None
    folder, both = found.taken(tmp_path, ["work.py:main"])
    assert sorted(p.name for p in folder.iterdir()) == [
        "darts.py",
        "stackyard_detector",
        "stackyard_tabular",
        "stackyard_task",
        "work.py",
    ]
    assert both.own_digest
    assert both.digest != code.digest
    assert (folder / "darts.py").read_bytes() == (script / "darts.py").read_bytes()
    assert not (plain / "work.py").exists()


def test_looking_for_workloads_imports_none_of_their_packages() -> None:
    program = (
        "import sys; from stackyard import workloads; workloads.load();"
        "assert not [m for m in sys.modules if m.startswith(('stackyard_detector', 'stackyard_tabular'))], sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_entry_of_a_declaration_is_looked_for_like_a_function_of_ones_own(tmp_path: Path) -> None:
    package = tmp_path / "mypkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "job.py").write_text("def main(parameters, channel, output_folder): pass\n")
    refused = {
        "mypkg.jobb:main": "there is no module 'mypkg.jobb'",
        "mypkg.job:mainn": "defines no function 'mainn'",
        "nowhere:main": "there is no module 'nowhere'",
        "stackyard_detector.detector:none": "defines no function 'none'",
        "stackyard_detector.nothing:main": "there is no module 'stackyard_detector.nothing'",
    }
    for entry, words in refused.items():
        (tmp_path / "workloads.toml").write_text(f'[count]\nentry = "{entry}"\nhelp = "count"\n')
        reason = workloads.load(tmp_path).why_not("count") or ""
        assert reason.startswith(f"its entry is {entry!r}: ")
        assert words in reason
    (tmp_path / "workloads.toml").write_text('[count]\nentry = "mypkg.job:main"\nhelp = "count"\n')
    assert workloads.load(tmp_path).why_not("count") is None


def test_a_broken_package_stands_in_nobodys_way_and_is_named_where_a_name_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", monkeypatch, "guest_a", "[broken\n")
    own_folder = tmp_path / "own"
    own_folder.mkdir()
    (own_folder / "work.py").write_text("def main(parameters, channel, output_folder): pass\n")
    found = workloads.load(own_folder)
    assert found.why_not("work.py:main") is None
    assert found.why_not("detector-train") is None
    assert "(and package 'guest_a' cannot be used: " in (found.why_not("guest-work") or "")
    assert tmp_path / "site" / "guest_a" not in found.packages
