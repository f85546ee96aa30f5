"""What the services process does when its key is no longer good."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard.clearml.client import ServerError, UnreachableError
from stackyard.services.watch import Watch


class Server:
    """Answers a client with a good key, refuses one with another."""

    def __init__(self, good: bool, error: Exception | None = None) -> None:
        self.good = good
        self.error = error or ServerError("the key is refused", 401)
        self.calls: list[str] = []

    def call(self, method: str, **_fields: Any) -> dict[str, Any]:
        if not self.good:
            raise self.error
        self.calls.append(method)
        return {"workers": [], "tasks": []}


def test_a_refused_key_is_read_again() -> None:
    renewed = Server(True)
    watch = Watch(Server(False), lambda: [], renewed=lambda: renewed)  # type: ignore[arg-type, return-value]
    seen = watch.look()
    assert seen.fault == "the key is refused"
    assert watch.look().fault is None


def test_a_key_refused_too_often_is_read_again_too_and_still_called_refused() -> None:
    bad = Server(False)
    keys = [bad, Server(True)]
    watch = Watch(bad, lambda: [], renewed=lambda: keys.pop(0))  # type: ignore[arg-type, return-value]
    assert watch.look().fault == "the key is refused"
    bad.error = ServerError("too many attempts", 429)
    seen = watch.look()
    assert seen.fault == "the key is refused"
    assert not seen.silent, "a server that refuses need not be started again"
    assert watch.look().fault is None


def test_another_authority_of_the_server_is_read_too() -> None:
    old = Server(False, UnreachableError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"))
    watch = Watch(old, lambda: [], renewed=lambda: Server(True))  # type: ignore[arg-type, return-value]
    assert watch.look().silent
    assert watch.look().fault is None


def test_a_server_that_does_not_answer_is_silent() -> None:
    watch = Watch(Server(False, UnreachableError("gone")), lambda: [])  # type: ignore[arg-type]
    assert watch.look().silent


@pytest.mark.parametrize(("code", "left"), [(401, True), (429, True), (400, False)])
def test_a_job_waits_for_a_good_key_and_for_nothing_else(code: int, left: bool) -> None:
    watch = Watch(Server(True), lambda: [], renewed=lambda: Server(True))  # type: ignore[arg-type, return-value]

    def job() -> None:
        raise ServerError("no", code)

    watch.do(job)
    watch._do_jobs()
    assert watch.idle() is not left
