"""From a fault to what the client is told: the one place where an exception becomes a refusal."""

from __future__ import annotations

import asyncio
import errno

from ..protocol.error_table import ApiError, error
from ..store import is_full as database_is_full


class Refused(ApiError):
    """A refusal in a port's own words; without any, the status speaks for itself."""

    def __init__(self, status: int, sentence: str = "") -> None:
        super().__init__(status, 0, sentence)


def refusal(fault: BaseException) -> ApiError | None:
    """What a client is told of a fault; None for one nobody foresaw, which is "internal" and goes to the log."""
    if isinstance(fault, ApiError):
        return fault
    if isinstance(fault, OverflowError):
        # beyond what can be kept: SQLite's 64 bits, the years of a date
        return error("validation", "a number is out of range")
    if isinstance(fault, asyncio.CancelledError):
        # the stop waited long enough
        return error("stopping")
    return error("disk_full") if is_full(fault) else None


def is_full(fault: BaseException) -> bool:
    """Whether the disk is full."""
    if isinstance(fault, OSError):
        return fault.errno in (errno.ENOSPC, errno.EDQUOT)
    return database_is_full(fault)
