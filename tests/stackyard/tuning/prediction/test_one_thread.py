from __future__ import annotations

from stackyard.tuning.prediction import one_thread as module


def test_inside_there_is_one_thread_and_afterwards_as_many_as_before() -> None:
    libraries = module._libraries()
    before = [get() for get, _ in libraries]
    with module.one_thread():
        assert [get() for get, _ in libraries] == [1] * len(libraries)
    assert [get() for get, _ in libraries] == before
