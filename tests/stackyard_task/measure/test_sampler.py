"""What a sampler makes of what it reads."""

from __future__ import annotations

import math
from typing import Any, Optional

from stackyard_task.measure.gpu import GpuMeter
from stackyard_task.measure.sampler import Sampler


class Counted:
    """A cgroup in which a process has ended before anybody looked."""

    version = 1
    peak_resettable = False

    def cpu_seconds(self) -> Optional[float]:
        return 0.125


def test_cpu_that_was_used_before_the_first_look_counts() -> None:
    nobody: Any = None
    cgroup: Any = Counted()
    assert Sampler(nobody, cgroup, 0.0, math.inf, GpuMeter()).cpu_seconds() == 0.125
