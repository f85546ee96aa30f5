"""Definitions of stacks: what they promise, what decides the digest, what is refused and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard import stacks
from stackyard.errors import BadInputError
from stackyard.stacks import definition
from tests.stackyard.fake_stacks import define, define_plain

HASH = "--hash=sha256:" + "0" * 64


def test_the_stacks_of_the_house_load_and_the_default_comes_first() -> None:
    defined = definition.load()
    assert next(iter(defined)) == stacks.DEFAULT == "torch-2.13.0-cpu"
    promised: dict[str, tuple[str, str | None, str | None]] = {
        name: (s.python, s.torch, s.cuda) for name, s in defined.items()
    }
    promised[stacks.DEFAULT] = ("3.11", *promised[stacks.DEFAULT][1:])  # or the newer one that runs this
    assert promised.items() >= {
        ("torch-2.13.0-cpu", ("3.11", "2.13.0", "cpu")),
        ("torch-1.10.2-cu102", ("3.9", "1.10.2", "10.2")),
        ("torch-2.6.0-cu124", ("3.11", "2.6.0", "12.4")),
        ("torch-2.6.0-cu118", ("3.11", "2.6.0", "11.8")),
        ("sklearn-1.9.1-cpu", (promised["sklearn-1.9.1-cpu"][0], None, None)),
    }
    assert defined["torch-1.10.2-cu102"].capability_range == (3.7, 7.5)


@pytest.mark.parametrize("name", list(definition.load()))
def test_every_lock_of_the_house_pins_with_hashes_all_but_a_torch_of_several_sources(name: str) -> None:
    stack = definition.load()[name]
    packages = {p.name: p for p in stacks.read_lock(stack.folder / "requirements.lock")}
    needed = {"torch", "safetensors", "drain3", "orjson"} if stack.torch else {"scikit-learn", "pandas"}
    assert needed | {"numpy", "nvidia-ml-py"} <= set(packages)
    assert "pytest" not in packages
    assert [p.name for p in packages.values() if not p.hashes] in ([], ["torch"])
    assert (stack.folder / "Dockerfile").is_file()


def test_a_stack_that_allows_several_pythons_takes_the_one_that_runs_us(tmp_path: Path) -> None:
    define(tmp_path, name="mine")
    path = tmp_path / "mine" / "stack.toml"
    path.write_text('python = ["3.11", "3.13"]\n' + "\n".join(path.read_text().splitlines()[1:]))
    taken = {running: definition.read(tmp_path / "mine", running) for running in ("3.11", "3.13", "3.14")}
    assert [stack.python for stack in taken.values()] == ["3.11", "3.13", "3.11"]
    assert taken["3.11"].digest != taken["3.13"].digest


def test_no_allocator_tunables_where_they_bring_nothing() -> None:
    defined = stacks.load()
    assert defined["torch-2.13.0-cpu"].tunables["MALLOC_TOP_PAD_"] == str(64 * 2**20)
    assert not [name for name in defined["torch-1.10.2-cu102"].tunables if name.startswith("MALLOC")]


def test_the_pin_is_what_the_task_will_check(tmp_path: Path) -> None:
    stack = define(tmp_path, cuda="10.2")
    pin = stack.pin
    assert (pin.name, pin.torch, pin.cuda, pin.digest) == (stack.name, "9.9.0", "10.2", stack.digest)


def test_digest_ignores_comments_order_tunables_and_sources(tmp_path: Path) -> None:
    plain = define(tmp_path / "a", lock=f"torch==9.9.0\nsmall==1.0 {HASH}\n")
    other = define(
        tmp_path / "b",
        lock=f"# why\nsmall==1.0 \\\n    {HASH}\ntorch==9.9.0  # said twice\n",
        indexes=("default", "wheels"),
        more='[tunables]\nOMP_WAIT_POLICY = "PASSIVE"\n',
    )
    assert plain.digest == other.digest


@pytest.mark.parametrize(
    ("lock", "cuda"),
    [
        ("torch==9.9.0\nsmall==1.1\n", "cpu"),
        ("torch==9.9.0\n", "cpu"),
        (f"torch==9.9.0\nsmall==1.0 {HASH}\n", "cpu"),
        ("torch==9.9.0\nsmall==1.0\n", "10.2"),
    ],
)
def test_digest_changes_with_what_decides_the_environment(tmp_path: Path, lock: str, cuda: str) -> None:
    assert define(tmp_path / "a").digest != define(tmp_path / "b", lock=lock, cuda=cuda).digest


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('python = "2.7"', ["python is '2.7', expected a version"]),
        ('torch = "9.9.0+cpu"', ["torch is '9.9.0+cpu', expected", "without a local tag"]),
        ('cuda = "new"', ["cuda is 'new', expected \"cpu\""]),
        ('indexes = ["somewhere"]', ["indexes is ['somewhere'], expected a list"]),
        ("capability = [3.7, 7.5]", ["capability is [3.7, 7.5], expected no such key for a CPU build"]),
        ("installed_bytes = -1", ["installed_bytes is -1, expected a whole number"]),
        ('pyton = "3.9"', ["pyton is an unknown key", "did you mean 'python'?"]),
        ("[tunables]\nA = 1.5", ["tunables.A is 1.5, expected a text or whole number"]),
        (
            '[environment]\nCUDA_VISIBLE_DEVICES = "1"',
            ["environment.CUDA_VISIBLE_DEVICES is '1', expected nothing: `gpus`"],
        ),
        ("[tunables]\nSTACKYARD_SLOT = 1", ["tunables.STACKYARD_SLOT is 1, expected nothing: the harness"]),
        (
            '[environment]\nPYTHONPATH = "lib"',
            ["environment.PYTHONPATH holds 'lib', expected absolute folders"],
        ),
        ("= 3", ["not TOML"]),
    ],
)
def test_a_bad_key_is_named_with_its_file_and_value(tmp_path: Path, line: str, said: list[str]) -> None:
    define(tmp_path, name="mine")
    path = tmp_path / "mine" / "stack.toml"
    key = line.partition(" ")[0]
    kept = [old for old in path.read_text().splitlines() if old.partition(" ")[0] != key]
    path.write_text("\n".join([*kept, line]) + "\n")
    with pytest.raises(BadInputError) as caught:
        stacks.load(tmp_path)
    for text in [str(path), *said]:
        assert text in str(caught.value)


def test_a_stack_needs_no_torch_and_then_has_nothing_that_is_torchs(tmp_path: Path) -> None:
    stack = definition.read(define_plain(tmp_path))
    assert (stack.torch, stack.cuda, stack.capability_range, stack.base) == (None, None, None, None)
    assert (stack.pin.torch, stack.pin.cuda) == (None, None)
    for line, said in {
        'cuda = "cpu"': "cuda is 'cpu', expected no such key without torch",
        'indexes = ["wheels"]': "indexes is ['wheels'], expected no such key without torch",
        "capability = [3.7, 7.5]": "capability is [3.7, 7.5], expected no such key for a stack without torch",
    }.items():
        with pytest.raises(BadInputError) as caught:
            definition.read(define_plain(tmp_path, more=line + "\n"))
        assert said in str(caught.value)
    with pytest.raises(BadInputError, match=r"pins torch==9\.9\.0, but stack\.toml has no torch"):
        definition.read(define_plain(tmp_path, lock="torch==9.9.0\n"))


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        ("torch>=9.9.0\n", "torch>=9.9.0"),
        ("torch==9.9.0\ntorch==9.9.0\n", "pinned twice"),
        ("# nothing\n", "pins no package"),
        ("torch==9.8.0\n", "9.9.0"),
        ("small==1.0\n", "no torch"),
        ("torch==9.9.0 --hash=md5:1\n", "sha256"),
    ],
)
def test_a_lock_that_does_not_pin_is_refused(tmp_path: Path, lock: str, said: str) -> None:
    with pytest.raises(BadInputError, match=r"requirements\.lock") as caught:
        define(tmp_path, lock=lock)
    assert said in str(caught.value)


def test_missing_folders_and_files_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="STACKYARD_STACKS"):
        stacks.load(tmp_path / "nowhere")
    define(tmp_path, name="mine")
    (tmp_path / "mine" / "requirements.lock").unlink()
    with pytest.raises(BadInputError, match=r"requirements\.lock"):
        definition.read(tmp_path / "mine")
