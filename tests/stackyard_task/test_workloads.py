"""What people type into a form, as the values of a workload's parameters."""

from __future__ import annotations

import pytest

from stackyard_task.workloads import Parameter, ParameterError, from_text


def test_a_json_parameter_is_what_json_holds() -> None:
    sizes = Parameter("sizes", "json", [1], "")
    assert from_text(sizes, ' {"a": [1, null]} ') == {"a": [1, None]}
    assert from_text(sizes, "") == [1]
    for typed in ("[NaN]", "[1e999]", "[1", "[" * 100 + "]" * 100, '"\\ud800"'):
        with pytest.raises(
            ParameterError, match=r"Parameters/sizes is .* expected a list or a table, as JSON"
        ):
            from_text(sizes, typed)
