"""A command as people write it in TOML: the keys of a workload that is one, each value checked where it is taken.

The same keys stand in a scenario file, a pipeline file and ``workloads.toml``. Pure. What the words mean is told by
``stackyard_task.commands``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from stackyard.errors import BadInputError
from stackyard.toml_tables import Fields
from stackyard_task import commands, metric_sources, workloads
from stackyard_task.commands import FORMATS, STYLES, Command, CommandError
from stackyard_task.workloads import Parameter, Workload

#: Either says that a workload is a command.
KINDS = ("command", "notebook")
#: Keys of a workload that is a command, beside ``parameters``.
KEYS = (
    *KINDS,
    *("runner", "arguments", "environment", "parameters_format", "inputs", "metrics"),
    *("code", "folder", "requirements", "hook"),
)
#: What a notebook is executed by -> its words, and how it takes parameters.
_RUNNERS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "papermill": (("papermill", "--no-progress-bar", "{notebook}", "{{outputs}}/{name}"), "papermill"),
    "nbconvert": (
        (
            "jupyter",
            "nbconvert",
            "--to",
            "notebook",
            "--execute",
            "--output-dir",
            "{{outputs}}",
            "{notebook}",
        ),
        None,
    ),
}


def is_command(table: Mapping[str, Any]) -> bool:
    """Whether a table describes a command."""
    return any(key in table for key in KINDS)


def named_in(words: Iterable[Any]) -> set[str]:
    """The names of the placeholders in these words; what is no text has none."""
    return commands.placeholders(Command(words=tuple(word for word in words if isinstance(word, str))))


def read(fields: Fields, table: Mapping[str, Any], where: str) -> Command:
    """The command of a table, whose keys are checked already.

    Raises:
        BadInputError: a value is not allowed.
    """
    words, style = _words(fields, table, where)
    style = fields.text(table, where, "arguments", style or "") or None if "arguments" in table else style
    if style is not None and style not in STYLES:
        raise fields.bad(f"{where}.arguments", f"is {style!r}", fields.one_of(style, STYLES))
    form = fields.text(table, where, "parameters_format", FORMATS[0])
    if form not in FORMATS:
        raise fields.bad(f"{where}.parameters_format", f"is {form!r}", fields.one_of(form, FORMATS))
    if "code" in table and "folder" in table:
        raise fields.bad(
            f"{where}.folder", "stands beside code", "one of them: a copy that travels, or the place itself"
        )
    return Command(
        words=words,
        arguments=style,
        environment=fields.environment(
            fields.inner(table, where, "environment"), f"{where}.environment", relative=True
        ),
        parameters_format=form,
        inputs=inputs(fields, table, where),
        metrics=_metrics(fields, table, where),
        code=fields.text(table, where, "code") if "code" in table else None,
        folder=fields.text(table, where, "folder") if "folder" in table else None,
        requirements=fields.text(table, where, "requirements") if "requirements" in table else None,
        hook=fields.flag(table, where, "hook", True),
    )


def inputs(fields: Fields, table: Mapping[str, Any], where: str) -> dict[str, str]:
    """What a table says that a command reads, by name.

    Raises:
        BadInputError: a value is not allowed.
    """
    return _texts(
        fields, table, where, "inputs", "a path or a reference, such as data/ or prepared:NAME/FILE"
    )


def with_inputs(fields: Fields, table: Mapping[str, Any], where: str, declared: Workload) -> Workload:
    """A declared workload as a file runs it that names it: a command may read something else there.

    Raises:
        BadInputError: an input is none of the command's, or the workload is a function.
    """
    given = inputs(fields, table, where)
    command = declared.command
    if command is None:
        if "inputs" in table:
            said = "parameters: the workload is a function, which has no inputs"
            raise fields.bad(f"{where}.inputs", "stands beside a workload", said)
        return declared
    for name in given:
        if name not in command.inputs:
            raise fields.bad(
                f"{where}.inputs.{name}", "is no input of it", fields.one_of(name, command.inputs)
            )
    return replace(declared, command=replace(command, inputs={**command.inputs, **given}))


def checked(fields: Fields, where: str, workload: Workload, parameters: Mapping[str, Any]) -> None:
    """See that a command's words can be made with these parameters.

    Raises:
        BadInputError: a placeholder stays empty, or a parameter or an input goes nowhere.
    """
    assert workload.command is not None
    try:
        commands.check(workload.command, parameters)
    except CommandError as error:
        raise BadInputError(f"{fields.file}: {where}: {error}") from error


def typed(
    fields: Fields, where: str, given: Mapping[str, Any], further: Iterable[Mapping[str, Any]] = ()
) -> tuple[Parameter, ...]:
    """Parameters typed from all the values that a file gives each.

    Args:
        fields: the file.
        where: the table of ``given``.
        given: the parameters of the command's own table, which are their defaults.
        further: others that it may get. One that only these have is absent where none of them gives it.

    Raises:
        BadInputError: one has values of two kinds.
    """
    values = {name: [value] for name, value in given.items()}
    for parameters in further:
        for name, value in parameters.items():
            values.setdefault(name, []).append(value)
    found: list[Parameter] = []
    for name, several in values.items():
        kinds = {workloads.inferred({name: value})[0].kind for value in several}
        first = several[0]
        if kinds == {"integer", "number"}:
            first, kinds = float(first), {"number"}
        if len(kinds) > 1:
            raise fields.bad(
                f"{where}.{name}", f"is {several[0]!r} here and {several[-1]!r} there", "values of one kind"
            )
        (parameter,) = workloads.inferred({name: first})
        found.append(parameter if name in given else replace(parameter, default=None))
    return tuple(found)


def _words(fields: Fields, table: Mapping[str, Any], where: str) -> tuple[tuple[str, ...], str | None]:
    """The words, and how parameters are appended where the file does not say."""
    if "notebook" not in table:
        if "runner" in table:
            raise fields.bad(f"{where}.runner", "stands without notebook", "a notebook beside it")
        expected = 'a list of words, such as ["python", "train.py"], or ["sh", "-c", "..."] for a shell'
        words = fields.texts(table, where, "command", expected=expected)
        if not words or not words[0].strip():
            raise fields.bad(f"{where}.command", f"is {table.get('command')!r}", expected)
        return words, None
    if "command" in table:
        raise fields.bad(f"{where}.notebook", "stands beside command", "one of them")
    notebook = fields.text(table, where, "notebook")
    if not notebook.endswith(".ipynb"):
        raise fields.bad(f"{where}.notebook", f"is {notebook!r}", "a file like train.ipynb")
    runner = fields.text(table, where, "runner", "papermill")
    if runner not in _RUNNERS:
        raise fields.bad(f"{where}.runner", f"is {runner!r}", fields.one_of(runner, _RUNNERS))
    words, style = _RUNNERS[runner]
    name = notebook.rpartition("/")[2]
    escaped = notebook.replace("{", "{{").replace("}", "}}")
    return tuple(
        w.format(notebook=escaped, name=name.replace("{", "").replace("}", "")) for w in words
    ), style


def _metrics(fields: Fields, table: Mapping[str, Any], where: str) -> dict[str, str]:
    found = _texts(fields, table, where, "metrics", 'a source, such as "json:metrics.json#test.accuracy"')
    for name, source in found.items():
        try:
            metric_sources.parsed(source)
        except ValueError as error:
            raise BadInputError(f"{fields.file}: {where}.metrics.{name} is {source!r}: {error}") from error
    return found


def _texts(fields: Fields, table: Mapping[str, Any], where: str, key: str, expected: str) -> dict[str, str]:
    """A table of named texts."""
    found = fields.inner(table, where, key)
    for name, value in found.items():
        fields.name(name, f"{where}.{key}.{name}")
        if not isinstance(value, str) or not value.strip():
            raise fields.bad(f"{where}.{key}.{name}", f"is {value!r}", expected)
    return dict(found)
