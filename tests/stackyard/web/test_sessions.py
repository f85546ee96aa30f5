"""Sessions: nobody guesses one, they end, and there are never too many."""

from __future__ import annotations

from stackyard.web.sessions import MOST_SESSIONS, SESSION_SECONDS, Sessions


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_session_ends_with_its_time_and_when_it_is_ended() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    first, second = sessions.begin("token 1"), sessions.begin("token 2")
    assert (sessions.token(first), sessions.token(second)) == ("token 1", "token 2")
    sessions.end(second)
    assert sessions.token(second) is None
    clock.now = SESSION_SECONDS - 1.0
    assert sessions.token(first) == "token 1"
    clock.now = SESSION_SECONDS + 1.0
    assert sessions.token(first) is None
    assert len(sessions) == 0


def test_a_name_is_long_random_and_not_the_token() -> None:
    sessions = Sessions()
    names = {sessions.begin("token") for _ in range(50)}
    assert len(names) == 50
    assert all(len(name) >= 43 and "token" not in name for name in names)


def test_of_too_many_the_oldest_end() -> None:
    sessions = Sessions()
    names = [sessions.begin(f"token {n}") for n in range(MOST_SESSIONS + 5)]
    assert len(sessions) == MOST_SESSIONS
    assert sessions.token(names[4]) is None
    assert sessions.token(names[5]) == "token 5"


def test_what_is_no_name_is_nobodys() -> None:
    sessions = Sessions()
    sessions.begin("token")
    assert [sessions.token(name) for name in (None, "", "x" * 43, "x" * 1_000_000)] == [None] * 4


def test_a_token_that_is_no_longer_good_ends_its_sessions() -> None:
    sessions = Sessions()
    first, second = sessions.begin("a"), sessions.begin("b")
    sessions.end_of("a")
    assert (sessions.token(first), sessions.token(second)) == (None, "b")
