"""Our server still answers as it did: its own recorded answers, replayed."""

from __future__ import annotations

from pathlib import Path

from .golden_script import ANSWERS, REQUESTS
from .mapping import Mapping
from .player import Player
from .recordings import Exchange, load_flow
from .suite import RECORDED_COMPANY, start_our_server


def load_answers() -> list[Exchange]:
    return load_flow(ANSWERS.parent, ANSWERS.stem)


def test_the_answers_belong_to_the_requests() -> None:
    assert [exchange.endpoint for exchange in load_answers()] == [endpoint for endpoint, _, _ in REQUESTS]


def test_answers_are_as_recorded() -> None:
    with start_our_server(("golden",)) as (target, mapping, _running):
        fresh = Mapping(mapping.addresses)
        player = Player(target, fresh, {})
        outcomes = [player.play(exchange) for exchange in load_answers()]
        player.close()
    seen = [
        f"{o.exchange.name}: {d.field}: recorded {d.recorded}, now {d.ours}"
        for o in outcomes
        for d in o.differences
    ]
    assert not seen, "\n".join(seen)


def test_the_answers_hold_nothing_of_a_real_server_or_machine() -> None:
    text = ANSWERS.read_text("utf-8")
    assert RECORDED_COMPANY not in text
    assert "eyJ" not in text
    assert str(Path.cwd()) not in text
