"""What somebody types into the form of a draft: what is taken, and what each line that is not gets told."""

from __future__ import annotations

import pytest

from stackyard_server.web import typed
from stackyard_server.web.typed import Unusable

TAKEN = """\
# Python 3.11.2

numpy==1.26.4
torch == 2.13.0  # of the stack
scikit-learn>=1.4,<2
requests[socks, use_chardet_on_py3] ~= 2.31 ; python_version < "3.13"
mine @ git+https://example.org/mine.git@main#egg=mine
git+https://example.org/other.git
--extra-index-url https://example.org/simple
-r more.txt
./wheels/own-1.0-py3-none-any.whl
pinned==1.0 --hash=sha256:0123 --hash=sha256:4567
split==1.0 \\
    --hash=sha256:0123
(odd) but there before
"""


def test_a_list_of_packages_is_taken_as_pip_reads_it() -> None:
    before = "(odd) but there before\n"
    assert typed.packages(TAKEN, before) == TAKEN
    assert typed.packages(" \n\n", before) == ""


@pytest.mark.parametrize(
    "line", ["numpy 1.26.4", "numpy=1.26.4", "==1.0", "a b c", "pip install numpy", "numpy==", "é"]
)
def test_a_line_that_is_no_requirement_is_named(line: str) -> None:
    with pytest.raises(Unusable) as told:
        typed.packages(f"scipy\n\n{line}", "")
    assert str(told.value) == (
        f"Packages, line 3: “{line}” is no requirement; write it as name==version, one a line."
    )


def test_a_long_line_that_nearly_fits_is_read_at_once() -> None:
    for line in ("a" * 3999 + "!", "a" + " --b=c" * 600 + " !", "a==" + "1," * 1900):
        with pytest.raises(Unusable) as told:
            typed.packages(line, "")
        assert len(str(told.value)) < 200
    typed.packages("a;" + " --b=c" * 600, "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Args", "line 1: “Args” cannot be read; write it as Section/name = value."),
        ("\nrate = 1", "line 2: “rate = 1” cannot be read; write it as Section/name = value."),
        ("/rate = 1", "line 1: “/rate = 1” cannot be read; write it as Section/name = value."),
        ("Args/rate = 1", "line 1: “Args/rate” is there already; change it in its own field."),
        ("A/b = 1\nA/b = 2", "line 2: “A/b” stands in a line before."),
        ("A/" + "b" * 251 + " = 1", "line 1: a name has 250 characters at most."),
        ("A\x1fB/b = 1", "line 1: a section has characters that cannot be shown."),
        ("A/b = " + "x" * 4000, "line 1: it is longer than 4,000 characters."),
        ("\n" * 1000, "1,001 lines are more than the 1,000 that may be typed here."),
    ],
)
def test_a_new_parameter_that_cannot_be_read_is_told_by_its_line(text: str, sentence: str) -> None:
    with pytest.raises(Unusable) as told:
        typed.parameters(text, {"Args": {"rate"}}, "New")
    assert str(told.value).removeprefix("New, ").removeprefix("New: ") == sentence


def test_new_parameters_and_properties_are_read() -> None:
    assert typed.parameters("Run/stack = x\n\n a b / c/d =1=2 ", {}, "New") == [
        {"section": "Run", "name": "stack", "value": "x"},
        {"section": "a b", "name": "c/d", "value": "1=2"},
    ]
    assert typed.parameters("stack = x\nempty=", {"Args": {"stack"}}, "New", section="properties") == [
        {"section": "properties", "name": "stack", "value": "x"},
        {"section": "properties", "name": "empty", "value": ""},
    ]


def test_tags_are_few_and_short() -> None:
    assert typed.tags("one\n two words \n\none") == ["one", "two words"]
    for text, word in (
        ("\n".join(map(str, range(101))), "101 are more than the 100"),
        ("x" * 251, "line 1: a tag has"),
    ):
        with pytest.raises(Unusable, match=word):
            typed.tags(text)
