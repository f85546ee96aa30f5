"""Derived stacks that replace packages of their base: where they have to, all fitting, the base untouched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackyard import stacks
from stackyard.errors import BadInputError, StackyardError
from stackyard.settings import Settings
from stackyard.stacks import definition, derived, environment, requirements, resolving
from stackyard.stacks.definition import StackSpec
from tests.stackyard.fake_stacks import wheel
from tests.stackyard.stacks.conftest import Yard
from tests.waiting import PATIENCE_SECONDS, until

Tree = Callable[[Path], dict[str, bytes]]


def asked(yard: Yard, text: str) -> requirements.Requirements:
    return requirements.read_text(text, python=yard.base.python)


def program(path: Path, name: str) -> None:
    """Gives the wheel of ``name`` a program of that name."""
    with zipfile.ZipFile(path, "a") as archive:
        entry = f"[console_scripts]\n{name} = {name}:main\n"
        archive.writestr(f"{'-'.join(path.name.split('-')[:2])}.dist-info/entry_points.txt", entry)


def says(text: str) -> dict[str, str]:
    return {"prog.py": f"def main():\n    print({text!r})\n"}


def kept(base: StackSpec, wanted: requirements.Requirements, settings: Settings, **how: Any) -> StackSpec:
    """The stack of a lock that is there: nothing is looked for."""
    said: list[str] = []
    spec = derived.defined(base, wanted, settings, progress=said.append, **how)
    assert said == []
    return spec


@pytest.fixture
def house(yard: Yard) -> StackSpec:
    """A built base with a program and a package that needs an old one: prog 1.0, and roof 1.0 with small<2."""
    program(wheel(yard.wheels, "prog", "1.0", says("old")), "prog")
    wheel(yard.wheels, "roof", "1.0", {"roof.py": "version = 1\n"}, requires=("small<2",))
    base = derived.defined(yard.base, asked(yard, "prog\nroof\n"), yard.settings)
    base = derived.define(base, "house", yard.settings)
    stacks.build(base, yard.settings)
    program(wheel(yard.wheels, "prog", "2.0", says("new")), "prog")
    wheel(yard.wheels, "small", "2.0", {"small.py": "x = 2\n"})
    return base


@pytest.mark.slow
def test_what_is_pinned_otherwise_is_replaced_and_the_base_keeps_every_byte(
    yard: Yard, house: StackSpec, tree: Tree
) -> None:
    wheel(yard.wheels, "roof", "1.1", {"roof.py": "version = 11\n"}, requires=("small>=2",))
    below = stacks.location(house, yard.settings)
    before = {folder: tree(folder) for folder in (below, yard.base_folder)}
    wanted = asked(yard, "prog==2.0\nsmall == 2.0\ntop\n")
    with pytest.raises(BadInputError, match=r"line 1 asks for prog==2\.0, but base house pins prog 1\.0"):
        derived.defined(house, wanted, yard.settings)

    spec = derived.defined(house, wanted, yard.settings, replacing=True)
    assert spec.replaced == {"prog": ("1.0", "2.0"), "roof": ("1.0", "1.1"), "small": ("1.0", "2.0")}
    lines = [package.line for package in stacks.packages(spec)]
    assert lines == [
        "torch==9.9.0",
        "lacking==2.0",
        "prog==2.0",
        "roof==1.1",
        "small==2.0",
        "top==2.0",
        "under==1.5",
    ]
    assert all(package.hashes for package in definition.added(spec))
    assert kept(house, wanted, yard.settings, replacing=True) == spec

    python = stacks.build(spec, yard.settings)
    assert stacks.verify(spec, python).ok
    assert {folder: tree(folder) for folder in before} == before
    new = stacks.location(spec, yard.settings)
    for folder, said in ((below, "old"), (new, "new")):
        done = subprocess.run([folder / "bin" / "prog"], capture_output=True, text=True, check=False)
        assert done.stdout == f"{said}\n", done.stderr
    site, own = (next(folder.glob("lib/python3*/site-packages")) for folder in (below, new))
    assert list((site / "__pycache__").glob("small.*.pyc")), "or there was nothing to be overwritten"
    assert not os.path.samefile(site / "small.py", own / "small.py")
    assert os.path.samefile(site / "lacking.py", own / "lacking.py")
    assert len(list(own.glob("small-*.dist-info"))) == 1
    marker = environment.marker(new)
    assert 0 < marker["shared_bytes"] < marker["bytes"] - (own / "small.py").stat().st_blocks * 512 + 1
    assert stacks.verify(house, below / "bin" / "python").ok


@pytest.mark.slow
def test_where_nothing_fits_both_sides_are_named(yard: Yard, house: StackSpec) -> None:
    with pytest.raises(BadInputError) as caught:
        derived.defined(house, asked(yard, "top\nsmall==2.0\n"), yard.settings, replacing=True)
    assert str(caught.value) == (
        "the task's requirements, line 2 asks for small==2.0, but roof 1.0 of base house needs small<2, and no other "
        "roof that was found fits; ask for another version of small"
    )
    assert [path.name for path in (derived.folder_of(yard.settings) / ".resolved").glob(".*")] == []


@pytest.mark.slow
def test_what_only_pip_can_tell_is_resolved_again_with_the_bases_packages_free(yard: Yard) -> None:
    wheel(yard.wheels, "wants", "1.0", {"wants.py": ""}, requires=("small>=2",))
    wheel(yard.wheels, "small", "2.0", {"small.py": "x = 2\n"})
    wanted = asked(yard, "wants\n")
    with pytest.raises(BadInputError, match=r"wants 1\.0 needs small>=2, but base .* pins small 1\.0"):
        derived.defined(yard.base, wanted, yard.settings)
    said: list[str] = []
    spec = derived.defined(yard.base, wanted, yard.settings, replacing=True, progress=said.append)
    assert spec.replaced == {"small": ("1.0", "2.0")}
    assert f"the pins of {yard.base.name} rule it out; looking for what fits in place of its packages" in said


@pytest.mark.slow
def test_the_lock_is_the_same_as_without_where_nothing_has_to_be_replaced(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = asked(yard, "top\n")
    spec = derived.defined(yard.base, wanted, yard.settings, replacing=True)
    assert spec.replaced == {}
    assert derived.foreseen(yard.base, wanted, yard.settings) == spec
    wheel(yard.wheels, "small", "2.0", {"small.py": "x = 2\n"})
    other = derived.defined(yard.base, asked(yard, "small==2.0\n"), yard.settings, replacing=True)
    assert "\nreplacing = true\n" in (other.folder / "stack.toml").read_text()
    assert "replacing" not in (spec.folder / "stack.toml").read_text()
    with pytest.raises(BadInputError, match="but base"):
        derived.foreseen(yard.base, asked(yard, "small==2.0\n"), yard.settings)
    monkeypatch.setattr(resolving, "resolve", None)
    again = derived.defined(yard.base, asked(yard, "# again\nsmall == 2.0"), yard.settings, replacing=True)
    assert again == other


@pytest.mark.slow
def test_once_replaced_stays_the_answer_until_chosen_anew(yard: Yard) -> None:
    picky = wheel(yard.wheels, "picky", "1.0", {"picky.py": ""}, requires=("small>=2",))
    wheel(yard.wheels, "small", "2.0", {"small.py": "x = 2\n"})
    wanted = asked(yard, "picky\n")
    first = derived.defined(yard.base, wanted, yard.settings, replacing=True)
    picky.unlink()
    wheel(yard.wheels, "picky", "1.1", {"picky.py": ""})
    plain = derived.defined(yard.base, wanted, yard.settings)
    assert plain.digest != first.digest
    assert kept(yard.base, wanted, yard.settings, replacing=True) == first
    anew = derived.defined(yard.base, wanted, yard.settings, replacing=True, anew=True)
    assert anew == plain == kept(yard.base, wanted, yard.settings, replacing=True)


def test_the_core_stays_and_what_is_wanted_and_here_is_named(yard: Yard) -> None:
    for text, said in (
        (
            "small==2.0\ntorch == 2.6.0\n",
            f"the task's requirements, line 2 asks for torch==2.6.0, but base {yard.base.name} pins torch 9.9.0; no "
            "stack here has that torch: whoever runs the agent can define one, or leave the line away",
        ),
        ("torch==9.9.0+cu130", "asks for torch==9.9.0+cu130, but base"),
        (
            "torchvision==0.28.0+cu130",
            f"torchvision==0.28.0+cu130, which is not built for the torch of base {yard.base.name} (9.9.0+cpu)",
        ),
    ):
        with pytest.raises(BadInputError) as caught:
            derived.defined(yard.base, asked(yard, text), yard.settings, replacing=True)
        assert said in str(caught.value)
    assert not derived.folder_of(yard.settings).exists()


@pytest.mark.slow
def test_what_needs_another_torch_is_refused_all_the_same(yard: Yard) -> None:
    wheel(yard.wheels, "vision", "1.0", {"vision.py": ""}, requires=("torch==9.8.0", "small>=2"))
    wheel(yard.wheels, "small", "2.0", {"small.py": "x = 2\n"})
    with pytest.raises(
        BadInputError, match=r"vision 1\.0 needs torch==9\.8\.0, but base .* pins torch 9\.9\.0"
    ):
        derived.defined(yard.base, asked(yard, "vision\n"), yard.settings, replacing=True)


@pytest.mark.slow
def test_compiled_code_of_the_base_that_needs_torch_stays_too(yard: Yard) -> None:
    files = {"knit/__init__.py": "", "knit/_C.so": ""}
    wheel(yard.wheels, "knit", "1.0", files, requires=("torch",))
    base = derived.defined(yard.base, asked(yard, "knit\n"), yard.settings, name="knitted")
    stacks.build(base, yard.settings)
    wheel(yard.wheels, "knit", "2.0", files, requires=("torch",))
    with pytest.raises(BadInputError, match=r"line 1 asks for knit==2\.0, but base knitted pins knit 1\.0"):
        derived.defined(base, asked(yard, "knit==2.0\n"), yard.settings, replacing=True)


@pytest.mark.slow
def test_what_the_caller_adds_never_overrides_the_list(yard: Yard) -> None:
    wheel(yard.wheels, "top", "1.0", {"top.py": ""})
    for text, also, lines in (
        ("", ["top==1.0"], ["top==1.0"]),
        ("top\n", ["top==1.0"], ["top==2.0", "under==1.5"]),
        ("Top==2.0 ; python_version < '3'\n", ["top==1.0"], ["top==1.0"]),
        ("# nothing\n", ["small"], []),
    ):
        spec = derived.defined(yard.base, asked(yard, text), yard.settings, replacing=True, also=also)
        assert [package.line for package in definition.added(spec)] == lines, text
        assert kept(yard.base, asked(yard, text), yard.settings, also=also) == spec
    with pytest.raises(BadInputError, match="the agent: a path or an address"):
        derived.defined(yard.base, asked(yard, "top"), yard.settings, also=["./own"])


@pytest.mark.slow
def test_of_two_at_once_one_resolves_and_the_other_waits(yard: Yard) -> None:
    waits = threading.Event()
    asks: list[str] = []
    found: list[StackSpec] = []

    def one(text: str) -> None:
        if text.startswith("looking for packages in the wheel folder") and ":" not in text:
            asks.append(text)
            assert waits.wait(PATIENCE_SECONDS)

    def other(text: str) -> None:
        if text.startswith("looking"):
            asks.append(text)
        if text.endswith("waiting for it"):
            waits.set()

    def define(say: Callable[[str], None], replacing: bool) -> None:
        found.append(
            derived.defined(yard.base, asked(yard, "top\n"), yard.settings, progress=say, replacing=replacing)
        )

    first = threading.Thread(target=define, args=(one, False))
    first.start()
    until(lambda: bool(asks), "the first to ask pip")
    second = threading.Thread(target=define, args=(other, True))
    second.start()
    for thread in (first, second):
        thread.join()
    assert len(asks) == 1
    assert found[0] == found[1]
    kept = derived.folder_of(yard.settings) / ".resolved"
    assert [path.name for path in kept.iterdir()] == [found[0].folder.name]


_KILLED = """
import pathlib, sys
from stackyard.settings import Settings
from stackyard.settings import Settings
from stackyard.stacks import definition, derived, requirements
home, base = sys.argv[1:]
base = definition.read(pathlib.Path(base))
asked = requirements.read_text("top", python=base.python)
derived.defined(base, asked, Settings(home=pathlib.Path(home)), progress=lambda text: print(text, flush=True))
"""


@pytest.mark.slow
def test_killed_it_leaves_nothing_that_counts(yard: Yard) -> None:
    command = [sys.executable, "-c", _KILLED, str(yard.settings.home), str(yard.base.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert next(line for line in process.stdout if line.startswith("looking"))
        process.send_signal(signal.SIGKILL)
    assert derived.foreseen(yard.base, asked(yard, "top"), yard.settings) is None
    assert list((derived.folder_of(yard.settings) / ".resolved").glob("*/stack.toml")) == []
    spec = derived.defined(yard.base, asked(yard, "top"), yard.settings)
    assert derived.foreseen(yard.base, asked(yard, "top"), yard.settings) == spec


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("stack.toml", ("replacing = true", "replacing = false"), "pins small==2.0, which its base"),
        ("stack.toml", ("replacing = true", 'replacing = "yes"'), "replacing is 'yes'"),
        ("stack.toml", ('base_digest = "', 'base_digest = "0'), "/mine/requirements.txt --replacing"),
        (
            "requirements.lock",
            ("small==", "torch==9.8.0\nsmall=="),
            "pins torch==9.8.0, which its base torch-2.13.0-cpu pins already, and no stack on top replaces that",
        ),
        ("requirements.lock", ("small==2.0 ", "small==2.0 # "), "requirements.txt --replacing"),
    ],
)
def test_a_damaged_definition_is_named(yard: Yard, file: str, change: tuple[str, str], said: str) -> None:
    wheel(yard.wheels, "small", "2.0", {"small.py": "x = 2\n"})
    spec = derived.defined(yard.base, asked(yard, "small==2.0"), yard.settings, replacing=True)
    path = derived.define(spec, "mine", yard.settings).folder / file
    assert stacks.load()["mine"].replaced == {"small": ("1.0", "2.0")}
    path.write_text(path.read_text().replace(*change))
    assert list(stacks.load()) == [yard.base.name]
    assert said in derived.faults()["mine"]


@pytest.mark.long
@pytest.mark.slow
def test_a_stack_on_one_that_replaced_has_the_new_version_once(yard: Yard) -> None:
    wheel(yard.wheels, "small", "2.0", {"small.py": "x = 2\n"})
    below = derived.defined(yard.base, asked(yard, "small==2.0"), yard.settings, replacing=True, name="below")
    above = derived.defined(below, asked(yard, "top\nsmall>=2"), yard.settings, replacing=True)
    assert above.replaced == {}
    assert [p.line for p in stacks.packages(above) if p.name == "small"] == ["small==2.0"]
    assert stacks.verify(above, stacks.build(above, yard.settings)).ok


@pytest.mark.slow
def test_a_version_that_torch_does_not_work_with_never_counts_as_built_and_is_named(yard: Yard) -> None:
    broken = "raise RuntimeError('compiled for another one')\n"
    wheel(
        yard.wheels, "hooked", "1.0", {"hooked/__init__.py": "import small\n", "hooked/_C.so": ""}, ("torch",)
    )
    wheel(yard.wheels, "small", "2.0", {"small.py": broken})
    wanted = asked(yard, "small==2.0\nhooked")
    spec = derived.defined(yard.base, wanted, yard.settings, replacing=True)
    with pytest.raises(StackyardError) as caught:
        stacks.build(spec, yard.settings)
    assert (
        "found RuntimeError: compiled for another one; base torch-2.13.0-cpu works, and here is small 2.0 "
        in str(caught.value)
    )
    assert not stacks.location(spec, yard.settings).exists()


_LOOKED = """
import sys
from stackyard.settings import Settings
from stackyard.stacks import definition, derived, environment, requirements
slow = {"importlib.metadata", "stackyard.stacks.resolving", "stackyard.stacks.installation"}
print(sorted(slow & set(sys.modules)))
"""


def test_what_waits_for_a_known_answer_loads_nothing_that_resolves_or_builds() -> None:
    done = subprocess.run([sys.executable, "-c", _LOOKED], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
