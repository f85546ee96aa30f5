"""Every recorded exchange replayed against our server; what differs must be listed, and what is listed must differ."""

from __future__ import annotations

import dataclasses

import pytest

from stackyard_server import endpoints
from stackyard_server.calls import dispatch
from stackyard_server.calls.endpoint import Endpoint
from tests.stackyard_server.running import running_server

from .recordings import RECORDINGS_VARIABLE, find_recordings, load_flows
from .suite import load_listed, run_flows

pytestmark = pytest.mark.slow

LEAST_REPLAYED = 2500


@pytest.mark.promise("listed-differences")
def test_the_list_of_differences_is_well_formed() -> None:
    load_listed()


@pytest.mark.skipif(
    find_recordings() is None, reason=f"{RECORDINGS_VARIABLE} names no folder with the recordings"
)
@pytest.mark.promise("listed-differences")
def test_recorded_exchanges() -> None:
    folder = find_recordings()
    assert folder is not None
    report = run_flows(load_flows(folder))
    table, different = report.summarise()
    print(table)
    print(report.describe_seeding())
    assert len(report.outcomes) >= LEAST_REPLAYED
    unlisted = [
        f"{outcome.exchange.place} {outcome.exchange.endpoint} {difference.field}: "
        f"recorded {difference.recorded}, ours {difference.ours}"
        for outcome, rest in different
        for difference in rest
    ]
    assert not unlisted, "\n".join([*unlisted[:20], f"{len(unlisted)} differences in all", table])
    assert not report.find_unused(), f"listed, but found nowhere: {report.find_unused()}"


@pytest.mark.long
@pytest.mark.skipif(
    find_recordings() is None, reason=f"{RECORDINGS_VARIABLE} names no folder with the recordings"
)
def test_a_server_that_is_already_running_is_reached_by_its_addresses() -> None:
    """Nothing can be put in there, so flows whose making was cut out differ; whole ones do not."""
    folder = find_recordings()
    assert folder is not None
    with running_server() as server:
        other = {
            **{"api": server.api, "files": server.files, "web": server.web},
            **{"key": server.access_key, "secret": server.secret_key},
        }
        report = run_flows(load_flows(folder), ["p_files", "p_models", "s02_models"], other)
    _, different = report.summarise()
    assert len(report.outcomes) == 33 + 39 + 59
    assert not different


@pytest.mark.skipif(
    find_recordings() is None, reason=f"{RECORDINGS_VARIABLE} names no folder with the recordings"
)
@pytest.mark.parametrize(
    ("flow", "endpoint", "field"),
    [
        ("s02_models", "tasks.edit", "script"),
        pytest.param("s05_dataset", "projects.update", "system_tags", marks=pytest.mark.long),
        pytest.param("s05_dataset", "tasks.edit", "runtime", marks=pytest.mark.long),
        ("a02_agent_abort", "tasks.started", "status_message"),
    ],
)
def test_the_suite_sees_a_server_that_drops_a_field(
    monkeypatch: pytest.MonkeyPatch, flow: str, endpoint: str, field: str
) -> None:
    """Filling what the recordings lack must not fill what the server lost."""
    folder = find_recordings()
    assert folder is not None

    def drop(entry: Endpoint) -> Endpoint:
        def forgetful(call: dispatch.Call) -> object:
            call.data.pop(field, None)
            return entry.function(call)

        return dataclasses.replace(entry, function=forgetful)

    table = endpoints.load()
    monkeypatch.setitem(table, endpoint, [drop(entry) for entry in table[endpoint]])
    report = run_flows(load_flows(folder), [flow])
    _, different = report.summarise()
    assert different
