"""Functions of the user's own: found beside a scenario or pipeline file, with the modules beside them that they import.

A reference is "FILE.py:FUNCTION" (a path, seen from the file's folder) or "MODULE:FUNCTION". Nothing is imported or
executed here: a module is read as text, so that whatever it needs has to exist only where it runs.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stackyard.errors import BadInputError

#: What a workload is called with, in words for messages.
CALLED = "(parameters, channel, output_folder)"
#: Bounds on what travels: beyond them it is an environment, which belongs into a stack.
MOST_FILES, MOST_BYTES = 1000, 16 << 20
#: Of one file: Python's parser takes a thousand times as much memory for some.
MOST_FILE_BYTES = 1 << 20
#: Entries of a package's folder that are looked at: it may lie beside data, or be a link to anything.
MOST_ENTRIES = 10_000
_ARGUMENTS = 3
#: Names of Python's own modules, those that the oldest Python of a stack has and ours has not among them.
_OLDER = {"asynchat", "asyncore", "distutils", "formatter", "imp", "parser", "smtpd", "symbol"}
#: Packages that a stack's check and the loading of a stack import: a file of that name would be taken for them.
_STACKS_OWN = {"numpy", "torch"}
#: What an assignment may not bind for a workload's name: it is no function.
_VALUES = (ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.Set)
#: Python runs the last two by itself, in the supervisor too.
_PYTHONS_OWN = sys.stdlib_module_names | _OLDER | {"__main__", "sitecustomize", "usercustomize"}
#: What the supervisor asks GPUs with.
_SUPERVISORS_OWN = {"pynvml"}


@dataclass(frozen=True)
class Own:
    """A function of the user's own and the code that travels with it."""

    #: "module:function", as it is imported in the child.
    entry: str
    #: Files and folders of packages, each for the snapshot's top; empty: the module is part of every snapshot.
    sources: tuple[Path, ...]


def found(reference: str, folder: Path, packages: Iterable[Path]) -> Own:
    """The function that ``reference`` names, and every module beside it that it imports, however far.

    Args:
        reference: "FILE.py:FUNCTION" or "MODULE:FUNCTION".
        folder: where files and modules are looked for.
        packages: folders of the packages that every snapshot holds.

    Raises:
        BadInputError: there is no such file or function, it cannot be called as a workload, or what it imports
            cannot travel.
    """
    try:
        return _found(reference, folder, packages)
    except (OSError, ValueError, RuntimeError) as error:
        # names too long, with NUL, links in a circle, code nested too deeply: what systems and parsers refuse
        raise BadInputError(f"{reference[:200]!r} cannot be looked at ({str(error)[:200]})") from error


def says(sources: Iterable[Path], word: str) -> bool:
    """Whether a word stands anywhere in these files and folders of packages; what cannot be read may say it."""
    try:
        paths = (path for source in sources for path in ([source] if source.is_file() else _walked(source)))
        return any(word.encode() in path.read_bytes() for path in paths)
    except OSError:
        return True


def _found(reference: str, folder: Path, packages: Iterable[Path]) -> Own:
    place, _, function = reference.rpartition(":")
    if not function.isidentifier():
        raise BadInputError(
            f"{function!r} is no name of a function; expected FILE.py:FUNCTION, such as work.py:main"
        )
    held = {package.name: package for package in packages}
    if place.endswith(".py"):
        path = (folder / place).resolve()
        if not path.is_file():
            raise BadInputError(f"there is no file {folder / place}")
        if not path.stem.isidentifier():
            raise BadInputError(f"{path.name} is no name that Python can import; name it like work.py")
        home, module = path.parent, path.stem
    else:
        home, module = folder, place
        if not all(part.isidentifier() for part in module.split(".")):
            raise BadInputError(
                f"{module!r} is no name of a module; expected FILE.py:FUNCTION, such as work.py:main"
            )
    top, *inner = module.split(".")
    if top in held and not place.endswith(".py"):
        _check(_module(held[top].parent, module.split(".")), function)
        return Own(f"{module}:{function}", ())
    if _beside(home, top) is None:
        raise BadInputError(
            f"there is no module {top!r} in {home}, and none that travels with every task is named so"
        )
    _check(_module(home, [top, *inner]), function)
    return Own(f"{module}:{function}", tuple(_travelling(home, top, held)))


def _beside(home: Path, name: str) -> Path | None:
    """The module or package of that name in a folder, as Python would find it there."""
    package, file = home / name, home / f"{name}.py"
    if (package / "__init__.py").is_file():
        return package
    if file.is_file():
        return file
    return package if package.is_dir() and any(_walked(package)) else None


def _module(home: Path, parts: list[str]) -> Path:
    """The file of a dotted module.

    Raises:
        BadInputError: there is none.
    """
    place = home.joinpath(*parts)
    for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if path.is_file():
            return path
    raise BadInputError(f"there is no module {'.'.join(parts)!r} in {home}")


def _travelling(home: Path, first: str, held: Collection[str]) -> list[Path]:
    """``first`` and what it imports of its folder, and what that imports."""
    wanted, sources, files, size = [first], {}, 0, 0
    while wanted:
        name = wanted.pop()
        source = _beside(home, name)
        if name in sources or source is None:
            continue
        whose = _whose(name, held)
        if whose is not None:
            raise BadInputError(f"{source} has the name of one of {whose}, which the run needs; rename it")
        sources[name] = source
        for path in [source] if source.is_file() else sorted(_walked(source)):
            files, size = files + 1, size + path.stat().st_size
            if files > MOST_FILES or size > MOST_BYTES:
                raise BadInputError(
                    f"{source}: more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB of code would travel; "
                    "put it into a stack"
                )
            tree = _parsed(path)
            if path == source and any(isinstance(n, ast.ImportFrom) and n.level for n in ast.walk(tree)):
                raise BadInputError(
                    f"{path} imports relatively, as a module of a package does; "
                    "name it as package.module:function, seen from the folder that holds the package"
                )
            wanted += _imported(tree)
    return [sources[name] for name in sorted(sources)]


def _whose(name: str, held: Collection[str]) -> str | None:
    """Whose module of that name a run needs; ``None``: nobody's."""
    if name in held or name in _SUPERVISORS_OWN:
        return "Stackyard's own packages"
    if name in _STACKS_OWN:
        return "the stack's packages"
    return "Python's own modules" if name in _PYTHONS_OWN else None


def _walked(package: Path) -> Iterator[Path]:
    """The Python files of a package's folder; links to folders are not followed.

    Raises:
        BadInputError: it holds too many entries to be one.
    """
    seen = 0
    for folder, folders, files in os.walk(package):
        seen += len(folders) + len(files)
        if seen > MOST_ENTRIES:
            raise BadInputError(
                f"{package}: holds more than {MOST_ENTRIES} entries, too many for code that travels"
            )
        yield from (path for name in files if name.endswith(".py") and (path := Path(folder, name)).is_file())


def _parsed(path: Path) -> ast.Module:
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise BadInputError(
                f"{path}: is longer than {MOST_FILE_BYTES >> 20} MiB; data belongs beside code, not in it"
            )
        return ast.parse(path.read_bytes(), str(path))
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read ({error.strerror})") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else type(error).__name__
        raise BadInputError(f"{path}: is not Python ({line})") from error


def _imported(tree: ast.Module) -> set[str]:
    """First parts of the absolute names that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return names


def _check(path: Path, function: str) -> None:
    """See that a module defines a function that can be called as a workload is.

    Raises:
        BadInputError: it does not.
    """
    found: ast.AST | None = None
    for node in _statements(_parsed(path).body):
        bound = _bound(node)
        if function in bound or (found is None and "*" in bound):
            found = node
    if found is None:
        raise BadInputError(f"{path} defines no function {function!r}")
    if isinstance(found, ast.ClassDef) or isinstance(getattr(found, "value", None), _VALUES):
        what = "a class" if isinstance(found, ast.ClassDef) else "a value"
        raise BadInputError(f"{path}: {function} is {what}; a workload is a plain function {CALLED}")
    if isinstance(found, ast.AsyncFunctionDef):
        raise BadInputError(f"{path}: {function} is async; a workload is a plain function {CALLED}")
    if isinstance(found, ast.FunctionDef) and not found.decorator_list:
        problem = "is a generator" if _yields(found) else _uncallable(found.args)
        if problem:
            raise BadInputError(f"{path}: {function} {problem}; a workload is called as {function}{CALLED}")


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported, those inside if, try and with too."""
    for node in body:
        yield node
        for name in ("body", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try | ast.With):
                yield from _statements(getattr(node, name, []))
        for handler in getattr(node, "handlers", []):
            yield from _statements(handler.body)


def _bound(node: ast.stmt) -> set[str]:
    """Names that a definition, an import or an assignment binds; a star binds what cannot be known here."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _yields(function: ast.FunctionDef) -> bool:
    """Whether calling a function only makes a generator: ``yield`` in it, not in a function inside it."""
    inside: list[ast.AST] = list(function.body)
    while inside:
        node = inside.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            inside += ast.iter_child_nodes(node)
    return False


def _uncallable(arguments: ast.arguments) -> str | None:
    positional = len(arguments.posonlyargs) + len(arguments.args)
    needed = positional - len(arguments.defaults)
    named = [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None]
    if named:
        return f"needs the argument {named[0]!r} by name"
    if needed > _ARGUMENTS or (positional < _ARGUMENTS and arguments.vararg is None):
        takes = f"{needed}" if needed == positional else f"{needed} to {positional}"
        return f"takes {takes} argument{'' if takes == '1' else 's'}"
    return None
