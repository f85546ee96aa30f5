"""Result figures that a program says in its own way: on its output, in files, to TensorBoard or to ClearML.

``read`` takes the sources of ``metric_sources`` and the places of a run that has ended. Nothing that a program leaves
breaks it: a source that gives nothing costs one sentence. Bytes, letters, points and seconds are bounded. Standard
library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping

from stackyard_task.metric_sources import Source, parsed
from stackyard_task.metrics import log_lines, offline, tables, tensorboard
from stackyard_task.metrics.figure import Figure, Nothing, Value
from stackyard_task.metrics.files import Places, Say
from stackyard_task.metrics.patience import Patience, TimeUp

__all__ = ["READING_SECONDS", "Places", "Read", "read"]

#: What reading all metrics of a run may take.
READING_SECONDS = 30.0
#: Notes about one metric, and how long one may be.
_NOTES = 5
_NOTE_LETTERS = 600

#: Kind of source -> what reads one.
_READERS: Dict[str, Callable[[Source, Places, Say], Figure]] = {
    "json": tables.read_json_file,
    "jsonl": tables.read_json_lines,
    "csv": tables.read_table,
    "tensorboard": tensorboard.read,
    "clearml": offline.read,
}


@dataclass
class Read:
    """What was found."""

    #: Metric -> its last value. NaN and infinities are texts, as in a record's results.
    values: Dict[str, Value] = field(default_factory=dict)
    #: Metric -> [[step, value], ...]; absent for JSON files, which hold one value, and where the values are no numbers.
    series: Dict[str, List[List[Any]]] = field(default_factory=dict)
    #: A sentence for each metric that has no value, and for what was not looked at.
    notes: List[str] = field(default_factory=list)


def read(sources: Mapping[str, str], places: Places, seconds: float = READING_SECONDS) -> Read:
    """What the program said.

    Call it from the main thread: in another one a pattern that backtracks for ever is not interrupted.

    Args:
        sources: Metric -> its source (``metric_sources``).
        places: Where the run left what.
        seconds: What the whole reading may take; each metric has an equal share.
    """
    found, by_kind = Read(), _by_kind(sources)
    patience = Patience(seconds, len(sources))

    def note(sentence: str) -> None:
        shown = "".join(letter if letter.isprintable() else "?" for letter in " ".join(sentence.split()))
        if shown not in found.notes:
            found.notes.append(shown if len(shown) <= _NOTE_LETTERS else shown[: _NOTE_LETTERS - 3] + "...")

    def say(name: str, sentence: str) -> None:
        said[name] = said.get(name, 0) + 1
        if said[name] <= _NOTES:
            note(f"metric {name!r}: {sentence}")

    said: Dict[str, int] = {}
    figures: Dict[str, Figure] = {}
    printed = {name: source.key for name, source in by_kind.get("line", {}).items()}
    if printed:
        figures.update(log_lines.read(printed, places, patience, say, note))
    for kind, reader in _READERS.items():
        for name, source in by_kind.get(kind, {}).items():

            def work(reader: Any = reader, name: str = name, source: Source = source) -> None:
                figures[name] = reader(source, places, lambda sentence: say(name, sentence))

            try:
                patience.spend(name, work)
            except Nothing as why:
                say(name, str(why))
            except TimeUp:
                figures.pop(name, None)
                say(name, f"reading it took longer than {patience.share:.3g} s")
            except OSError as error:
                say(name, f"it cannot be read ({error.strerror or error})")
    for name, text in sources.items():
        figure = figures.get(name)
        if figure is not None and figure.last is not None:
            found.values[name] = figure.last
            if figure.course() and parsed(text).kind != "json":
                found.series[name] = figure.course()
    return found


def _by_kind(sources: Mapping[str, str]) -> Dict[str, Dict[str, Source]]:
    kinds: Dict[str, Dict[str, Source]] = {}
    for name, text in sources.items():
        source = parsed(text)
        kinds.setdefault(source.kind, {})[name] = source
    return kinds
