"""The fields that a comparison is asked for with, and the sentence about one that cannot be used. Pure.

A field is called the same in an address of the web app and on the command line: "group-by" and ``--group-by``.
"""

from __future__ import annotations

from collections.abc import Iterable

from stackyard.errors import BadInputError


class FieldError(BadInputError):
    """What somebody said in a field cannot be used.

    Args:
        field: its name, such as "group-by".
        said: the rest of the sentence, which begins with what was said there: "Args/rate: no task has that parameter".
    """

    def __init__(self, field: str, said: str) -> None:
        super().__init__(f"{field.replace('-', ' ')} {said}")
        self.field, self.said = field, said


def baseline(given: Iterable[str]) -> dict[str, str]:
    """``["Args/lr=0.1"]`` by key: the group that the others are compared with.

    Raises:
        FieldError: one is not of that form, or a key comes twice.
    """
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise FieldError("baseline", f"{text}: expected KEY=VALUE, such as Args/lr=0.1")
        if key in found:
            raise FieldError("baseline", f"{key}: given twice; the others are compared with one group")
        found[key] = value
    return found
