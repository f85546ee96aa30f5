"""What a file of requirements adds to a base, asked of real pip without network: pins that stand, and why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.stacks import environment, process, requirements, resolving, wanted
from stackyard.stacks.definition import LockedPackage
from tests.stackyard.fake_stacks import Index, sha256, wheel
from tests.stackyard.stacks.conftest import Yard


def resolve(yard: Yard, text: str, wheels: Path | None = None) -> list[LockedPackage]:
    asked = requirements.read(yard.requirements(text), yard.base.python)
    python = environment.python_of(yard.base, yard.settings)
    assert python is not None
    return list(resolving.resolve(yard.base, python, asked, wheels, yard.folder / "pip.log").packages)


@pytest.mark.slow
def test_what_is_missing_is_pinned_with_hashes_and_what_is_there_adds_nothing(yard: Yard) -> None:
    added = resolve(yard, "top\nsmall>=0.5\ntorch==9.9.0\ntorch==9.9.0+cpu\n", yard.wheels)
    assert [package.line for package in added] == ["top==2.0", "under==1.5"]
    assert added[0].hashes == (f"sha256:{sha256(yard.wheels / 'top-2.0-py3-none-any.whl')}",)


def test_what_the_base_has_needs_no_pip(yard: Yard) -> None:
    assert resolve(yard, "torch\nsmall<2\nlacking ; python_version > '3.0'\n") == []
    assert not (yard.folder / "pip.log").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "top\ntorch==2.6.0\n",
            "requirements.txt line 2 asks for torch==2.6.0, but base torch-2.13.0-cpu pins torch 9.9.0; no stack "
            "here has that torch: define one, or leave the line away",
        ),
        ("torch==9.9.0+cu130\n", "asks for torch==9.9.0+cu130, but base"),
        ("small>1,<3\n", "asks for small<3,>1, but base torch-2.13.0-cpu pins small 1.0"),
    ],
)
def test_another_version_of_what_the_base_pins_is_refused_with_both(yard: Yard, text: str, said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        resolve(yard, text)
    assert said in str(caught.value)


@pytest.mark.slow
def test_an_old_pip_that_only_pip_finds_is_refused_too(yard: Yard) -> None:
    wheel(yard.wheels, "pip", "20.0", {"pip/__init__.py": ""})
    with pytest.raises(BadInputError, match=r"gets pip==20\.0, but an environment"):
        resolve(yard, "pip~=20.0\n", yard.wheels)


def test_a_line_that_does_not_hold_here_asks_for_nothing(yard: Yard) -> None:
    assert resolve(yard, "small\ntorch==1.0 ; sys_platform == 'win32'\n") == []


def test_a_constraint_binds_as_a_requirement_does(yard: Yard) -> None:
    yard.requirements("small<1\n", "pins.txt")
    with pytest.raises(BadInputError, match=r"pins\.txt line 1 asks for small<1, but base"):
        resolve(yard, "top\n-c pins.txt\n")


@pytest.mark.slow
def test_a_package_that_needs_another_version_of_a_pin_is_named_with_both(yard: Yard) -> None:
    wheel(yard.wheels, "wants", "1.0", {"wants.py": ""}, requires=("small<1",))
    with pytest.raises(BadInputError) as caught:
        resolve(yard, "wants\n", yard.wheels)
    assert "requirements.txt: wants 1.0 needs small<1, but base torch-2.13.0-cpu pins small 1.0" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_two_that_exclude_each_other_are_both_named(yard: Yard) -> None:
    wheel(yard.wheels, "odd", "1.0", {"odd.py": ""}, requires=("under<1",))
    with pytest.raises(BadInputError, match="nothing satisfies all of: ") as caught:
        resolve(yard, "top\nodd\n", yard.wheels)
    assert "odd 1.0 needs under<1" in str(caught.value)
    assert "top 2.0 needs under>=1" in str(caught.value)


@pytest.mark.slow
def test_without_index_what_the_wheel_folder_lacks_is_named(yard: Yard) -> None:
    (yard.wheels / "under-1.5-py3-none-any.whl").unlink()
    with pytest.raises(NotRunnableError) as caught:
        resolve(yard, "top\n", yard.wheels)
    said = str(caught.value)
    assert f"the wheel folder {yard.wheels} has no under>=1 for Python {yard.base.python}" in said
    assert "index unreachable (connection refused)" in said
    assert said.endswith("put a wheel of it into the folder")
    with pytest.raises(NotRunnableError, match="index unreachable"):
        resolve(yard, "top\n")


@pytest.mark.slow
def test_an_index_is_asked_for_what_the_folder_lacks_and_hashes_of_the_file_hold(
    yard: Yard, serve: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = yard.folder / "served"
    far = wheel(served, "far", "3.0", {"far.py": ""}, requires=("under",))
    index = serve(served)
    monkeypatch.setenv("PIP_INDEX_URL", index.address)
    added = resolve(yard, f"far --hash=sha256:{sha256(far)}\n", yard.wheels)
    assert [package.line for package in added] == ["far==3.0", "under==1.5"]
    with pytest.raises(
        BadInputError, match=r"line 1: the file found of far==3\.0 is none of those whose hashes"
    ):
        resolve(yard, f"far --hash=sha256:{'0' * 64}\n", yard.wheels)
    with pytest.raises(
        BadInputError, match=r"no file of far==9 was found that fits Python .*; there are 3\.0"
    ):
        resolve(yard, "far==9\n")


@pytest.mark.slow
def test_an_address_in_the_file_is_asked_too(yard: Yard, serve: Callable[..., Index]) -> None:
    served = yard.folder / "served"
    wheel(served, "far", "3.0", {"far.py": ""})
    index = serve(served)
    added = resolve(yard, f"--index-url {index.address}\nfar\n")
    assert [package.line for package in added] == ["far==3.0"]


@pytest.mark.slow
def test_what_pip_cannot_do_otherwise_names_its_log(yard: Yard) -> None:
    (yard.wheels / "top-2.0-py3-none-any.whl").write_bytes(b"no wheel")
    with pytest.raises(StackyardError, match="whole output: ") as caught:
        resolve(yard, "top\n", yard.wheels)
    assert (yard.folder / "pip.log").is_file()
    assert str(yard.folder / "pip.log") in str(caught.value)


@pytest.mark.slow
def test_a_search_that_finds_no_end_is_ended(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "MOST_SECONDS", -1)
    monkeypatch.setattr(process, "TICK_SECONDS", 0.01)
    with pytest.raises(StackyardError, match="no versions that fit each other were found within"):
        resolve(yard, "top\n")


def test_markers_are_evaluated_for_the_stacks_python_not_ours() -> None:
    assert wanted.marker_environment("3.9")["python_version"] == "3.9"
    assert wanted.marker_environment("3.9")["sys_platform"] == "linux"


@pytest.mark.slow
def test_what_is_built_with_torch_comes_as_the_same_build_or_not_at_all(
    yard: Yard, serve: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    common, torchs = yard.folder / "common", yard.folder / "torchs"
    wheel(common, "torchvision", "1.0", {"torchvision/__init__.py": ""}, requires=("torch==9.9.0",))
    wheel(common, "nets", "1.0", {"nets.py": ""}, requires=("torchvision",))
    monkeypatch.setenv("PIP_INDEX_URL", serve(common).address)
    with pytest.raises(BadInputError) as caught:
        resolve(yard, "nets\n")
    assert (
        "torchvision==1.0 that was found is not built for the torch of base torch-2.13.0-cpu (9.9.0+cpu); give a wheel"
        in str(caught.value)
    )
    index = serve(torchs)
    yard.base = replace(yard.base, indexes=("wheels", index.address))
    wheel(torchs, "torchvision", "1.0+cpu", {"torchvision/__init__.py": ""}, requires=("torch==9.9.0",))
    asked = requirements.read(yard.requirements("nets\n"), yard.base.python)
    python = environment.python_of(yard.base, yard.settings)
    assert python is not None
    found = resolving.resolve(yard.base, python, asked, None, yard.folder / "pip.log")
    assert [package.line for package in found.packages] == ["nets==1.0", "torchvision==1.0+cpu"]
    assert found.indexes == ("default", index.address)
