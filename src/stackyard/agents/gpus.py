"""How much of each GPU is in use now, whoever uses it: asked of the driver's own tool.

Judges nothing but whether more is used than a share. May import hardware's words for a driver that does not answer.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

TOOL = "nvidia-smi"
ANSWER_SECONDS = 10
#: So many looks in a row must agree before a GPU counts as taken, or as free again.
LOOKS = 2


@dataclass(frozen=True)
class Use:
    """One GPU's memory, and how busy it is."""

    used_bytes: int
    total_bytes: int
    #: 0 to 1; ``None``: the driver does not tell.
    busy: float | None = None

    @property
    def share(self) -> float:
        """The used part of it, 0 to 1."""
        return self.used_bytes / self.total_bytes if self.total_bytes else 0.0


def read() -> dict[int, Use]:
    """Index -> use of every GPU; nothing where the driver does not answer."""
    tool = shutil.which(TOOL)
    if tool is None:
        return {}
    query = "--query-gpu=index,memory.used,memory.total,utilization.gpu"
    try:
        done = subprocess.run(
            [tool, query, "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found = {}
    for line in done.stdout.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) in (3, 4) and all(word.isdigit() for word in words[:3]):
            index, used, total = map(int, words[:3])
            busy = int(words[3]) / 100 if words[3:] and words[3].isdigit() else None
            found[index] = Use(used * 2**20, total * 2**20, busy)
    return found


@dataclass
class Guard:
    """Whether GPUs without a task of ours are taken by others.

    Args:
        share: the part of its memory that others may use.
        look: tells the use of every GPU.
    """

    share: float
    look: Callable[[], dict[int, Use]] = read
    #: What was seen last.
    seen: dict[int, Use] = field(default_factory=dict)
    _votes: dict[int, int] = field(default_factory=dict)
    _taken: dict[int, str] = field(default_factory=dict)

    def update(self, idle: set[int]) -> None:
        """Look at the GPUs on which no task of ours runs; what others use cannot be told on the rest."""
        self.seen = self.look()
        for index, use in self.seen.items():
            if index not in idle:
                self._votes.pop(index, None)
                self._taken.pop(index, None)
                continue
            above, held = use.share > self.share, index in self._taken
            votes = self._votes[index] = self._votes.get(index, 0) + 1 if above != held else 0
            words = f"GPU {index} is used by others ({use.share:.0%} of its memory)"
            if above and (held or votes >= LOOKS):
                self._taken[index] = words
                self._votes[index] = 0
            elif not above and held and votes >= LOOKS:
                del self._taken[index]
                self._votes[index] = 0

    def taken(self, index: int | None) -> str | None:
        """Why a GPU is not to be used now; ``None``: it may be."""
        return None if index is None else self._taken.get(index)
