"""The workload child: verifies the stack, sets threads, calls the workload, says how it went.

``python -m stackyard_task.child RUN_FOLDER``, started by ``run``. It imports neither the supervisor nor the
measuring; torch only where the stack pins it or the workload brought it. The run's output log is its stdout
and stderr: tracebacks go there, one sentence goes over the channel.
"""

from __future__ import annotations

import errno
import gc
import importlib
import inspect
import os
import platform
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from stackyard_task.channel import CHANNEL_VARIABLE, BadInput, Channel, GateClosed
from stackyard_task.records import OUTPUTS_FOLDER, TASK_FILE, StackPin, TaskSpec, read_json
from stackyard_task.workloads import ParameterError, checked, entry_of

#: What torch raises since 1.13 where a GPU has no memory left, by module and name: torch is not imported to know it.
_NO_MEMORY_TYPES = (("torch", "OutOfMemoryError"), ("torch.cuda", "OutOfMemoryError"))
#: What torch's errors say that have no such type: before 1.13, on the CPU, and outside its allocators. Whole phrases of
#: its own, for a workload may well raise an error about something else that is out of memory.
_NO_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA out of memory. Tried to allocate",
    "HIP out of memory. Tried to allocate",
    "CUDA error: out of memory",
    "std::bad_alloc",
)
#: No room on the disk, or none that this user may have: another machine, or the same one later, may do it.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
#: How libraries that are not Python's name an error of the system, or quote one.
_NUMBERED = ("os error {}", "[Errno {}]", "errno = {},")
#: An error has so many causes at most that are looked at.
_CAUSES = 16


class StackMismatch(Exception):
    """What is loaded is not what the stack pins: the message holds both values."""


def main(run_folder: Path) -> int:
    """Run the task of ``run_folder``; 0 if it completed."""
    channel = Channel.from_environment()
    _keep_channel_private()
    try:
        spec = read_json(TaskSpec, run_folder / TASK_FILE)
        if spec.stack is not None:
            verify_stack(spec.stack)
        entry, parameters = resolve(spec)
        _set_torch_threads()
        _report_loaded(channel)
        returned = entry(parameters, channel, run_folder / OUTPUTS_FOLDER)
        if inspect.isgenerator(returned) or inspect.isawaitable(returned):
            raise BadInput(
                f"workload {spec.workload!r} is a generator or async: calling it runs nothing of it"
            )
        channel.phase("finish")
        _report_loaded(channel)
        _report_cuda_peaks(channel)
    except (BadInput, ParameterError) as error:
        return _give_up(channel, "bad_input", str(error))
    except GateClosed as error:
        return _give_up(channel, "gate", str(error))
    except StackMismatch as error:
        return _give_up(channel, "stack_mismatch", str(error))
    except SystemExit as stop:
        if isinstance(stop.code, str):
            return _give_up(channel, "code", _one_line(stop.code))
        if stop.code not in (None, 0):
            channel.flush()
            raise
    except MemoryError as error:
        return _give_up(channel, "out_of_memory", f"no memory left ({error or 'MemoryError'})")
    except Exception as error:  # noqa: BLE001 the task's edge: whatever the workload raises ends in a record
        return _give_up(channel, kind_of(error), f"{type(error).__name__}: {_one_line(error)}")
    channel.ended()
    # Python's collector would walk every object of every library again, up to a second, while the interpreter
    # ends. What is frozen it leaves to the kernel; the rest of the exit is as ever.
    gc.freeze()
    return 0


def kind_of(error: BaseException) -> str:
    """The kind of failure that an exception of a workload is: the code's, unless the machine lacked something.

    What counts is the exception's type, or that of one it was raised from. Words count where a library has no type.
    """
    cause: Optional[BaseException] = error
    for _ in range(_CAUSES):
        if cause is None:
            break
        if _lacks_memory(cause):
            return "out_of_memory"
        if _lacks_room(cause):
            return "infrastructure"
        cause = cause.__cause__
    return "code"


def _lacks_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    kinds = [(kind.__module__, kind.__name__) for kind in type(error).__mro__]
    if any(kind in _NO_MEMORY_TYPES for kind in kinds):
        return True
    torchs = kinds[0] == ("builtins", "RuntimeError") or kinds[0][0].partition(".")[0] == "torch"
    return torchs and "torch" in sys.modules and any(words in str(error) for words in _NO_MEMORY)


def _lacks_room(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _NO_ROOM
    said = str(error)
    return any(os.strerror(n) in said and any(form.format(n) in said for form in _NUMBERED) for n in _NO_ROOM)


def resolve(spec: TaskSpec) -> tuple[Callable[[Dict[str, Any], Channel, Path], object], Dict[str, Any]]:
    """The function to call and its parameters, checked and completed.

    The entry is the declaration's, which the task carries, or the workload's own name: "module:function", or
    "FILE.py:function" for a file that lies at the snapshot's top. Without a declaration parameters pass as they are.

    Raises:
        BadInput: no such workload.
        ParameterError: a parameter of a declared workload is wrong.
    """
    parameters = dict(spec.parameters)
    if spec.declared is not None:
        entry, parameters = spec.declared.entry, checked(spec.declared, parameters)
    elif ":" in spec.workload:
        entry = entry_of(spec.workload)
    else:
        raise BadInput(
            f"workload {spec.workload!r} comes without its declaration; "
            'a function of your own is named "module:function"'
        )
    module_name, _, function_name = entry.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise BadInput(
                f"workload {entry!r}: there is no module {error.name!r}; is it on PYTHONPATH?"
            ) from error
        raise
    function = getattr(module, function_name, None)
    if not callable(function):
        raise BadInput(f"workload {entry!r}: module {module_name!r} has no function {function_name!r}")
    return function, parameters


def verify_stack(pin: StackPin) -> None:
    """Compare what is loaded with what the stack pins, and run one tensor operation.

    Python by prefix ("3.9" fits 3.9.18); torch without its local tag ("2.13.0" fits 2.13.0+cpu).

    Raises:
        StackMismatch: they differ, or the tensor operation gives a wrong result.
    """
    name = f"stack {pin.name}"
    python = platform.python_version()
    if pin.python is not None and python.split(".")[: pin.python.count(".") + 1] != pin.python.split("."):
        raise StackMismatch(f"{name} pins Python {pin.python}, but Python {python} runs; rebuild the stack")
    if pin.torch is None and pin.cuda is None:
        return
    try:
        import torch
    except Exception as error:  # a missing library of it is an OSError, a broken one anything
        why = f"torch cannot be imported ({_one_line(error)})"
        raise StackMismatch(f"{name} pins torch {pin.torch}, but {why}; rebuild the stack") from error
    loaded = str(torch.__version__)
    if pin.torch is not None and loaded.split("+")[0] != pin.torch.split("+")[0]:
        raise StackMismatch(
            f"{name} pins torch {pin.torch}, but torch {loaded} was loaded; rebuild the stack"
        )
    cuda = torch.version.cuda or "cpu"
    if pin.cuda is not None and cuda != pin.cuda:
        built = f"torch {loaded} is built for {cuda}"
        raise StackMismatch(f"{name} pins CUDA {pin.cuda}, but {built}; rebuild the stack")
    product = (torch.ones(2, 3) @ torch.ones(3, 2)).sum().item()
    if product != 12.0:
        raise StackMismatch(
            f"{name}: torch {loaded} computed {product} where 12.0 is right; rebuild the stack"
        )


def _keep_channel_private() -> None:
    """Programs the workload starts shall not inherit the channel."""
    number = os.environ.pop(CHANNEL_VARIABLE, "")
    if number.isdigit():
        os.set_inheritable(int(number), False)


def _set_torch_threads() -> None:
    """Tell a torch that is already loaded what OMP_NUM_THREADS told everyone else."""
    torch, threads = sys.modules.get("torch"), os.environ.get("OMP_NUM_THREADS", "")
    if torch is not None and threads.isdigit() and int(threads) > 0:
        torch.set_num_threads(int(threads))


def _report_loaded(channel: Channel) -> None:
    """The versions really loaded; what the workload did not load is not reported."""
    facts: Dict[str, Any] = {"python": platform.python_version()}
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and hasattr(torch, "version"):
        facts["torch"] = str(torch.__version__)
        facts["cuda"] = torch.version.cuda or "cpu"
    if numpy is not None and hasattr(numpy, "__version__"):
        facts["numpy"] = str(numpy.__version__)
    channel.environment(**facts)


def _report_cuda_peaks(channel: Channel) -> None:
    """torch's own peaks per GPU, if the workload used CUDA at all."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not cuda.is_available() or not cuda.is_initialized():
        return
    for index in range(cuda.device_count()):
        channel.gpu(
            _physical_index(index),
            torch_peak_allocated_bytes=int(cuda.max_memory_allocated(index)),
            torch_peak_reserved_bytes=int(cuda.max_memory_reserved(index)),
        )


def _physical_index(index: int) -> int:
    """The machine's number of torch's GPU ``index``, which CUDA_VISIBLE_DEVICES may have renumbered."""
    visible: List[str] = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if index < len(visible) and visible[index].strip().isdigit():
        return int(visible[index])
    return index


def _give_up(channel: Channel, kind: str, message: str) -> int:
    if kind not in ("bad_input", "stack_mismatch", "gate"):
        traceback.print_exc()
    else:
        print(message, file=sys.stderr)
    _report_loaded(channel)
    channel.flush()
    channel.failure(kind, message)
    return 1


def _one_line(error: object) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 500 else text[:497] + "..."


def _run_folder(arguments: Optional[List[str]] = None) -> Path:
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        raise SystemExit("usage: python -m stackyard_task.child RUN_FOLDER (started by stackyard_task.run)")
    return Path(given[0])


if __name__ == "__main__":
    sys.exit(main(_run_folder()))
