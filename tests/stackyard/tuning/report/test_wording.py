"""How parameters are said."""

from __future__ import annotations

from stackyard.tuning.report import wording


def test_a_parameter_is_one_short_line_whatever_it_holds() -> None:
    assert wording.parameter("a\nb\u202ec") == "a b c"
    assert wording.parameter("x" * 200_000) == "x" * 77 + "..."
    assert (wording.parameter(True), wording.parameter(0.1)) == ("true", "0.1")
