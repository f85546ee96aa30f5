"""What a preset is, and how it becomes the settings of a source. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, Mapping

from stackyard_task.channel import BadInput


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
    preset's ``external_key`` goes.
    """
    settings = dict(preset.settings)
    for group in _INSTEAD:
        if any(given.get(key) is not None for key in group):
            for key in group:
                settings.pop(key, None)
    own = {key: value for key, value in given.items() if key != "preset"}
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
