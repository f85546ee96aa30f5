"""What every suite shares: the run's own folder, gone with all that names it; which tests are whole ones."""

from __future__ import annotations

from typing import List

import hypothesis
import pytest

from tests import session
from tests.counts import examples

#: Fixtures that start an agent, a container, a browser or the SDK; a test with one of them is a "whole" one.
WHOLE = {"engine", "browser", "on_agent", "in_container", "dispatched", "sent", "installed", "python"}
#: Fixtures that take seconds of a processor: a stack of the tests' own, built by pip.
SLOW = {"built"}


#: How long an example takes says how loaded the machine is.
hypothesis.settings.register_profile("untimed", deadline=None, max_examples=examples(100))


def pytest_configure() -> None:
    hypothesis.settings.load_profile("untimed")
    session.begin()


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    for item in items:
        if WHOLE & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("engine"):
            item.add_marker("whole")
        if SLOW & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    # what takes minutes begins first, so that no process of a suite works alone at its end
    long = {
        item.path for item in items if item.get_closest_marker("whole") or item.get_closest_marker("slow")
    }
    items.sort(key=lambda item: item.path not in long)
