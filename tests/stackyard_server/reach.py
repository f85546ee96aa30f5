"""What the source of an endpoint can see: the texts in it and in all that it calls, by reading the source.

A field that a request may have, and whose name is in none of those texts, is read by nobody.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import stackyard_server

ROOT = Path(stackyard_server.__file__).parent
#: A module and a name in it.
Place = tuple[str, str]
#: What reads every field alike says nothing about one.
BLIND = frozenset({"protocol.fields", "protocol.ignored_fields", "calls.dispatch", "calls.unknown"})


@functools.cache
def modules() -> dict[str, ast.Module]:
    """The server's modules by their dotted names below the package."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text())
    return found


@functools.cache
def definitions() -> dict[Place, ast.AST]:
    """What is defined at the top of each module."""
    found: dict[Place, ast.AST] = {}
    for module, tree in modules().items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[module, node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for name in (n for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)):
                    found[module, name.id] = node
    return found


@functools.cache
def imports(module: str) -> dict[str, tuple[str, str | None]]:
    """What a module's names stand for: a module, or a name in one."""
    is_package = (ROOT / module.replace(".", "/") / "__init__.py").exists()
    package = module.split(".") if is_package else module.split(".")[:-1]
    found: dict[str, tuple[str, str | None]] = {}
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                name = alias.asname or alias.name
                found[name] = (whole, None) if whole in modules() else (".".join(base), alias.name)
    return found


@functools.cache
def said(place: Place) -> tuple[frozenset[str], frozenset[Place]]:
    """The texts in what is defined at a place, and what it names that is defined in the server."""
    module, found, texts = place[0], set[Place](), set[str]()
    for inner in ast.walk(definitions()[place]):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
            there, name = imports(module).get(inner.value.id, ("", ""))
            if name is None:
                found.add((there, inner.attr))
        elif isinstance(inner, ast.Name):
            there, name = imports(module).get(inner.id, (module, inner.id))
            if name is not None:
                found.add((there, name))
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            texts.add(inner.value)
    return frozenset(texts), frozenset(found & definitions().keys())


def texts(start: Place) -> set[str]:
    """Every text in what is defined at a place, and in all that it leads to."""
    seen: set[Place] = set()
    found: set[str] = set()
    todo = [start]
    while todo:
        place = todo.pop()
        if place in seen or place[0] in BLIND:
            continue
        seen.add(place)
        here, onwards = said(place)
        found |= here
        todo += onwards
    return found
