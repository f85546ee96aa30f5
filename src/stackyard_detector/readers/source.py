"""One source of sessions as the user described it: checked, with defaults filled in.

No reading here. Standard library only.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Tuple

from stackyard_detector.readers import setting_values as check
from stackyard_detector.readers.format_settings import (
    FORMATS,
    ROW_FORMATS,
    USED,
    refuse_unused,
    refuse_without_effect,
)
from stackyard_detector.readers.instants import TIME_UNITS
from stackyard_detector.readers.masks import NAMED_MASKS
from stackyard_detector.readers.presets import without_preset
from stackyard_task.channel import BadInput

#: Values of a label column that mean benign, compared without case; everything else is malicious.
BENIGN_VALUES = ("", "-", "0", "0.0", "false", "benign", "normal", "none")
#: "any": events are brought into time order; "sorted": the file is in time order, windows close on the way;
#: "file": events keep the order of the file, whatever their times say.
TIME_ORDERS = ("any", "sorted", "file")
#: Values of a key that say that there is none, unless the source says otherwise.
NOBODY = ("-",)
#: A delimiter: any run of blanks and tabs.
WHITE_SPACE = "white space"
#: What the message of a syslog line can hold.
INSIDE = ("key-value", "json", "cef", "leef")
#: The column that has the message of a line, and the one that has the name of the message's template.
MESSAGE, TEMPLATE = "message", "template"
#: Columns of raw lines that patterns fill; no group can have such a name.
KEY_FOUND, EVENT_FOUND, TIME_FOUND, LABEL_FOUND = "<key>", "<event>", "<time>", "<label>"


@dataclass(frozen=True)
class Source:
    """A file of sessions and how to read it; see ``docs/data.md`` for the meaning of each key."""

    path: Path
    format: str
    encoding: str = "utf-8"
    label: Optional[int] = None
    key_column: Tuple[str, ...] = ()
    time_column: Tuple[str, ...] = ()
    event_column: Tuple[str, ...] = ()
    label_column: Optional[str] = None
    benign_values: FrozenSet[str] = frozenset(BENIGN_VALUES)
    #: Column -> accepted values: other rows are not of interest (and not corrupt).
    where: Mapping[str, FrozenSet[str]] = field(default_factory=dict)
    external_columns: Tuple[str, ...] = ()
    internal_networks: Tuple[str, ...] = ()
    #: What to do with a row without external address: "skip", "first" or "quarantine".
    if_none_external: str = "skip"
    action_map: Mapping[str, str] = field(default_factory=dict)
    session_minutes: Optional[float] = None
    max_events: Optional[int] = None
    max_sessions: Optional[int] = None
    time_unit: str = "s"
    time_format: str = ""
    time_order: str = "any"
    lateness_minutes: float = 5.0
    event_separator: Optional[str] = None
    delimiter: str = ","
    #: Names of a CSV file's columns, where it has no header.
    columns: Tuple[str, ...] = ()
    #: Keys that are nobody's: their rows are passed over.
    nobody: FrozenSet[str] = frozenset(NOBODY)
    #: Year of the first time, where times have none.
    year: Optional[int] = None
    #: Column of csv-sequences: index of a session's first malicious event.
    attack_column: Optional[str] = None
    #: Regular expressions, of which the first that fits counts; ``fields`` have named groups.
    fields: Tuple[str, ...] = ()
    key_pattern: Tuple[str, ...] = ()
    event_pattern: Tuple[str, ...] = ()
    message_pattern: Tuple[str, ...] = ()
    time_pattern: Tuple[str, ...] = ()
    label_pattern: Tuple[str, ...] = ()
    #: What the message of a syslog line holds; its fields are then columns "message.NAME".
    inside: str = ""
    #: (regular expression, replacement) pairs before templates are sought; ``None``: the usual ones.
    masks: Optional[Tuple[Tuple[str, str], ...]] = None
    labels_path: Optional[Path] = None
    templates_path: Optional[Path] = None
    #: The settings as given, for the checksum.
    given: Mapping[str, Any] = field(default_factory=dict, compare=False)
    #: The template set to match with; filled in by ``reading`` where ``uses_templates``.
    templates: Any = field(default=None, compare=False)

    @property
    def uses_templates(self) -> bool:
        """Whether a row's values include the template of its message."""
        return TEMPLATE in self.named_columns and "templates_path" in USED[self.format]

    @property
    def named_columns(self) -> Tuple[str, ...]:
        """The columns that the settings name, in the order key, event, time, where, label."""
        label = () if self.label_column is None or self.label is not None else (self.label_column,)
        key = self.external_columns or self.key_column
        return (*key, *self.event_column, *self.time_column, *self.where, *label)


#: What may stand in a source; "external_key" and "benign_values" take another form inside.
KEYS = tuple(
    sorted(
        {f.name for f in dataclasses.fields(Source)}
        - {"given", "templates", "external_columns", "internal_networks", "if_none_external"}
        | {"external_key", "preset"}
    )
)


def checked_sources(data: Mapping[str, Any]) -> List[Source]:
    """The sources of ``data`` = {"sources": [...]}, checked before anything is read.

    Raises:
        BadInput: an unknown key, one that the format does not use, or a value that is not allowed, naming
            source, key, value and what is.
    """
    sources = data.get("sources") if isinstance(data, Mapping) else None
    if not isinstance(sources, list) or not sources:
        raise BadInput('data has no sources; expected a non-empty list "sources"')
    return [_checked(source, f"sources[{index}]") for index, source in enumerate(sources)]


def _checked(given: Any, where: str) -> Source:
    if not isinstance(given, Mapping):
        raise BadInput(f"{where} is {given!r}, expected a table with path and format")
    given = without_preset(given, where)
    for key in given:
        if key not in KEYS:
            raise BadInput(f"{where} has no key {key!r}; allowed: {', '.join(KEYS)}")
    for key in ("path", "format"):
        if not isinstance(given.get(key), str) or not given[key]:
            raise BadInput(f"{where}: {key} is {given.get(key)!r}, expected a text")
    values: Dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    check.one_of(where, "format", values["format"], FORMATS)
    named = dict(values)
    groups = _check_values(where, values)
    refuse_unused(where, values["format"], named)
    refuse_without_effect(where, named)
    _complete(where, values["format"], named)
    if values["format"] == "lines":
        _fill_lines(where, values, groups)
    source = Source(**values, given=dict(given))
    _check_columns(where, source, groups)
    return source


def _check_values(where: str, values: Dict[str, Any]) -> FrozenSet[str]:
    """Check each value and bring it into the form that ``Source`` keeps; the named groups of ``fields``."""
    groups: FrozenSet[str] = frozenset()
    values["path"] = Path(values["path"])
    for key in ("labels_path", "templates_path"):
        if key in values:
            values[key] = Path(check.text(where, key, values[key]))
    for key in ("key_column", "time_column", "event_column"):
        if key in values:
            values[key] = check.texts(where, key, values[key])
    if "benign_values" in values:
        values["benign_values"] = frozenset(
            t.lower() for t in check.texts(where, "benign_values", values["benign_values"])
        )
    if "nobody" in values:
        values["nobody"] = frozenset(
            check.texts(where, "nobody", values["nobody"]) if values["nobody"] != [] else ()
        )
    if "columns" in values:
        values["columns"] = check.different_texts(where, "columns", values["columns"])
    for key in ("label_column", "attack_column", "time_format", "event_separator", "delimiter"):
        if key in values:
            check.text(where, key, values[key])
    if len(values.get("delimiter", ",")) != 1 and values["delimiter"] != WHITE_SPACE:
        raise BadInput(
            f"{where}: delimiter is {values['delimiter']!r}, expected one character or {WHITE_SPACE!r}"
        )
    if "year" in values:
        check.year(where, values["year"])
    if values.get("label") not in (None, 0, 1) or isinstance(values.get("label"), bool):
        raise BadInput(f"{where}: label is {values['label']!r}, expected 0 (benign) or 1 (malicious)")
    for key in ("session_minutes", "max_events", "max_sessions", "lateness_minutes"):
        if key in values:
            values[key] = check.positive(where, key, values[key], whole=key.startswith("max_"))
    check.one_of(where, "time_unit", values.get("time_unit", "s"), tuple(TIME_UNITS))
    check.one_of(where, "time_order", values.get("time_order", "any"), TIME_ORDERS)
    if "inside" in values:
        check.one_of(where, "inside", values["inside"], INSIDE)
    if "encoding" in values:
        values["encoding"] = check.encoding(where, values["encoding"])
    for key in ("key_pattern", "event_pattern", "message_pattern", "time_pattern", "label_pattern"):
        if key in values:
            values[key] = check.patterns(where, key, values[key])
    if "fields" in values:
        values["fields"], groups = check.field_patterns(where, values["fields"])
    if "masks" in values:
        values["masks"] = check.masks(where, values["masks"], NAMED_MASKS)
    if "action_map" in values:
        values["action_map"] = check.action_map(where, values["action_map"])
    if "where" in values:
        values["where"] = check.accepted(where, values["where"])
    if "external_key" in values:
        values.update(check.external_key(where, values.pop("external_key")))
    return groups


def _complete(where: str, format: str, named: Mapping[str, Any]) -> None:
    """What each format cannot do without."""
    if format in ROW_FORMATS:
        if "key_column" not in named and "external_key" not in named:
            raise BadInput(
                f"{where}: format {format!r} needs key_column or external_key (what makes a session)"
            )
        if "event_column" not in named:
            raise BadInput(f"{where}: format {format!r} needs event_column (what happened)")
    if format == "lines" and not any(key in named for key in ("key_pattern", "key_column", "external_key")):
        raise BadInput(
            f"{where}: format 'lines' needs key_pattern, e.g. '(blk_-?[0-9]+)' (what makes a session), or "
            "key_column and fields"
        )
    if named.get("time_order") == "sorted" and "session_minutes" not in named:
        raise BadInput(
            f"{where}: time_order 'sorted' needs session_minutes (a session per key ends with the file)"
        )
    if format == "csv-sequences" and not isinstance(named.get("event_column", ""), str):
        columns = named["event_column"]
        if len(columns) > 1:
            raise BadInput(
                f"{where}: event_column is {columns!r}; in format 'csv-sequences' one column has all events"
            )


def _fill_lines(where: str, values: Dict[str, Any], groups: FrozenSet[str]) -> None:
    """Raw lines are rows too: what a pattern captures is a column of its own."""
    for pattern, column, name in (
        ("key_pattern", "key_column", KEY_FOUND),
        ("event_pattern", "event_column", EVENT_FOUND),
        ("time_pattern", "time_column", TIME_FOUND),
    ):
        if pattern in values:
            values[column] = (name,)
    if "label_pattern" in values:
        values["label_column"] = LABEL_FOUND
    values.setdefault("event_column", (TEMPLATE,))
    if MESSAGE in groups and "message_pattern" in values:
        raise BadInput(f"{where}: has message_pattern and a group 'message' in fields; leave one out")


def _check_columns(where: str, source: Source, groups: FrozenSet[str]) -> None:
    """Refuse columns that no row can have, and settings that no column brings into effect."""
    columns = set(source.named_columns)
    if TEMPLATE in groups:
        raise BadInput(f"{where}: fields has a group 'template', which is the name of a column of its own")
    if source.format == "lines":
        made = {KEY_FOUND, EVENT_FOUND, TIME_FOUND, LABEL_FOUND}
        for name in source.named_columns:
            if name in made and name in source.where:
                raise BadInput(f"{where}: where names {name!r}, which is no column")
            if name not in made and name not in groups and name not in (MESSAGE, TEMPLATE):
                has = f"its groups are {', '.join(sorted(groups))}" if groups else "there are no fields"
                raise BadInput(
                    f"{where}: column {name!r} of lines is a named group of fields, and {has}; "
                    "'message' and 'template' are columns too"
                )
    if source.fields and not groups & columns and not (MESSAGE in groups and source.uses_templates):
        raise BadInput(f"{where}: fields has no group that another setting names as a column")
    if source.message_pattern and not columns & {MESSAGE, TEMPLATE}:
        raise BadInput(
            f"{where}: message_pattern has no effect: no column is 'message' or 'template' (what is captured "
            "is the event with event_pattern)"
        )
    for key in ("masks", "templates_path"):
        if key in source.given and source.given[key] is not None and not source.uses_templates:
            raise BadInput(f"{where}: {key} has no effect: no event is 'template' here")
    if source.inside and not any(name.startswith(MESSAGE + ".") for name in columns):
        raise BadInput(f"{where}: inside has no effect: no column begins with 'message.'")
