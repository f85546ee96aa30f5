"""One call for many ids: what succeeded, and for each that did not the error a single call would have given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..protocol.error_table import ApiError, error
from ..store import Transaction
from . import refusals


def apply(
    tx: Transaction, ids: Iterable[str], function: Callable[[str], dict[str, Any] | None]
) -> dict[str, list[dict[str, Any]]]:
    """Run a function once per id, each in a savepoint of its own.

    Args:
        tx: The call's transaction.
        ids: In the order of the request; none twice.
        function: From an id to what its entry says beside the id.

    Returns:
        ``{"succeeded": [{"id", ...}], "failed": [{"id", "error": {"codes", "msg", "data"}}]}``.

    Raises:
        ApiError: 400/12 without ids.
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise error("validation", "ids must not be empty")
    succeeded: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for id in wanted:
        try:
            with refusals.told(), tx.savepoint():
                entry = function(id)
        except ApiError as refused:
            fault = {
                "codes": [refused.code, refused.subcode],
                "msg": refused.message,
                "data": refused.details,
            }
            failed.append({"id": id, "error": fault})
        else:
            succeeded.append({"id": id, **(entry or {})})
    return {"failed": failed, "succeeded": succeeded}
