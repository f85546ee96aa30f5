"""The fields of each request: names, types and which must be there, checked before an endpoint runs.

The facts are data (``fields.json``): one line per endpoint, ``{"required": [...], "fields": {name: form}}``.
A form is "string", "integer", "number", "boolean", "object", "any", ``{"enum": [...]}``, ``[form]`` (a list),
``{"map": form}`` (an object with free keys) or ``{"object": {name: form}, "required": [...]}``. null stands for
absent. Fields that are not listed pass here; ``unknown`` names them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from .error_table import ApiError, field_error

TYPES: dict[str, tuple[str, tuple[type, ...]]] = {
    "string": ("str", (str,)),
    "integer": ("int", (int,)),
    "number": ("float", (int, float)),
    "boolean": ("bool", (bool,)),
    "object": ("dict", (dict,)),
}
#: Integers beyond these cannot be kept.
WIDEST = 2**63 - 1


class Mismatch(Exception):
    """A value that does not fit its form; the message is the end of ClearML's sentence."""


@functools.cache
def table() -> dict[str, dict[str, Any]]:
    """The facts, by endpoint name."""
    facts: dict[str, dict[str, Any]] = orjson.loads(Path(__file__).with_name("fields.json").read_bytes())
    return facts


def wrong(value: Any, expected: str) -> Mismatch:
    """A value of another type, in ClearML's words."""
    return Mismatch(f"('value is wrong, expected type \"{expected}\"', {value!r})")


def fit(form: Any, value: Any) -> Any:
    """Check one value against its form.

    Returns:
        The value; 1 for 1.0 where a whole number is meant, since JSON knows no difference. What is inside is replaced
        in place.

    Raises:
        Mismatch: It does not fit.
    """
    if value is None or form == "any":
        return value
    if isinstance(form, str):
        name, kinds = TYPES[form]
        if form == "integer" and isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, kinds) or (isinstance(value, bool) and form != "boolean"):
            raise wrong(value, name)
        if isinstance(value, int) and abs(value) > WIDEST:
            raise wrong(value, name)
    elif isinstance(form, list):
        if not isinstance(value, list):
            raise wrong(value, "list")
        for at, item in enumerate(value):
            if item is None and isinstance(form[0], dict) and "object" in form[0]:
                raise wrong(item, "dict")
            if (fitting := fit(form[0], item)) is not item:
                value[at] = fitting
    elif "enum" in form:
        if value not in form["enum"]:
            raise Mismatch(f"value {value!r} is not a valid choice.")
    elif not isinstance(value, dict):
        raise wrong(value, "dict")
    elif "map" in form:
        for name, item in value.items():
            value[name] = fit(form["map"], item)
    else:
        for name in form.get("required", ()):
            if value.get(name) is None:
                raise Mismatch(f"(\"error for field '{name}'.\", validationerror('field is required!'))")
        for name, inner in form["object"].items():
            if name in value:
                try:
                    value[name] = fit(inner, value[name])
                except Mismatch as fault:
                    raise Mismatch(f"error for field '{name}': {fault}.") from None
    return value


def check(endpoint: str, data: dict[str, Any]) -> None:
    """Check a request's fields.

    Raises:
        ApiError: 400/12 naming the field and the value.
    """
    facts = table().get(endpoint)
    if facts is None:
        return
    for name in facts["required"]:
        if name not in data:
            raise field_error(name, ". field is required!")
        if data[name] is None:
            raise field_error(name, ": field is required!.")
    forms = facts["fields"]
    for name, value in data.items():
        form = forms.get(name)
        if form is not None and value is not None:
            try:
                if (fitting := fit(form, value)) is not value:
                    data[name] = fitting
            except Mismatch as fault:
                raise _refused(name, fault) from None


#: Fields that clients send with every call: which HTTP method they would use. All methods mean the same.
ALWAYS = frozenset({"method"})
#: Stands among an endpoint's fields where any others may be sent, and are kept.
ANY = "*"


def takes_any(endpoint: str) -> bool:
    """Whether any field may be sent, or nothing is known of them."""
    facts = table().get(endpoint)
    return facts is None or ANY in facts["fields"]


def unknown(endpoint: str, data: dict[str, Any], deep: bool = False) -> list[str]:
    """The fields of a request that are not among the facts; none where there are no facts.

    Args:
        endpoint: Its name.
        data: The request's fields.
        deep: Also the fields of objects inside, as ``outer.inner``.
    """
    if takes_any(endpoint):
        return []
    forms = table()[endpoint]["fields"]
    found = [name for name in data if name not in forms and name not in ALWAYS]
    if deep:
        for name, form in forms.items():
            found += _inside(name, form, data.get(name))
    return found


def _inside(path: str, form: Any, value: Any) -> Iterator[str]:
    if isinstance(form, list) and isinstance(value, list):
        yield from dict.fromkeys(name for item in value for name in _inside(path, form[0], item))
    elif isinstance(form, dict) and "object" in form and isinstance(value, dict):
        inner = form["object"]
        yield from (f"{path}.{name}" for name in value if name not in inner)
        for name in inner.keys() & value.keys():
            yield from _inside(f"{path}.{name}", inner[name], value[name])


def _refused(name: str, fault: Mismatch) -> ApiError:
    return field_error(name, f": {fault}.")
