"""From a call to its answer: which function serves it, who may call it, and the transaction it runs in.

An endpoint is a function ``(call: Call) -> data`` marked with ``@endpoint``; its name is
``<module>.<function>``. The newest implementation whose version is not above the one asked for answers.
Every function that touches a table runs inside one transaction, which is committed before its answer is
sent and rolled back when it raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from ..identity import roles
from ..protocol import fields
from ..protocol.envelope import parse_version
from ..protocol.error_table import ApiError, error
from ..store import Transaction
from . import Call, fence, refusals, unknown
from .endpoint import Access, Endpoint, Fenced, Pieces

if TYPE_CHECKING:
    from ..identity import Identity

#: Work that lets others come in where it yields; what it returns is the answer.
Steps = Generator[None, None, Any]

_table: dict[str, list[Endpoint]] = {}


def endpoint(
    version: str = "1.0",
    *,
    access: Access = "read",
    name: str | None = None,
    role: str | None = None,
    signed_in: bool = True,
    batch: bool = False,
    slow: bool | None = None,
    glance: Callable[[Call], Any] | None = None,
    pieces: Pieces | None = None,
    prepare: Callable[[list[dict[str, Any]]], None] | None = None,
    fenced: Fenced | None = None,
    absent: str = "",
    destructive: bool = False,
    lists: str | None = None,
) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Mark a function as the implementation of ``<its module>.<its name>`` from an API version on.

    Args:
        version: The least API version that gets this implementation; shown as ``actual_version``.
        access: What it does to the store. A read-only user may call "none" and "read" only.
        name: The action's name where the function's cannot be it.
        role: The least role allowed; by default "readonly" for reads, "user" for writes.
        signed_in: False for the few that answer before anyone signed in.
        batch: It takes NDJSON (``call.lines``).
        slow: Whether it grows with what is stored or asked. Every read does, unless it says that it does not.
        glance: Looks whether there is anything to write before a transaction for writing begins.
        pieces: "lines", "ids" or "steps" where a large call may be done in several transactions.
        prepare: What can be done beforehand with large lines, in any thread.
        fenced: "task" where it writes to the task that its field ``task`` names, "run" where only that task's own run
            makes such a call: an earlier run's writes are refused.
        absent: Why it answers 404 to requests whose fields are right.
        destructive: It takes something away (deletes, resets, clears, stops, archives): a field that nobody knows may
            have narrowed that, and is refused.
        lists: The collection it lists, by name, or its field that says which: each of the collection's fields is a
            filter.
    """

    def mark(function: Callable[[Call], Any]) -> Callable[[Call], Any]:
        service = function.__module__.rpartition(".")[2]
        full = f"{service}.{name or function.__name__}"
        least = role or ("readonly" if access in ("none", "read") else "user")
        entry = Endpoint(
            full,
            parse_version(version),
            version,
            function,
            access,
            least,
            signed_in,
            batch,
            access == "read" if slow is None else slow,
            glance,
            pieces,
            prepare,
            fenced,
            absent,
            destructive,
            lists,
        )
        known = _table.setdefault(full, [])
        known.append(entry)
        known.sort(key=lambda e: e.version, reverse=True)
        return function

    return mark


def known() -> dict[str, list[Endpoint]]:
    """Every endpoint that was marked, by name, newest first."""
    return _table


def find(name: str, version: str) -> Endpoint:
    """The implementation that answers.

    Raises:
        ApiError: 404/0.
    """
    asked = parse_version(version)
    for entry in _table.get(name, ()):
        if entry.version <= asked:
            return entry
    raise ApiError(404, 0, f"Unable to find endpoint for name {name} and version {version}")


def allow(entry: Endpoint, who: Identity | None) -> None:
    """Check the caller's role.

    Raises:
        ApiError: 401/20 without sign-in, 403/20 below the least role.
    """
    if not entry.signed_in:
        return
    if who is None:
        raise error("no_credentials")
    if not roles.allows(who.role, entry.role):
        raise error("role_not_allowed", role=who.role, allowed=roles.allowed(entry.role))


def answer(entry: Endpoint, call: Call) -> Any:
    """Run an endpoint in its transaction.

    Args:
        entry: Who answers.
        call: The request; its ``tx`` is set here, unless the endpoint touches no table.

    Raises:
        ApiError: What the endpoint refused.
    """
    _check(entry, call)
    if entry.absent:
        raise error("unknown_endpoint", entry.absent, name=entry.name)
    if entry.access == "none":
        return entry.function(call)
    store = call.services.store
    if entry.access == "read":
        with refusals.told(), store.reading(call.reading) as tx:
            call.tx = tx
            return entry.function(call)
    if entry.glance is not None:
        with refusals.told(), store.reading() as tx:
            call.tx = tx
            answered = entry.glance(call)
        if answered is not None:
            return answered
    with refusals.told(), store.writing("metrics" if entry.access == "metrics" else "state") as tx:
        answered = _written(entry, call, tx)
    for action in call.after_commit:
        action()
    return answered


def step(entry: Endpoint, call: Call, work: Steps | None) -> tuple[Steps | None, Any]:
    """Do the next step of an endpoint's work, in a transaction of its own.

    Args:
        entry: Who answers.
        call: The request.
        work: What is left; None at the beginning.

    Returns:
        What is left, and None; None and the answer where it is done.

    Raises:
        ApiError: What the endpoint refused.
    """
    if work is None:
        _check(entry, call)
    with (
        refusals.told(),
        call.services.store.writing("metrics" if entry.access == "metrics" else "state") as tx,
    ):
        _enter(entry, call, tx)  # at every step: the task may have been queued again meanwhile
        begun: Steps = entry.function(call) if work is None else work
        over, answered = _stepped(begun)
    if not over:
        return begun, None
    for action in call.after_commit:
        action()
    return None, answered


def _stepped(work: Steps) -> tuple[bool, Any]:
    """Whether work is done, and its answer."""
    try:
        next(work)
    except StopIteration as over:
        return True, over.value
    return False, None


async def answer_together(entry: Endpoint, call: Call) -> Any:
    """Run a "metrics" endpoint in a transaction shared with the requests that came at the same moment.

    Raises:
        ApiError: What the endpoint refused.
        store.Fault: The commit failed; nothing of the moment was written.
    """
    _check(entry, call)
    loop = asyncio.get_running_loop()
    committed: asyncio.Future[None] = loop.create_future()

    def tell(fault: BaseException | None) -> None:
        if committed.cancelled():
            return
        if fault is None:
            committed.set_result(None)
        else:
            committed.set_exception(fault)

    with refusals.told(), call.services.store.sharing(loop.call_soon) as group:
        answered = _written(entry, call, group.transaction)
    group.then(tell)
    await committed
    for action in call.after_commit:
        action()
    return answered


def _check(entry: Endpoint, call: Call) -> None:
    if not entry.batch and not call.checked:
        fields.check(entry.name, call.data)
    unknown.check(entry, call)


def _written(entry: Endpoint, call: Call, tx: Transaction) -> Any:
    _enter(entry, call, tx)
    return entry.function(call)


def _enter(entry: Endpoint, call: Call, tx: Transaction) -> None:
    call.tx = tx
    if tx.fenced and entry.fenced is not None:
        fence.check(call, by_run=entry.fenced == "run")
