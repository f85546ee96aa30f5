"""Energy of the processor packages from Intel/AMD RAPL counters, where the kernel lets us read them.

The counter is the whole package's: on a machine with other work their energy is in it. Standard library only.
"""

from __future__ import annotations

import contextlib
import math
import os
from typing import Callable, Dict, Optional, Tuple, Union

METHOD = "rapl package (whole machine)"
#: "simulated:15": in the place of counters, 15 W for each core that the run keeps busy.
ENERGY_VARIABLE = "STACKYARD_ENERGY"


class EnergyCounters:
    """The package counters below ``root``; read twice, the difference is joules."""

    def __init__(self, root: str = "/sys/class/powercap") -> None:
        self._counters: Dict[str, int] = {}
        self._first: Dict[str, int] = {}
        try:
            names = sorted(os.listdir(root))
        except OSError:
            return
        for name in names:
            # "intel-rapl:0" is a package; "intel-rapl:0:1" a part of it, which would count twice
            if name.count(":") == 1 and name.startswith("intel-rapl:"):
                folder = f"{root}/{name}"
                value, span = _number(f"{folder}/energy_uj"), _number(f"{folder}/max_energy_range_uj")
                if value is not None and span is not None:
                    self._counters[folder] = span
                    self._first[folder] = value

    def since_start(self) -> Tuple[Optional[float], Optional[str]]:
        """Joules since this object was made, and the method; ``(None, None)`` without a counter.

        A counter that wrapped around is taken to have done so once.
        """
        if not self._counters:
            return None, None
        joules = 0.0
        for folder, span in self._counters.items():
            value = _number(f"{folder}/energy_uj")
            if value is None:
                return None, None
            used = value - self._first[folder]
            joules += (used if used >= 0 else used + span) / 1e6
        return joules, METHOD


def _number(path: str) -> Optional[int]:
    try:
        with open(path, encoding="ascii") as stream:
            return int(stream.read())
    except (OSError, ValueError):
        return None


class SimulatedEnergy:
    """Energy that nobody counted: so many watts for each core that the run keeps busy. For tests and benchmarks.

    Args:
        watts: of one busy core.
        cpu_seconds: CPU seconds of the run so far.
    """

    def __init__(self, watts: float, cpu_seconds: Callable[[], Optional[float]]) -> None:
        self._watts, self._cpu_seconds = watts, cpu_seconds

    def since_start(self) -> Tuple[Optional[float], Optional[str]]:
        """Joules so far, and a method that says that they are simulated."""
        used = self._cpu_seconds()
        if used is None:
            return None, None
        return used * self._watts, f"simulated: {self._watts:g} W for each busy core"


def energy_of(cpu_seconds: Callable[[], Optional[float]]) -> Union[EnergyCounters, SimulatedEnergy]:
    """The machine's counters, or what ENERGY_VARIABLE asks for in their place."""
    watts = simulated_watts()
    return EnergyCounters() if watts is None else SimulatedEnergy(watts, cpu_seconds)


def simulated_watts() -> Optional[float]:
    """What ENERGY_VARIABLE says; ``None``: nothing.

    Raises:
        ValueError: it says something else; the message is one sentence.
    """
    told = os.environ.get(ENERGY_VARIABLE, "")
    kind, _, watts = told.partition(":")
    found = 0.0
    if kind == "simulated":
        with contextlib.suppress(ValueError):
            found = float(watts)
    if told and not 0 < found < math.inf:
        raise ValueError(f"{ENERGY_VARIABLE} is {told!r}, expected simulated:WATTS, such as simulated:15")
    return found or None
