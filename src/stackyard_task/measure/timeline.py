"""The course of a run's CPU, memory and GPU use, thinned out so that a long run stays a small file. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

#: Points kept at most; when full, neighbours are merged and the distance doubles.
CAPACITY = 1200


class Timeline:
    """Points over time. Merged points keep the greater memory and the mean CPU: peaks do not vanish."""

    def __init__(self, interval_seconds: float, gpu_indices: Optional[List[int]] = None) -> None:
        self.interval_seconds = interval_seconds
        self._gpu_indices = gpu_indices or []
        self._points: List[List[Any]] = []
        self._next_at = 0.0

    def add(
        self,
        at_seconds: float,
        cpu_percent: Optional[float],
        rss_bytes: Optional[int],
        gpus: Optional[List[List[Any]]] = None,
    ) -> None:
        """Add a point; ``gpus`` is [memory_bytes, utilisation_percent] per device."""
        point = [at_seconds, cpu_percent, rss_bytes, gpus or []]
        if self._points and at_seconds < self._next_at:
            self._points[-1] = _merged(self._points[-1], point)
            return
        self._points.append(point)
        self._next_at = at_seconds + self.interval_seconds * 0.95
        if len(self._points) >= CAPACITY:
            pairs = zip(self._points[::2], self._points[1::2])
            self._points = [_merged(first, second) for first, second in pairs]
            self.interval_seconds *= 2

    def to_json(self, phases: List[Dict[str, Any]]) -> Dict[str, Any]:
        """The form of ``timeline.json``."""
        return {
            "interval_seconds": self.interval_seconds,
            "t_seconds": [round(point[0], 3) for point in self._points],
            "cpu_percent_of_core": [None if p[1] is None else round(p[1], 1) for p in self._points],
            "rss_bytes": [point[2] for point in self._points],
            "gpus": [
                {
                    "index": index,
                    "memory_bytes": [p[3][i][0] if i < len(p[3]) else None for p in self._points],
                    "utilisation_percent": [p[3][i][1] if i < len(p[3]) else None for p in self._points],
                }
                for i, index in enumerate(self._gpu_indices)
            ],
            "phases": phases,
        }


def _merged(first: List[Any], second: List[Any]) -> List[Any]:
    gpus = second[3] or first[3]
    if first[3] and second[3]:
        gpus = [[_greater(a[0], b[0]), _greater(a[1], b[1])] for a, b in zip(first[3], second[3])]
    if first[1] is None or second[1] is None:
        cpu = first[1] if second[1] is None else second[1]
    else:
        cpu = (first[1] + second[1]) / 2
    return [second[0], cpu, _greater(first[2], second[2]), gpus]


def _greater(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else max(a, b)
