"""The start-up hook: says when a Python process begins, and what it had loaded when it ended.

Laid as ``_stackyard_hook.py`` beside a ``.pth`` line into an environment that Stackyard made
(``stackyard.stacks.hook``), where ``site`` imports it before the user's first line. Nobody else imports it, and it
imports nothing of ours: only modules that every interpreter has built in, none of which reads a file. It speaks where
STACKYARD_REPORT names the supervisor's FIFO and STACKYARD_HOOK is not "0", and stays silent under ``-I`` (under ``-S``
it is not loaded at all).

A process that is killed or executes another program says nothing at its end. One that calls ``os._exit`` says what it
had loaded, but not its peaks on GPUs; what it forked says nothing at an end of that kind. Nothing here prints,
raises or waits: what the FIFO does not take at once is not told, nor what a second folder of
packages holds that was not read after 40 ms.
"""

import os
import sys
import time

#: A line longer than this may mix with another process' line.
_LINE_BYTES = 4096
#: Packages that are told at most.
_PACKAGES = 300
#: After so long at the end of a process no second folder is looked into.
_END_SECONDS = 0.04
#: Of a folder of the script's own, which may hold anything, so many names are read.
_NAMES = 4000
#: The process that has told its end; 0: none has. What it forks has not.
_told_by = 0


def _begin(path: str) -> None:
    import atexit

    _write(path, [f'{{"kind":"begun","pid":{os.getpid()},"at":{time.monotonic()!r}}}'])
    atexit.register(_end, path)
    _at_abrupt_end(path, os.getpid())


def _wake_reporter() -> None:
    """Have the process in which the ClearML SDK reports hear that it is to send now.

    Both processes wait for each other by events that they share, all but one: that of a flush is the script's alone,
    so the other sleeps out its five seconds at each, and a script of half a second ends ten seconds late
    (``BackgroundReportService``, SDK 2.1.12).
    """
    os.register_at_fork(before=_before_fork)


def _before_fork() -> None:
    try:
        monitor = getattr(sys.modules.get("clearml.utilities.process.mp"), "BackgroundMonitor", None)
        for services in list(getattr(monitor, "_instances", {}).values()):
            for one in services:
                kinds = [type(getattr(one, name, None)).__name__ for name in ("_event", "_flush_event")]
                # its like was made a shared one just now, for the process that is forked
                if one._subprocess and kinds == ["SafeEvent", "ForkEvent"]:
                    one._flush_event = type(one._event)()
    except Exception:  # noqa: BLE001 another SDK than those that we know
        pass


def _at_abrupt_end(path: str, process: int) -> None:
    """Have ``os._exit`` tell what is loaded, in this process alone: a forked one ends so at any time, and often."""
    leave = os._exit

    def _exit(status: int) -> None:
        """Exit to the system with specified status, without normal exit processing."""
        try:
            if os.getpid() == process:
                # torch is not asked for its peaks: who leaves so may do it because a GPU no longer answers
                _end(path, gpus=False)
        except BaseException:  # noqa: BLE001 nothing keeps a process from its end
            pass
        leave(status)

    _exit.__qualname__ = "_exit"
    os._exit = _exit  # type: ignore[assignment]


def _end(path: str, gpus: bool = True) -> None:
    """Tell what is loaded now. Registered before anything else, so it runs after the script's own last words."""
    global _told_by
    try:
        if _told_by == os.getpid():
            return
        _told_by = os.getpid()
        until = time.monotonic() + _END_SECONDS
        lines = [_told("environment", {"pid": os.getpid()}, "facts", list(_facts().items()))]
        lines += _gpus() if gpus else []
        _write(path, lines)
        _write(path, _loaded(until))
    except BaseException:  # noqa: BLE001 whatever a foreign module answers here: the script has done its work
        pass


def _facts() -> dict:
    facts: dict = {"python": sys.version.split(None, 1)[0]}
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    version = getattr(numpy, "__version__", None)
    if version is not None:
        facts["numpy"] = str(version)
    if torch is not None and hasattr(torch, "version") and hasattr(torch, "__version__"):
        facts["torch"] = str(torch.__version__)
        facts["cuda"] = torch.version.cuda or "cpu"
        if hasattr(torch, "get_num_threads"):
            facts["threads"] = int(torch.get_num_threads())
    return facts


def _gpus() -> list:
    """A line for each GPU of a torch that has used CUDA: its own peaks."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    lines: list = []
    try:
        if cuda is None or not cuda.is_initialized():
            return lines
        for index in range(cuda.device_count()):
            physical = _physical(index)
            if physical is not None:
                peaks = {
                    "torch_peak_allocated_bytes": int(cuda.max_memory_allocated(index)),
                    "torch_peak_reserved_bytes": int(cuda.max_memory_reserved(index)),
                }
                lines.append(
                    _told("gpu", {"pid": os.getpid(), "index": physical}, "facts", list(peaks.items()))
                )
    except Exception:  # noqa: BLE001 what torch cannot say is not told
        pass
    return lines


def _physical(index: int) -> "int | None":
    """The machine's number of torch's GPU ``index``; ``None`` where CUDA_VISIBLE_DEVICES names it by something else."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return index
    names = [name.strip() for name in visible.split(",")]
    return int(names[index]) if index < len(names) and names[index].isdigit() else None


def _loaded(until: float) -> list:
    """Lines with the versions of the top-level packages that are loaded, as their distributions or they name them.

    What a script brought itself is told apart: modules of its folder, of one that it put on its path, of PYTHONPATH.
    What a package says of itself may be an older version's: the name of the folder that pip made goes before it.
    """
    held: list = []
    elsewhere: list = []
    pythons = os.path.dirname(os.__file__) + os.sep
    for name, module in sorted(sys.modules.copy().items()):
        inside = getattr(module, "__dict__", None)
        if "." in name or name[:1] == "_" or not isinstance(inside, dict):
            continue
        file = inside.get("__file__")
        if not isinstance(file, str):
            continue
        place = _packages_of(file)
        if place is not None:
            held.append((name, place, inside.get("__version__")))
        elif not file.startswith(pythons):
            elsewhere.append((name, _beside(file), inside.get("__version__")))
    # only these read folders; the first is where nearly all come from, and no busy machine makes it dear
    versions: dict = {}
    lines = []
    for kind, modules in (("loaded", held), ("loaded_elsewhere", elsewhere)):
        found = []
        for name, place, said in modules:
            if place not in versions and not (versions and time.monotonic() > until):
                versions[place] = _distributions(place, None if kind == "loaded" else _NAMES)
            version = versions.get(place, {}).get(name.lower(), said)
            if isinstance(version, str) and len(version) <= 100 and len(name) <= 200:
                found.append((name, version))
        lines += _lines(kind, sorted(found)[:_PACKAGES])
    return lines


def _lines(kind: str, found: list) -> list:
    """Names and versions in as many lines as they need."""
    lines = []
    while found:
        count = len(found)
        line = _told(kind, {"pid": os.getpid()}, "packages", found[:count])
        while len(line) >= _LINE_BYTES:
            count = count // 2
            line = _told(kind, {"pid": os.getpid()}, "packages", found[:count])
        lines.append(line)
        found = found[count:]
    return lines


def _packages_of(file: str) -> "str | None":
    """The folder of installed packages that holds a module's file; ``None``: Python's own, or the script's."""
    for word in ("site-packages", "dist-packages"):
        before, found, _ = file.rpartition(os.sep + word + os.sep)
        if found:
            return before + os.sep + word
    return None


def _beside(file: str) -> str:
    """The folder that a top-level module was found in."""
    folder, _, last = file.rpartition(os.sep)
    return folder.rpartition(os.sep)[0] if last.startswith("__init__.") else folder


def _distributions(folder: str, most: "int | None") -> dict:
    """Name -> version of what is installed in a folder, by the names of its ``.dist-info`` folders alone.

    Args:
        folder: where packages lie.
        most: of its names, so many are read; ``None``: all.
    """
    found = {}
    try:
        with os.scandir(folder) as entries:
            for number, one in enumerate(entries):
                if number == most:
                    break
                entry = one.name
                if entry.endswith(".dist-info"):
                    name, _, version = entry[: -len(".dist-info")].partition("-")
                    if version:
                        found[name.lower().replace("-", "_").replace(".", "_")] = version
    except OSError:
        pass
    return found


def _told(kind: str, heads: dict, name: str, items: list) -> str:
    """A message as a line of JSON, without its end: json itself would have to be loaded."""
    head = "".join(f'"{key}":{value},' for key, value in heads.items())
    body = ",".join(f"{_text(key)}:{_value(value)}" for key, value in items)
    return f'{{"kind":"{kind}",{head}"{name}":{{{body}}}}}'


def _value(value: object) -> str:
    return str(value) if isinstance(value, int) else _text(str(value))


def _text(text: str) -> str:
    plain = (c if " " <= c <= "~" and c not in '"\\' else f"\\u{min(ord(c), 0xFFFF):04x}" for c in text)
    return '"' + "".join(plain) + '"'


def _write(path: str, lines: list) -> None:
    """Write lines into the FIFO, each whole or not at all. A reader that is gone ends neither us nor the script."""
    import _signal  # type: ignore[import-not-found]

    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if os.fstat(descriptor).st_mode & 0o170000 != 0o010000:  # no FIFO
            return
        held = _signal.getsignal(_signal.SIGPIPE) != _signal.SIG_IGN
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGPIPE]) if held else ()
        try:
            for line in lines:
                if len(line) < _LINE_BYTES:
                    os.write(descriptor, line.encode("ascii") + b"\n")
        except OSError:
            pass
        finally:
            if held and _signal.SIGPIPE not in before:
                while _signal.SIGPIPE in _signal.sigpending():
                    _signal.sigtimedwait([_signal.SIGPIPE], 0)
                _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
    finally:
        os.close(descriptor)


try:
    if (
        os.environ.get("STACKYARD_REPORT")
        and os.environ.get("STACKYARD_HOOK") != "0"
        and not sys.flags.isolated
    ):
        _begin(os.environ["STACKYARD_REPORT"])
        _wake_reporter()
except Exception:  # noqa: BLE001 no FIFO, no reader: nobody asked
    pass
