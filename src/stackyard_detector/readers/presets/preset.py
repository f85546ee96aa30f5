"""What a preset is, and how it becomes the settings of a source. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, Mapping

from stackyard_task.channel import BadInput

#: What a pattern of a preset writes for an address, a time at the head of a line, and the port of a service: well-known
#: ones and some that servers have; any other is a client's, and no part of an event.
ADDRESS = (
    r"(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}"
    # shortened, with "::": a clock, a duration and a MAC have none
    r"|(?=[0-9A-Fa-f:]{0,35}::)(?:[0-9A-Fa-f]{1,4})?(?::[0-9A-Fa-f]{0,4}){2,7}(?:\d{1,3}(?:\.\d{1,3}){3})?)"
)
TIME = (
    r"[A-Z][a-z]{2} [ \d]?\d(?: \d{4})? \d\d:\d\d:\d\d(?:\.\d+)?"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)?"
)
#: Structured data of RFC 5424, with the blank behind it; a few elements, so that no line takes long.
STRUCTURED = r"(?:- |(?:\[[^\s=\]\"]{1,64}(?: [^\s=\]\"]{1,64}=\"[^\"]*\"){1,32}\]){1,8} ?)"
SERVICE = (
    r"(?:\d{1,3}|10[01]\d|102[0-3]|1433|1521|2049|3128|3306|3389|4500|5060|5432|5900|598[56]|6379|8000|8080|8443|9200|27017)"
    r"(?!\d)"
)


@dataclass(frozen=True)
class Preset:
    """The settings for one log of one product, and where its form is described."""

    name: str
    #: Who makes the product, and what its log is called.
    product: str
    #: One line: what makes a session, and what an event is.
    help: str
    #: The maker's document, and the section that shows the form.
    document: str
    #: Keys of a source, as a scenario has them; without path.
    settings: Mapping[str, Any]
    #: A regular expression that is found in a line of this log, and in few others; empty: never guessed.
    looks: str = ""


#: Keys that say the same thing in different ways: one of them from the user takes the place of all the preset's.
_INSTEAD = (
    ("key_column", "external_key", "key_pattern"),
    ("event_column", "event_pattern", "message_pattern"),
    ("time_column", "time_pattern"),
    ("label", "label_column", "labels_path"),
)


def settings_with(preset: Preset, given: Mapping[str, Any]) -> Dict[str, Any]:
    """What a source with a preset means: the preset's settings, each replaced by the user's own where there is one.

    A key of the user's own that says the same in another way takes the preset's away: with ``key_column`` the
    preset's ``external_key`` goes. What a table ``external_key`` leaves out is the preset's.
    """
    settings = dict(preset.settings)
    for group in _INSTEAD:
        if any(given.get(key) is not None for key in group):
            for key in group:
                settings.pop(key, None)
    own = {key: value for key, value in given.items() if key != "preset"}
    addresses, named = preset.settings.get("external_key"), own.get("external_key")
    if addresses is not None and isinstance(named, Mapping):
        own["external_key"] = {**addresses, **named}
    return {**settings, **own}


def named(presets: Iterable[Preset], name: Any, where: str) -> Preset:
    """The preset called ``name``.

    Raises:
        BadInput: there is none; the sentence lists those there are.
    """
    known = {preset.name: preset for preset in presets}
    if not isinstance(name, str) or name not in known:
        raise BadInput(f"{where}: preset is {name!r}, expected one of {', '.join(sorted(known))}")
    return known[name]
