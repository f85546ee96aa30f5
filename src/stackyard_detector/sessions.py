"""A session: the events of one key (an IP, a block) in time order. The word readers and detector share.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional


@dataclass
class Session:
    """Events of one key in time order, with what is known about them."""

    key: str
    #: Event names; readers intern them, so that equal names share memory.
    events: List[str]
    #: 1 malicious, 0 benign, ``None`` unknown.
    label: Optional[int] = None
    #: Instant of the first event, seconds since the epoch; ``None`` where the source has no time.
    started_at: Optional[float] = None
    #: Instant of the last event, likewise.
    ended_at: Optional[float] = None
    #: Index of the first event that is malicious by itself; ``None`` where none is, or where the source labels
    #: whole sessions only. At or beyond the end of ``events`` where ``max_events`` cut that event off.
    attack_starts_at: Optional[int] = None
