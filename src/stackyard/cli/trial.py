"""``stackyard data try | presets``: what the first lines of a log become, before anything is run on it.

``data`` mounts them. The package whose workloads read the log is asked in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import textwrap
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from stackyard import stacks, toml_tables, workloads
from stackyard.cli import matrix as matrices
from stackyard.cli.options import Json
from stackyard.cli.terminal import plain
from stackyard.counting import count
from stackyard.errors import BadInputError, StackyardError
from stackyard.machine import data as data_sets
from stackyard.scenarios.references import DATASET, PREPARED
from stackyard.settings import Settings
from stackyard.workloads import Catalogue, trials
from stackyard.workloads.trials import Asked, Trier

#: Keys of a source that name files.
_PATHS = ("path", "labels_path", "templates_path")
#: How a line begins that is a sentence of ours, and is not cut.
_WRAPPED = ("guessed:", "warning:")
#: A text that TOML takes between single quotes: patterns stay as people write them.
_LITERAL = re.compile(r"[ -&(-~]*")


def try_command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE_OR_SCENARIO",
            help="A log, dataset:NAME/FILE, or a scenario file, whose sources are tried.",
        ),
    ],
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="NAME", help="Read the log by this preset, instead of guessing."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A key of the source, with its value as TOML or text; repeatable.",
        ),
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", metavar="N", min=1, max=1_000_000, help="Read at most so many lines.")
    ] = 1000,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Folder of data sets instead of $STACKYARD_DATA or the cache."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what the first lines of a log become: sessions, events, corrupt lines, and the settings to paste.

    Without --preset and --set format the format is guessed, and the guess is explained. No file of yours is changed.
    """
    here = Settings.from_environment(folder)
    path = Path(what)
    left_out: list[str] = []
    if path.suffix == ".toml" and path.is_file():
        if preset is not None or settings:
            raise BadInputError(
                f"{what}: is a scenario, whose sources have their settings; leave out --preset and --set"
            )
        catalogue = workloads.load(path.parent)
        asked, left_out = _of_scenario(path, catalogue, here)
    else:
        catalogue = workloads.load()
        given = {"path": _path_of(what, here.data), **_typed(settings or [])}
        if preset is not None:
            given["preset"] = preset
        asked = [(_module(catalogue), {"where": "", "given": given})]
    trier = _trier(here, catalogue)
    answers = []
    for module in dict.fromkeys(module for module, _ in asked):
        sources = [source for each, source in asked if each == module]
        answers += trier.asked(module, {"do": "try", "lines": lines, "sources": sources})["trials"]
    if as_json:
        typer.echo(json.dumps({"trials": answers, "not_tried": left_out}, indent=1))
    else:
        for index, answer in enumerate(answers):
            typer.echo("" if index == 0 else "\n", nl=False)
            _show(answer, of_scenario=bool(answer["where"]))
        for sentence in left_out:
            typer.echo(f"not tried: {plain(sentence)}")
    wrong = [answer for answer in answers if answer["error"] is not None]
    if wrong:
        lacks = trier.code is None and any(answer["lacks_package"] for answer in wrong)
        hint = "; the default stack has it: stackyard stack build" if lacks else ""
        more = (
            "" if len(answers) == 1 else f"{len(wrong)} of {len(answers)} sources cannot be used, the first: "
        )
        raise BadInputError(f"{more}{plain(wrong[0]['error'])}{hint}")


def presets_command(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A preset, to show the settings that it stands for.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the presets: the logs of well-known products that can be read by a name."""
    catalogue = workloads.load()
    found = Trier().asked(_module(catalogue), {"do": "presets"})["presets"]
    chosen = [one for one in found if name in (None, one["name"])]
    if not chosen:
        known = ", ".join(one["name"] for one in found)
        raise BadInputError(f"there is no preset {name!r}; there are: {known}")
    if as_json:
        typer.echo(json.dumps({"presets": chosen}, indent=1))
        return
    width = max(len(one["name"]) for one in chosen)
    for one in chosen:
        typer.echo(f"{one['name']:{width}s}  {one['product']}: {one['help']}")
    if name is not None:
        typer.echo(f"after: {chosen[0]['document']}\n")
        for key, value in chosen[0]["settings"].items():
            typer.echo(f"{key} = {toml_of(value)}")


def _module(catalogue: Catalogue) -> str:
    """The module that tries a log of which nobody says what it is for: the first package's."""
    found = trials.modules(catalogue.declared)
    if not found:
        raise BadInputError(
            f"no installed package of workloads tries logs{catalogue.unread()}; see: stackyard doctor"
        )
    return found[0]


def _trier(settings: Settings, catalogue: Catalogue) -> Trier:
    """The default stack's Python, which has what the workloads need; where it is not built our own."""
    python = stacks.python_of(stacks.load()[stacks.DEFAULT], settings)
    if python is not None:
        with contextlib.suppress(
            StackyardError
        ):  # the home cannot be written: no copy of the code for that Python
            return Trier(python, catalogue.taken(settings.home)[0])
    return Trier()


def _path_of(what: str, data: Path) -> str:
    return str(data_sets.resolve(what, data) if what.startswith(DATASET) else Path(what).absolute())


def _typed(settings: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise BadInputError(f"--set {text}: expected KEY=VALUE")
        if key in found or key == "path":
            raise BadInputError(
                f"--set {key}: {'given twice' if key in found else 'the file is the argument'}"
            )
        try:
            found[key] = tomllib.loads(f"value = {value}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            found[key] = value
    return found


def _of_scenario(
    file: Path, catalogue: Catalogue, here: Settings
) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    """The sources of a scenario, each with the module that tries it, and sentences on those that cannot be yet."""
    text = toml_tables.text_of(file, "give the path of a log or of a scenario file")
    scenario = matrices.read(text, str(file), stacks.load(), catalogue, checked=True)
    found: list[tuple[str, dict[str, Any]]] = []
    left_out = []
    read = matrices.sources(scenario, catalogue)
    unread = [name for name in scenario.data if f"data.{name}" not in {one.where for one in read}]
    for name in unread:  # no workload reads them yet
        read.append(Asked(_module(catalogue), f"data.{name}", {"sources": list(scenario.data[name])}))
    for one in read:
        for index, source in enumerate(one.value.get("sources") or []):
            where, given = f"{one.where}.sources[{index}]", dict(source)
            for key in _PATHS:
                if isinstance(given.get(key), str) and not given[key].startswith(PREPARED):
                    named = given[key]
                    beside = named if named.startswith(DATASET) else str(file.parent / named)
                    given[key] = _path_of(beside, here.data)
            if any(str(given.get(key, "")).startswith(PREPARED) for key in _PATHS):
                left_out.append(f"{where}: a preparation of the scenario writes it")
            else:
                found.append((one.module, {"where": where, "given": given}))
    if not found and not left_out:
        raise BadInputError(f"{file}: has no sources of data that a package reads")
    return found, left_out


def _show(trial: dict[str, Any], *, of_scenario: bool) -> None:
    """One screen about one source. Whatever comes from the log is made harmless for a terminal."""
    width = max(60, min(shutil.get_terminal_size((110, 24)).columns, 160))

    def say(text: str) -> None:
        text = plain(text)
        if text.startswith(_WRAPPED):
            typer.echo(textwrap.fill(text, width, subsequent_indent="  "))
        else:
            typer.echo(text if len(text) <= width else text[: width - 3] + "...")

    typer.echo(plain(f"{trial['where']}: {trial['path']}" if trial["where"] else trial["path"]))
    if trial["guess"]:
        say(f"guessed: {trial['guess']}")
    if "lines_read" in trial:
        for line in _became(trial):
            say(line)
    if not of_scenario and (trial["guess"] is not None or "lines_read" in trial):
        typer.echo("\nto paste into a scenario:\n")
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(trial["path"]).name.partition(".")[0]).strip("-") or "log"
        typer.echo(f"[[data.{name}.sources]]")
        for key, value in trial["settings"].items():
            typer.echo(f"{key} = {toml_of(value)}")
        for key, value in (trial["preset_settings"] or {}).items():
            say(f"# the preset: {key} = {toml_of(value)}")
        for name in (trial.get("label_columns") or [])[:1]:
            say(f"# label_column = {toml_of(name)}")
        if trial["preset_settings"]:
            say(f"# the preset whole: stackyard data presets {trial['settings']['preset']}")


def _became(trial: dict[str, Any]) -> list[str]:
    sessions, events, bad = trial["sessions"], trial["events"], trial["quarantined"]
    part = "the whole file" if trial["whole_file"] else "the beginning of the file"
    lines = [
        f"{count(trial['lines_read'], trial['unit'])} ({part}) -> {count(events['count'], 'event')} of "
        f"{count(events['different'], 'kind')} in {count(sessions['count'], 'session')}"
    ]
    if sessions["count"]:
        least, most = sessions["shortest"], sessions["longest"]
        lines[0] += (
            f" of {count(least, 'event')}"
            if least == most
            else f" of {least} to {most} events (median {sessions['median']:g})"
        )
    if sessions["malicious"] is not None:
        lines.append(f"labelled malicious: {count(sessions['malicious'], 'session')}")
    lines += [f"passed over ({why}): {count(rows, 'row')}" for why, rows in trial["passed_over"].items()]
    lines.append(f"quarantined: {count(bad['count'], 'line')}")
    for reason in bad["reasons"]:
        shown = f": {reason['text']}" if reason["text"] else ""
        lines.append(f"  {reason['count']:>6,}  {reason['reason']} (line {reason['line']}{shown})")
    if bad["further_reasons"]:
        lines.append(f"          and {count(bad['further_reasons'], 'further reason')}")
    lines += [f"warning: {sentence}" for sentence in trial["warnings"]]
    lines.append("some sessions:" if len(sessions["shown"]) < sessions["count"] else "sessions:")
    for shown in sessions["shown"]:
        label = "" if shown["label"] is None else " malicious" if shown["label"] else " benign"
        more = ", ..." if len(shown["events"]) < shown["length"] else ""
        lines.append(
            f"  {shown['key']}{label}{_times(shown['started_at'], shown['ended_at'])}, "
            f"{count(shown['length'], 'event')}: {', '.join(shown['events'])}{more}"
        )
    lines.append("most frequent events:" if len(events["most"]) < events["different"] else "events:")
    lines += [f"  {number:>6,}  {name}" for name, number in events["most"]]
    return lines


def _times(start: float | None, end: float | None) -> str:
    if start is None:
        return ""
    first = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%d %H:%M:%S")
    last = "" if end is None else datetime.fromtimestamp(end, UTC).strftime(" to %H:%M:%S")
    return f" {first}{last}"


def toml_of(value: Any) -> str:
    """A value of a source as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inner = ", ".join(f"{_toml_key(key)} = {toml_of(each)}" for key, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_of(each) for each in value)}]"
    if isinstance(value, str):
        if ("\\" in value or '"' in value) and _LITERAL.fullmatch(value):
            return f"'{value}'"
        return _toml_text(value)
    return repr(value)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_text(key)


def _toml_text(text: str) -> str:
    """A basic string of TOML; what a terminal could take as a command is escaped."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in quoted) + '"'
