"""The child's own decisions: which workload, and whether the stack is the one that was pinned."""

from __future__ import annotations

import errno
import platform
import sys
import types
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from stackyard_task import child
from stackyard_task.channel import BadInput
from stackyard_task.records import TASK_FILE, StackPin, TaskSpec, write_json
from stackyard_task.workloads import Parameter, ParameterError, Workload


def fake_torch(version: str, cuda: Any = None, product: float = 12.0) -> types.ModuleType:
    """A module that passes for torch as far as verification looks at it."""

    class Tensor:
        def __matmul__(self, other: Any) -> Tensor:
            return self

        def sum(self) -> Tensor:
            return self

        def item(self) -> float:
            return product

    module = types.ModuleType("torch")
    module.__version__ = version  # type: ignore[attr-defined]
    module.version = types.SimpleNamespace(cuda=cuda)  # type: ignore[attr-defined]
    module.ones = lambda *shape: Tensor()  # type: ignore[attr-defined]
    return module


def caused(error: Exception, cause: Exception) -> Exception:
    """``error`` as ``raise error from cause`` leaves it."""
    error.__cause__ = cause
    return error


def python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


@pytest.mark.parametrize(
    ("version", "cuda", "pin"),
    [
        ("2.13.0+cpu", None, StackPin("s", torch="2.13.0", cuda="cpu")),
        ("1.10.2+cu102", "10.2", StackPin("s", torch="1.10.2", cuda="10.2")),
        ("1.10.2", "10.2", StackPin("s", torch="1.10.2")),
    ],
)
def test_a_stack_as_pinned_passes(
    monkeypatch: pytest.MonkeyPatch, version: str, cuda: Any, pin: StackPin
) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch(version, cuda))
    pin.python = python()
    child.verify_stack(pin)


@pytest.mark.parametrize(
    ("version", "cuda", "pin", "both"),
    [
        ("2.6.0", None, StackPin("s", torch="2.13.0"), ("2.6.0", "2.13.0")),
        ("2.6.0+cu124", "12.4", StackPin("s", torch="2.6.0", cuda="cpu"), ("12.4", "cpu")),
        ("2.6.0+cpu", None, StackPin("s", torch="2.6.0", cuda="11.8"), ("cpu", "11.8")),
        ("2.6.0", None, StackPin("s", python="3.4", torch="2.6.0"), ("3.4", python())),
        ("2.6.0", None, StackPin("s", python="3", torch="2.5"), ("2.6.0", "2.5")),
    ],
)
def test_a_stack_that_differs_is_named_with_both_values(
    monkeypatch: pytest.MonkeyPatch, version: str, cuda: Any, pin: StackPin, both: Any
) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch(version, cuda))
    with pytest.raises(child.StackMismatch) as caught:
        child.verify_stack(pin)
    for value in both:
        assert value in str(caught.value)


def test_a_python_prefix_is_by_numbers_not_by_letters() -> None:
    major, minor = platform.python_version_tuple()[:2]
    if len(minor) > 1:
        with pytest.raises(child.StackMismatch):
            child.verify_stack(StackPin("s", python=f"{major}.{minor[0]}"))


def test_a_torch_that_computes_wrongly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch("2.6.0", None, product=11.0))
    with pytest.raises(child.StackMismatch, match="11"):
        child.verify_stack(StackPin("s", torch="2.6.0"))


def test_an_absent_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(child.StackMismatch, match="cannot be imported"):
        child.verify_stack(StackPin("s", torch="2.6.0"))


def test_the_real_torch_of_this_python_passes_as_itself() -> None:
    torch = pytest.importorskip("torch")
    version, cuda = str(torch.__version__).split("+")[0], torch.version.cuda or "cpu"
    child.verify_stack(StackPin("s", python=python(), torch=version, cuda=cuda))


def test_a_known_workload_gets_its_defaults_and_its_checks() -> None:
    known = Workload("w", "os.path:join", "help", (Parameter("k", "integer", 9, "help", low=1),))
    entry, parameters = child.resolve(TaskSpec("r", "w", declared=known))
    assert (entry.__name__, parameters) == ("join", {"k": 9})
    with pytest.raises(ParameterError, match="at least 1"):
        child.resolve(TaskSpec("r", "w", {"k": 0}, known))


def test_a_workload_of_ones_own_gets_its_parameters_as_they_are() -> None:
    entry, parameters = child.resolve(TaskSpec("r", "os.path:join", {"any": "thing"}))
    assert (entry.__name__, parameters) == ("join", {"any": "thing"})


@pytest.mark.parametrize("name", ["absent", "absent_module:f", "os.path:absent", "os.path:sep"])
def test_what_is_no_workload_is_bad_input(name: str) -> None:
    with pytest.raises(BadInput, match=r"absent|sep"):
        child.resolve(TaskSpec("r", name))


def test_a_module_that_fails_at_import_is_the_codes_fault_not_the_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_workload.py").write_text("import no_such_dependency\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        child.resolve(TaskSpec("r", "broken_workload:f"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "infrastructure"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "infrastructure"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "infrastructure"),
        (OSError(errno.ENOENT, "No such file or directory"), "code"),
        (RuntimeError("table full: No space left on device rack 7"), "code"),
        (
            caused(RuntimeError("not saved"), OSError(errno.ENOSPC, "No space left on device")),
            "infrastructure",
        ),
        (ValueError("wanted"), "code"),
    ],
)
def test_a_full_disk_is_the_machines_failure(error, kind):
    assert child.kind_of(error) == kind


TORCHS = {
    name: type("OutOfMemoryError", (RuntimeError,), {"__module__": name}) for name in ("torch", "torch.cuda")
}
OWN = type("OutOfMemoryError", (RuntimeError,), {"__module__": "work"})
CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"
GPU = "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 7.93 GiB total capacity; 5.81 GiB already allocated)"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TORCHS["torch"]("CUDA out of memory."), "out_of_memory"),
        (TORCHS["torch.cuda"]("CUDA out of memory."), "out_of_memory"),
        (MemoryError("Unable to allocate 8.00 EiB"), "out_of_memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory"),
        (RuntimeError(CPU), "out_of_memory"),
        (RuntimeError(GPU), "out_of_memory"),
        (
            RuntimeError(f"Caught RuntimeError in DataLoader worker process 0.\nRuntimeError: {GPU}"),
            "out_of_memory",
        ),
        (caused(ValueError("batch 4096 does not fit"), RuntimeError(GPU)), "out_of_memory"),
        (RuntimeError("sensor 3: out of memory, dump refused"), "code"),
        (ValueError(GPU), "code"),
        (OWN("out of memory"), "code"),
        (KeyError("not enough memory"), "code"),
    ],
)
def test_lack_of_memory_is_told_by_type_and_by_words_of_torchs_own_only(
    error: BaseException, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch("1.10.2"))
    assert child.kind_of(error) == kind


def test_without_torch_no_words_mean_that_it_lacked_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert child.kind_of(RuntimeError(GPU)) == "code"


WAYS = """
import sys

def generator(parameters, channel, folder):
    yield

async def coroutine(parameters, channel, folder):
    pass

def leaves(parameters, channel, folder):
    sys.exit(parameters["how"])
"""


@pytest.mark.parametrize(
    ("function", "parameters", "status", "failure"),
    [
        ("generator", {}, 1, "is a generator or async"),
        ("coroutine", {}, 1, "is a generator or async"),
        ("leaves", {"how": 0}, 0, None),
        ("leaves", {"how": None}, 0, None),
        ("leaves", {"how": "no luck today"}, 1, "no luck today"),
    ],
)
def test_what_a_function_answers_and_how_it_leaves_is_told(
    function: str,
    parameters: Dict[str, Any],
    status: int,
    failure: Optional[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "ways.py").write_text(WAYS)
    monkeypatch.syspath_prepend(str(tmp_path))
    said: List[str] = []
    monkeypatch.setattr(child.Channel, "failure", lambda self, kind, message: said.append(message))
    write_json(TaskSpec("r", f"ways:{function}", parameters), tmp_path / TASK_FILE)
    (tmp_path / "outputs").mkdir()
    assert child.main(tmp_path) == status
    assert len(said) == (failure is not None)
    assert failure is None or failure in said[0]
