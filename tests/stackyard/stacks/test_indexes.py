"""Where torch comes from and which build it is, told before it is downloaded. Indexes are on loopback."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.errors import NotRunnableError
from stackyard.stacks import indexes
from stackyard.stacks.definition import StackSpec
from tests.stackyard.fake_stacks import Index, alone, define, sha256, torch_wheel

PYTHON = Path(sys.executable)
CUDA_12_4 = ("filelock", "nvidia-cuda-runtime-cu12 (==12.4.127) ; platform_system == 'Linux'")
LARGE = 3_000_000

Serve = Callable[..., Index]


@pytest.fixture(autouse=True)
def _pip_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)


def source(stack: StackSpec, wheels: Path | None = None, passed: list[str] | None = None) -> indexes.Source:
    return indexes.choose(stack, PYTHON, wheels, (passed if passed is not None else []).append)


@pytest.mark.parametrize(
    ("version", "requires", "build"),
    [
        ("2.13.0+cpu", (), "cpu"),
        ("2.6.0+cu118", None, "11.8"),
        ("1.10.2+cu102", (), "10.2"),
        ("2.9.0+cu130", None, "13.0"),
        ("2.6.0+rocm6.2", (), "rocm6"),
        ("2.6.0", CUDA_12_4, "12.4"),
        ("2.13.0", ("cuda-toolkit[cudart,nvrtc]==13.0.2; platform_system == 'Linux'",), "13.0"),
        ("2.12.0", ("nvidia-cuda-runtime==13.0.48",), "13.0"),
        ("2.6.0", ("nvidia-cublas-cu12>=12",), "12"),
        ("1.10.2", ("typing-extensions",), "10.2"),
        ("2.6.0", ("filelock",), "cpu"),
        ("2.6.0", ("nvidia-cublas-cu12; extra == 'gpu'",), "cpu"),
        ("2.6.0", None, None),
    ],
)
def test_build_is_told_from_tag_requirements_or_age(
    version: str, requires: tuple[str, ...] | None, build: str | None
) -> None:
    assert indexes.build_of(version, f"torch-{version}-cp311-cp311-manylinux1_x86_64.whl", requires) == build


@pytest.mark.parametrize("metadata", [True, False], ids=["metadata file", "range requests"])
def test_a_cuda_build_where_cpu_is_asked_is_refused_before_it_is_downloaded(
    tmp_path: Path, serve: Serve, metadata: bool
) -> None:
    torch_wheel(tmp_path / "served", "9.9.0", requires=CUDA_12_4, padding=LARGE)
    index = serve(tmp_path / "served", metadata=metadata)
    stack = define(tmp_path, indexes=(index.address,))
    with pytest.raises(NotRunnableError) as caught:
        source(stack)
    assert "CUDA 12.4 build" in str(caught.value)
    assert "CPU is wanted" in str(caught.value)
    assert sum(sent for path, sent in index.sent_bytes.items() if path.endswith(".whl")) < LARGE / 10


def test_a_cpu_build_where_cuda_is_asked_is_refused(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch_wheel(tmp_path / "served", "9.9.0+cpu")
    monkeypatch.setenv("PIP_INDEX_URL", serve(tmp_path / "served").address)
    stack = define(tmp_path, cuda="12.4", indexes=("default",))
    with pytest.raises(NotRunnableError, match=r"CPU build.*CUDA 12\.4 is wanted"):
        source(stack)


@pytest.mark.slow
def test_the_first_source_that_holds_the_build_is_taken_and_the_others_are_explained(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch_wheel(tmp_path / "cuda", "9.9.0", requires=CUDA_12_4)
    torch_wheel(tmp_path / "cpu", "9.9.0+cpu")
    monkeypatch.setenv("PIP_INDEX_URL", serve(tmp_path / "cuda").address)
    address = serve(tmp_path / "cpu").address
    stack = define(tmp_path, indexes=("wheels", "http://127.0.0.1:9/simple", "default", address))
    passed: list[str] = []
    found = source(stack, None, passed)
    assert (found.index, found.version, found.build) == (address, "9.9.0+cpu", "cpu")
    assert [line.partition(": ")[2] for line in passed] == [
        "http://127.0.0.1:9/simple: index unreachable (connection refused)",
        next(line for line in passed if "CUDA 12.4" in line).partition(": ")[2],
    ]


def test_a_local_wheel_folder_comes_first_and_no_index_is_asked(tmp_path: Path, serve: Serve) -> None:
    torch_wheel(tmp_path / "wheels")
    index = serve(tmp_path / "wheels")
    found = source(define(tmp_path, indexes=("wheels", index.address)), tmp_path / "wheels")
    assert found.folder == tmp_path / "wheels"
    assert index.asked == []


def test_an_index_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "ANSWER_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, says nothing
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        with pytest.raises(NotRunnableError, match="no answer within 1 s"):
            source(define(tmp_path, indexes=(address,)))


@pytest.mark.slow
def test_an_index_without_metadata_and_ranges_is_not_trusted_unless_the_lock_knows_the_file(
    tmp_path: Path, serve: Serve
) -> None:
    file = torch_wheel(tmp_path / "served", "9.9.0", requires=CUDA_12_4, padding=LARGE)
    index = serve(tmp_path / "served", metadata=False, ranges=False)
    stack = define(tmp_path / "a", cuda="12.4", indexes=(index.address,))
    with pytest.raises(NotRunnableError, match="cannot be told"):
        source(stack)
    lock = f"torch==9.9.0 --hash=sha256:{sha256(file)}\n"
    known = define(tmp_path / "b", cuda="12.4", indexes=(index.address,), lock=lock)
    assert source(known).build == "12.4"


def test_a_file_with_another_hash_than_the_lock_is_refused(tmp_path: Path, serve: Serve) -> None:
    torch_wheel(tmp_path / "served")
    lock = "torch==9.9.0 --hash=sha256:" + "0" * 64 + "\n"
    stack = define(tmp_path, indexes=(serve(tmp_path / "served").address,), lock=lock)
    with pytest.raises(NotRunnableError, match="not the file of the lock"):
        source(stack)


def test_a_version_that_is_not_there_is_said_to_be_absent(tmp_path: Path, serve: Serve) -> None:
    torch_wheel(tmp_path / "served", "9.8.0+cpu")
    stack = define(tmp_path, indexes=(serve(tmp_path / "served").address,))
    with pytest.raises(NotRunnableError, match=r"holds no torch 9\.9\.0 .* only 1 other"):
        source(stack)


def test_an_index_that_does_not_know_torch_holds_none(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "served").mkdir()
    index = serve(tmp_path / "served")
    with pytest.raises(NotRunnableError, match=r"holds no torch 9\.9\.0 for Python"):
        source(define(tmp_path, indexes=(f"{index.address}/elsewhere",)))
    assert index.asked, "it answered 404"


def test_an_index_that_cannot_be_reached_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    # pip's complaint holds addresses, in memory too, in which any digits may stand
    stack = define(tmp_path, indexes=("http://127.0.0.1:9/404/simple",))
    with pytest.raises(NotRunnableError, match=r"index unreachable \(connection refused\)"):
        source(stack)


def test_passwords_in_addresses_are_not_shown(tmp_path: Path) -> None:
    stack = define(tmp_path, indexes=("http://me:secret@127.0.0.1:9/simple",))
    with pytest.raises(NotRunnableError) as caught:
        source(stack)
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:9" in str(caught.value)
