"""The time of a stage: work of less than a second is done again, for one short time alone says little."""

from __future__ import annotations

import statistics
import time
from typing import Any, Callable, Dict, List, Optional, Tuple, TypeVar

from stackyard_task.channel import Channel

#: Work that takes as long is timed once.
LONG_SECONDS = 1.0
#: Shorter work is repeated until all repeats together took so long, and so often at most.
ENOUGH_SECONDS = 2.0
MOST = 50

Result = TypeVar("Result")


def timed(
    channel: Channel, work: Callable[[], Result], repeats: Optional[int]
) -> Tuple[Result, Dict[str, Any]]:
    """Do ``work`` in the phase "steady"; what it answered the last time, and its times as results.

    Args:
        channel: Whom each repeat is told, as a step.
        work: It must do the same each time.
        repeats: How often; ``None``: once where it takes a second, else as often as the bounds above allow.

    Returns:
        The answer, and ``stage_seconds_min``, ``stage_seconds_median``, ``stage_cpu_seconds_min``,
        ``stage_cpu_seconds_median`` (of this process alone) and ``stage_repeats``.
    """
    channel.phase("steady")
    walls: List[float] = []
    cpus: List[float] = []
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        answer = work()
        cpus.append(time.process_time() - cpu)
        walls.append(time.perf_counter() - wall)
        channel.step(walls[-1])
        if repeats is not None:
            if len(walls) >= repeats:
                break
        elif walls[0] >= LONG_SECONDS or sum(walls) >= ENOUGH_SECONDS or len(walls) >= MOST:
            break
    channel.phase("finish")
    return answer, {
        "stage_seconds_min": min(walls),
        "stage_seconds_median": statistics.median(walls),
        "stage_cpu_seconds_min": min(cpus),
        "stage_cpu_seconds_median": statistics.median(cpus),
        "stage_repeats": len(walls),
    }
