"""Presets: the settings of a source for the logs of well-known products, by name (``preset = "zeek-dns"``).

Data, one file for each kind of product; ``preset`` says what one is. ``docs/log-formats.md`` is their page.
Standard library only.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Tuple

from stackyard_detector.readers.presets.firewalls import FIREWALLS
from stackyard_detector.readers.presets.hosts import HOSTS
from stackyard_detector.readers.presets.preset import Preset, named, settings_with
from stackyard_detector.readers.presets.sensors import SENSORS
from stackyard_detector.readers.presets.services import SERVICES

#: All there are; of two that a line looks like, the first is guessed.
PRESETS: Tuple[Preset, ...] = (*SENSORS, *FIREWALLS, *HOSTS, *SERVICES)

__all__ = ["PRESETS", "Preset", "without_preset"]


def without_preset(given: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The settings of a source with its preset, where it names one, written out.

    Raises:
        BadInput: there is no such preset.
    """
    if given.get("preset") is None:
        return given
    settings: Dict[str, Any] = settings_with(named(PRESETS, given["preset"], where), given)
    return settings
