"""Derived stacks from definition to removal: resolved once, files shared, the base untouched."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard import stacks
from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from stackyard.machine import hardware
from stackyard.stacks import definition, derived, environment, resolving
from tests.stackyard.fake_stacks import define, wheel
from tests.stackyard.stacks.conftest import Yard

CPU_ONLY = hardware.this_machine(nvidia_smi=None)
Tree = Callable[[Path], dict[str, bytes]]


@pytest.mark.slow
def test_a_file_is_resolved_once_and_found_again_without_pip(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = yard.requirements("top  # the one\n")
    assert derived.foreseen(yard.base, file, yard.settings) is None
    assert not derived.folder_of(yard.settings).exists(), "looking ahead writes nothing"
    first = derived.defined(yard.base, file, yard.settings)
    assert [p.line for p in stacks.packages(first)] == [
        "torch==9.9.0",
        "small==1.0",
        "lacking==2.0",
        "top==2.0",
        "under==1.5",
    ]
    assert (first.base, first.python, first.torch, first.cuda) == (
        yard.base,
        yard.base.python,
        "9.9.0",
        "cpu",
    )
    assert first.digest != yard.base.digest
    assert first.name.startswith(f"{yard.base.name}+")

    monkeypatch.setattr(resolving, "resolve", None)  # it would not get far
    same = yard.requirements("# said otherwise\ntop\n", "other.txt")
    assert derived.foreseen(yard.base, same, yard.settings) == first
    again = derived.defined(yard.base, same, yard.settings, name="mine")
    assert (again.name, again.digest) == ("mine", first.digest)
    assert derived.foreseen(yard.base, yard.requirements("top>=2\n"), yard.settings) is None


@pytest.mark.slow
def test_its_environment_shares_the_bases_files_and_leaves_them_as_they_are(yard: Yard, tree: Tree) -> None:
    # What is on top replaces a tool of the environment, brings a program, and is compiled.
    wheel(yard.wheels, "setuptools", "999.0", {"setuptools/__init__.py": "new = True\n"})
    program = {"prog.py": "def main():\n    import sys\n    print(sys.prefix)\n"}
    path = wheel(yard.wheels, "prog", "1.0", program)
    with_script(path)
    stacks.build(yard.base, yard.settings)  # it was copied here: its programs become its own
    before = tree(yard.base_folder)
    spec = derived.defined(yard.base, yard.requirements("setuptools>=900\ntop\nprog\n"), yard.settings)
    said: list[str] = []
    python = stacks.build(spec, yard.settings, progress=said.append)
    folder = stacks.location(spec, yard.settings)
    assert python == folder / "bin" / "python"
    assert f"sharing the files of {yard.base_folder.name}" in said
    assert tree(yard.base_folder) == before

    site, own = (next(f.glob("lib/python3*/site-packages")) for f in (yard.base_folder, folder))
    assert os.path.samefile(site / "torch/__init__.py", own / "torch/__init__.py")
    assert os.path.samefile(*(next(s.glob("pip/__pycache__/__init__*.pyc")) for s in (site, own)))
    assert (own / "setuptools/__init__.py").read_text() == "new = True\n"
    assert list((own / "__pycache__").glob("top.*.pyc"))
    done = subprocess.run([folder / "bin" / "prog"], capture_output=True, text=True, check=False)
    assert done.stdout == f"{folder}\n", done.stderr

    # Whatever pip does in it later stays in it too.
    subprocess.run([python, "-m", "pip", "uninstall", "-y", "-q", "small"], check=True, capture_output=True)
    assert tree(yard.base_folder) == before
    marker = environment.marker(folder)
    assert marker["shared_by"] == "hard links"
    assert marker["bytes"] > marker["shared_bytes"] > marker["bytes"] / 2


def with_script(path: Path) -> None:
    """Gives a wheel a program ``prog``."""
    import zipfile

    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("prog-1.0.dist-info/entry_points.txt", "[console_scripts]\nprog = prog:main\n")


@pytest.mark.slow
def test_it_is_verified_found_by_digest_and_outlives_its_base(yard: Yard) -> None:
    spec = derived.defined(yard.base, yard.requirements("top\n"), yard.settings, name="one")
    assert "not built; build it" in (stacks.why_not(spec, yard.settings, CPU_ONLY) or "")
    python = stacks.build(spec, yard.settings)
    found = stacks.verify(spec, python)
    assert found.ok, found.mismatches
    assert {"torch", "top", "under"} <= set(found.seen["installed"])
    other = derived.defined(yard.base, yard.requirements("top\n", "two.txt"), yard.settings, name="two")
    assert stacks.python_of(other, yard.settings) == python, "what is called otherwise and asks for the same"
    assert stacks.why_not(spec, yard.settings, CPU_ONLY) is None

    freed = stacks.remove(yard.base_folder, yard.settings)
    assert freed < environment.size_bytes(stacks.location(spec, yard.settings)), "shared files stay"
    assert stacks.verify(spec, python).ok
    assert stacks.python_of(yard.base, yard.settings) is None


@pytest.mark.slow
def test_compiled_code_that_this_torch_does_not_load_never_counts_as_built(yard: Yard) -> None:
    broken = 'raise RuntimeError("operator vision::nms does not exist")\n'
    files = {"vision/__init__.py": broken, "vision/_C.so": ""}
    wheel(yard.wheels, "vision", "1.0", files, requires=("torch",))
    wheel(yard.wheels, "pure", "1.0", {"pure/__init__.py": broken}, requires=("torch",))
    spec = derived.defined(yard.base, yard.requirements("vision\npure\n"), yard.settings)
    said = r"loading vision: expected a build for torch 9\.9\.0\+cpu, found RuntimeError: operator vision::nms does not"
    with pytest.raises(StackyardError, match=said) as caught:
        stacks.build(spec, yard.settings)
    assert "pure" not in str(caught.value), "only compiled code is tried"
    assert not stacks.location(spec, yard.settings).exists()


@pytest.mark.long
@pytest.mark.slow
def test_a_stack_on_a_derived_stack_has_all_of_both(yard: Yard) -> None:
    wheel(yard.wheels, "roof", "1.0", {"roof.py": ""}, requires=("top<3",))
    first = derived.defined(yard.base, yard.requirements("top\n"), yard.settings, name="first")
    first = derived.define(first, "first", yard.settings)
    second = derived.defined(first, yard.requirements("roof\n", "roof.txt"), yard.settings)
    second = derived.define(second, "second", yard.settings)
    assert [p.line for p in stacks.read_lock(second.folder / "requirements.lock")] == ["roof==1.0"]
    loaded = stacks.load()
    assert loaded["second"] == second
    assert loaded["second"].base == loaded["first"] == first
    python = stacks.build(second, yard.settings)
    assert stacks.verify(second, python).ok
    with pytest.raises(BadInputError, match=r"asks for top==1, but base first pins top 2\.0"):
        derived.defined(first, yard.requirements("top==1\n"), yard.settings)


@pytest.mark.slow
def test_one_that_adds_nothing_is_a_stack_all_the_same(yard: Yard) -> None:
    spec = derived.defined(yard.base, yard.requirements("torch\nsmall\n"), yard.settings, name="same")
    assert stacks.packages(spec) == stacks.packages(yard.base)
    assert stacks.verify(spec, stacks.build(spec, yard.settings)).ok


@pytest.mark.slow
def test_interrupted_it_leaves_nothing_half_made(yard: Yard, tree: Tree) -> None:
    file = yard.requirements("top\n")

    def interrupt_at(words: str) -> Callable[[str], None]:
        def say(text: str) -> None:
            if text.startswith(words):
                raise KeyboardInterrupt

        return say

    with pytest.raises(KeyboardInterrupt):
        derived.defined(yard.base, file, yard.settings, progress=interrupt_at("looking"))
    assert derived.foreseen(yard.base, file, yard.settings) is None
    spec = derived.defined(yard.base, file, yard.settings)
    before = tree(yard.base_folder)
    for words in ("sharing", "installing", "checking", "verifying"):
        with pytest.raises(KeyboardInterrupt):
            stacks.build(spec, yard.settings, progress=interrupt_at(words))
        assert not stacks.location(spec, yard.settings).exists(), words
    assert tree(yard.base_folder) == before


def test_a_refused_file_leaves_nothing(yard: Yard) -> None:
    for text in ("torch==1.0\n", "-e .\n", "--index-url https://joe:s3cret@example.org\ntop\n"):
        for ask in (derived.defined, derived.foreseen):
            with pytest.raises(BadInputError):
                ask(yard.base, yard.requirements(text), yard.settings)
    assert not derived.folder_of(yard.settings).exists()


@pytest.mark.slow
def test_what_nobody_has_leaves_no_lock(yard: Yard) -> None:
    shutil.rmtree(yard.wheels)
    yard.wheels.mkdir()
    with pytest.raises(NotRunnableError, match="has no top"):
        derived.defined(yard.base, yard.requirements("top\n"), yard.settings)
    kept = derived.folder_of(yard.settings) / ".resolved"
    assert list(kept.iterdir()) == []


def defined(yard: Yard, name: str = "mine") -> Path:
    """A derived stack that adds nothing, which needs no pip."""
    spec = derived.defined(yard.base, yard.requirements("small\n"), yard.settings)
    return derived.define(spec, name, yard.settings).folder


def test_a_named_one_is_loaded_beside_the_house_and_forgotten(yard: Yard) -> None:
    folder = defined(yard)
    assert (folder / "requirements.txt").read_text() == "small\n"
    loaded = stacks.load()
    assert list(loaded) == [yard.base.name, "mine"]
    assert (loaded["mine"].folder, loaded["mine"].base) == (folder, yard.base)
    assert stacks.unused(loaded, yard.settings) == []
    derived.forget("mine", yard.settings)
    assert list(stacks.load()) == [yard.base.name]
    with pytest.raises(BadInputError, match="no derived stack of this machine"):
        derived.forget("mine", yard.settings)
    with pytest.raises(BadInputError, match="no derived stack of this machine"):
        derived.forget("../stacks.d", yard.settings)


def test_one_without_a_name_is_found_by_what_it_is_called(yard: Yard) -> None:
    spec = derived.defined(yard.base, yard.requirements("small\n"), yard.settings)
    assert derived.without_name(spec.name, yard.settings) == spec
    assert derived.without_name("mine", yard.settings) is None


def test_one_that_others_stand_on_is_not_forgotten_and_none_stands_on_itself(yard: Yard) -> None:
    defined(yard, "first")
    first = stacks.load()["first"]
    spec = derived.defined(first, yard.requirements("lacking\n"), yard.settings)
    derived.define(spec, "second", yard.settings)
    with pytest.raises(BadInputError, match="second is derived from first; forget second first"):
        derived.forget("first", yard.settings)
    third = derived.defined(stacks.load()["second"], yard.requirements("lacking\n"), yard.settings)
    with pytest.raises(BadInputError, match="first would stand on itself: it is below second"):
        derived.define(third, "first", yard.settings)
    assert list(stacks.load()) == [yard.base.name, "first", "second"]


def test_a_home_that_takes_nothing_is_one_sentence(yard: Yard) -> None:
    derived.folder_of(yard.settings).write_text("in the way")
    with pytest.raises(BadInputError, match=r"derived stacks cannot be kept there \(Not a directory\)"):
        derived.defined(yard.base, yard.requirements("small\n"), yard.settings)


def test_who_waits_for_another_build_is_told_of_which(yard: Yard) -> None:
    """A build of the base, or of another list on top of it, holds the base; one of the same list this stack."""
    spec = derived.defined(yard.base, yard.requirements("small\n"), yard.settings, name="mine")
    for held, said in (
        (yard.base_folder, f"another build of {yard.base.name}, or on top of it, is running; waiting for it"),
        (
            stacks.location(spec, yard.settings),
            f"another build of {stacks.location(spec, yard.settings).name} is running; waiting for it",
        ),
    ):

        def stop(line: str, wanted: str = said) -> None:
            if line.startswith("another build"):
                assert line == wanted
                raise KeyboardInterrupt

        with held.with_name(f".{held.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(KeyboardInterrupt):
                stacks.build(spec, yard.settings, progress=stop)
    with yard.base_folder.with_name(f".{yard.base_folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BadInputError, match="or a stack on top of it, is being built just now"):
            stacks.remove(yard.base_folder, yard.settings)


def test_why_its_base_cannot_be_had_is_why_it_cannot(yard: Yard) -> None:
    folder = defined(yard)
    stacks.remove(yard.base_folder, yard.settings)
    spec = stacks.load()["mine"]
    assert stacks.can_be_built(spec, yard.settings)
    refused = yard.base_folder.with_name(yard.base_folder.name + ".refused.json")
    refused.write_text('{"at": "today", "reason": "index unreachable"}')
    assert not stacks.can_be_built(spec, yard.settings)
    said = stacks.why_not(spec, yard.settings, CPU_ONLY)
    assert said == f"its base {yard.base.name}: index unreachable (tried today)"
    assert folder.is_dir()


def test_a_kept_lock_without_hashes_is_not_used(yard: Yard) -> None:
    spec = derived.defined(yard.base, yard.requirements("small\n"), yard.settings)
    (spec.folder / "requirements.lock").write_text("joblib==1.6.0\n")
    for ask in (derived.defined, derived.foreseen):
        with pytest.raises(BadInputError, match=rf"has no hash.*; remove {spec.folder}, and ask again"):
            ask(yard.base, yard.requirements("small\n"), yard.settings)
    shutil.rmtree(spec.folder)
    assert derived.defined(yard.base, yard.requirements("small\n"), yard.settings) == spec


def test_deriving_again_under_the_same_name_replaces_what_was_there(yard: Yard) -> None:
    first = defined(yard)
    spec = derived.defined(yard.base, yard.requirements("lacking\n"), yard.settings)
    assert derived.define(spec, "mine", yard.settings).folder == first
    assert (first / "requirements.txt").read_text() == "lacking\n"
    assert sorted(path.name for path in derived.folder_of(yard.settings).iterdir()) == [".resolved", "mine"]


def test_what_a_killed_command_left_goes_with_the_next(yard: Yard) -> None:
    old, new = (derived.folder_of(yard.settings) / name for name in (".new-old", ".new-now"))
    for left in (old, new):
        left.mkdir(parents=True)
    os.utime(old, (1, 1))
    defined(yard)
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a b", "x" * 61])
def test_a_name_that_cannot_be_one_is_refused(yard: Yard, name: str) -> None:
    spec = derived.defined(yard.base, yard.requirements("small\n"), yard.settings)
    with pytest.raises(BadInputError, match="is no name of a stack"):
        derived.define(spec, name, yard.settings)
    with pytest.raises(BadInputError, match="is a stack of its own already"):
        derived.define(spec, yard.base.name, yard.settings)


def test_one_of_another_version_of_its_base_is_not_used_and_said(yard: Yard) -> None:
    folder = defined(yard)
    define(yard.folder / "definitions", lock="torch==9.9.0\nsmall==2.0\n")
    assert list(stacks.load()) == [yard.base.name]
    said = derived.faults()["mine"]
    assert "mine was derived from another version of torch-2.13.0-cpu" in said
    command = f"stackyard stack derive mine --base torch-2.13.0-cpu --requirements {folder}/requirements.txt"
    assert said.endswith(command)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("stack.toml", ("base = ", "bas = "), "bas is an unknown key"),
        ("stack.toml", ('base = "torch-2.13.0-cpu"', 'base = "gone"'), "gone is not defined here"),
        ("stack.toml", ('base = "torch-2.13.0-cpu"', 'base = "mine"'), "mine is not defined here"),
        ("stack.toml", ('"default"', '"ftp://x"'), "indexes is"),
        (
            "requirements.lock",
            ("# ", "small==1.0\n# "),
            "pins small==1.0, which its base torch-2.13.0-cpu pins already",
        ),
        ("requirements.lock", ("# ", "small>1\n# "), "is not a pin"),
        (
            "requirements.lock",
            ("# ", "joblib==1.6.0\n# "),
            "joblib==1.6.0 has no hash, and whatever is added to a stack has one; derive it again: stackyard stack "
            "derive mine --base torch-2.13.0-cpu --requirements ",
        ),
    ],
)
def test_a_damaged_definition_stops_no_other_and_is_named(
    yard: Yard, file: str, change: tuple[str, str], said: str
) -> None:
    path = defined(yard) / file
    path.write_text(path.read_text().replace(*change))
    assert list(stacks.load()) == [yard.base.name]
    assert said in derived.faults()["mine"]


def test_definitions_of_the_house_alone_are_loaded_where_no_home_has_any(yard: Yard) -> None:
    assert list(stacks.load()) == list(definition.load()) == [yard.base.name]
