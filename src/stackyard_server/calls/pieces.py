"""One call's work in several transactions, so that what others ask comes in between.

A batch of events is taken in piece by piece, a call for many ids some ids at a time. Each piece is committed by itself:
what ClearML does to many ids or events it does one by one, too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from ..protocol import bounds, fields
from ..protocol.error_table import ApiError, error
from . import Call, dispatch
from .endpoint import Endpoint

#: A larger batch of events is taken in by pieces; a piece of it, and of a list of ids.
LARGE_BYTES, BYTES, IDS = 512 * 1024, 128 * 1024, 8

#: From a piece's text to its lines; whether it is only looked at.
Parse = Callable[[bytes, bool], Awaitable[list[dict[str, Any]]]]


async def lines(entry: Endpoint, call: Call, parse: Parse) -> dict[str, Any]:
    """A batch of events, piece by piece: how many were stored, and how many were not, by reason.

    Raises:
        ApiError: A line cannot be read, and nothing was stored; none was stored; what the endpoint refuses.
    """
    whole, added, errors = call.body, 0, Counter[str]()
    pieces = bounds.pieces(whole, BYTES)
    for begin, end in pieces if len(pieces) > 1 else ():
        await parse(whole[begin:end], True)
        await asyncio.sleep(0)  # nothing was waited for where the piece is small
    for begin, end in pieces:
        text = whole[begin:end]
        if not text.strip():
            continue
        part = replace(call, body=text, lines=await parse(text, False), after_commit=[])
        try:
            answer = await dispatch.answer_together(entry, part)
        except ApiError as refused:
            if not refused.details or (refused.code, refused.subcode) != NOTHING_ADDED:
                raise
            errors.update(refused.details)
            await asyncio.sleep(0)  # nothing was waited for
        else:
            added += answer["added"]
            errors.update(answer["errors_info"])
    if not added:
        raise error("events_not_added", **errors) if errors else error("empty_batch")
    return {"added": added, "errors": errors.total(), "errors_info": dict(errors)}


_nothing = error("events_not_added")
NOTHING_ADDED = (_nothing.code, _nothing.subcode)


async def ids(entry: Endpoint, call: Call) -> dict[str, Any]:
    """A call for many ids, some at a time: what succeeded and what did not, in the order of the ids.

    Raises:
        ApiError: What the endpoint refuses.
    """
    if not call.checked:
        fields.check(entry.name, call.data)
    wanted = list(dict.fromkeys(id for id in call.data["ids"] if id is not None)) or call.data["ids"][:1]
    together: dict[str, Any] = {}
    for begin in range(0, len(wanted), IDS):
        data = {**call.data, "ids": wanted[begin : begin + IDS]}
        answer = dispatch.answer(entry, replace(call, data=data, checked=True, after_commit=[]))
        for name, value in answer.items():
            if isinstance(value, list):
                together.setdefault(name, []).extend(value)
            else:
                together[name] = value
        await asyncio.sleep(0)
    return together


async def steps(entry: Endpoint, call: Call) -> Any:
    """A call whose endpoint works step by step: what it answers at the end.

    Raises:
        ApiError: What the endpoint refuses; what earlier steps did stays done.
    """
    work, answered = dispatch.step(entry, call, None)
    while work is not None:
        await asyncio.sleep(0)
        work, answered = dispatch.step(entry, call, work)
    return answered


def is_due(number: int) -> bool:
    """Whether others are to come in before the item of that number: so many were done since they last did."""
    return number > 0 and number % IDS == 0


def has_many(call: Call) -> bool:
    """Whether a call is for more ids than are done at a time."""
    wanted = call.data.get("ids")
    return isinstance(wanted, list) and len(wanted) > IDS
