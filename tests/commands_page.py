"""docs/commands.md as the command line defines itself: ``python -m tests.commands_page > docs/commands.md``."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import typer

from stackyard.cli.main import app

HEAD = """# Commands

The command line's own definitions make this page: `python -m tests.commands_page > docs/commands.md` writes it, and a
test holds it to them. `stackyard COMMAND --help` says the same in the terminal.

`--debug` may stand anywhere on the line: it adds the traceback to an error. `--version` prints the version. An option
that takes one value is given once: a second value is refused. Lists say that they may be repeated.

| exit status | meaning |
|---|---|
| 0 | the command did its work |
| 1 | the command failed |
| 2 | the input cannot be used |
| 3 | it cannot run on this machine |
| 4 | the command did its work, but a run or task failed |
| 5 | the command did its work and no run failed, but some were stopped at a limit |
| 130 | you stopped it with Ctrl-C |
"""


def rendered() -> str:
    """The whole page, with the commands in the order of ``stackyard --help``."""
    parts = [HEAD]
    for name, command in children(command_line()):
        if runs(command):
            parts.append(_section(f"stackyard {name}", command, 2))
            parts.extend(_section(words, found, 2) for words, found in leaves(command, f"stackyard {name}"))
        else:
            parts.append(f"## stackyard {name}\n\n{_text(command.help)}\n")
            parts.extend(_section(words, found, 3) for words, found in leaves(command, f"stackyard {name}"))
    return "\n".join(parts)


@functools.cache
def command_line() -> Any:
    """Every command and option, as the command line itself knows them."""
    return typer.main.get_command(app)


def children(command: Any) -> list[tuple[str, Any]]:
    """The commands of a group, by name; empty for a command without any."""
    if not hasattr(command, "list_commands"):
        return []
    return [(name, command.get_command(None, name)) for name in command.list_commands(None)]


def leaves(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    """Every command below a group that does something itself, with all the words that call it."""
    for name, child in children(command):
        if runs(child):
            yield f"{words} {name}", child
        yield from leaves(child, f"{words} {name}")


def runs(command: Any) -> bool:
    """Whether the command does something by itself, not only through the commands below it."""
    return not children(command) or bool(getattr(command, "invoke_without_command", False))


def _section(words: str, command: Any, level: int) -> str:
    arguments = [_argument(p) for p in command.params if not p.opts[0].startswith("-")]
    usage = " ".join([words, *arguments, "[OPTIONS]"] if _options(command) else [words, *arguments])
    text = f"{'#' * level} {words}\n\n```text\n{usage}\n```\n\n{_text(command.help)}\n"
    rows = [_row(p) for p in command.params if not getattr(p, "hidden", False)]
    if rows:
        text += f"\n| argument or option | what it says |\n|---|---|\n{''.join(rows)}"
    return text


def _options(command: Any) -> list[Any]:
    return [p for p in command.params if p.opts[0].startswith("-") and not getattr(p, "hidden", False)]


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    shown = f"{name}..." if parameter.nargs == -1 and not name.endswith("...") else name
    return shown if parameter.required or shown.startswith("[") else f"[{shown}]"


def _row(parameter: Any) -> str:
    if parameter.opts[0].startswith("-"):
        called = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
        if not parameter.is_flag:
            called += f" {parameter.metavar or _kind(parameter)}"
    else:
        called = f"`{_argument(parameter)}`"
    said = [_text(parameter.help)] if parameter.help else []
    if parameter.required and parameter.opts[0].startswith("-"):
        said.append("Required.")
    if parameter.multiple and "repeat" not in "".join(said):
        said.append("May be repeated.")
    # 0 and 1 are defaults to tell; False and True, which equal them, are those of switches
    told = not isinstance(parameter.default, bool) and parameter.default not in (None, [], (), "")
    if told and "default" not in "".join(said).lower():
        default = parameter.default
        said.append(f"Default: `{default:g}`." if isinstance(default, float) else f"Default: `{default}`.")
    return f"| {called} | {' '.join(said)} |\n".replace("<", "&lt;")


def _kind(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    if annotation in (int, float):
        low, high = parameter.min, parameter.max
        if low is not None and high is not None:
            return f"N ({low} to {high})"
        return f"N ({low} or more)" if low is not None else "N"
    return "TEXT" if annotation in (str, list[str]) else str(parameter.name).upper()


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    print(rendered(), end="")
