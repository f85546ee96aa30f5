"""Values of settings: each checked by itself, refused in one sentence that names where it stands.

Standard library only.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, Dict, FrozenSet, Mapping, Optional, Tuple

from stackyard_task.channel import BadInput

#: Encodings in which a line end is one byte and no part of another character, and UTF-16, which is recoded.
ENCODINGS = re.compile(
    r"utf-8|utf-16(-[lb]e)?|ascii|iso8859-\d+|cp(125[0-8]|437|850|852|866|874|932|936|949|950)|koi8-[ru]"
    r"|mac-roman|gb2312|gbk|gb18030|big5|shift_jis|euc_(jp|kr)"
)
#: A pattern longer than this is no pattern that somebody wrote.
PATTERN_CHARACTERS = 10_000


def one_of(where: str, key: str, value: Any, allowed: Tuple[str, ...]) -> None:
    """Refuse a value that is not one of ``allowed``."""
    if value not in allowed:
        raise BadInput(f"{where}: {key} is {value!r}, expected one of {', '.join(allowed)}")


def text(where: str, key: str, value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise BadInput(f"{where}: {key} is {value!r}, expected a text")
    return value


def texts(where: str, key: str, value: Any) -> Tuple[str, ...]:
    """A text or a list of texts, as a tuple."""
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)) or not found or not all(isinstance(t, str) for t in found):
        raise BadInput(f"{where}: {key} is {value!r}, expected a text or a list of texts")
    return tuple(found)


def different_texts(where: str, key: str, value: Any) -> Tuple[str, ...]:
    """A list of texts of which none comes twice, as a tuple."""
    found = texts(where, key, value)
    twice = sorted({t for t in found if found.count(t) > 1})
    if twice:
        raise BadInput(f"{where}: {key} has {', '.join(map(repr, twice))} more than once")
    return found


def year(where: str, value: Any) -> None:
    """Refuse what is no year from 1990 to 2100."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1990 <= value <= 2100:
        raise BadInput(f"{where}: year is {value!r}, expected a whole number from 1990 to 2100")


def positive(where: str, key: str, value: Any, whole: bool) -> Any:
    """A finite number above 0; an ``int`` where ``whole``, else a ``float``."""
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
    if not fits or (whole and not float(value).is_integer()):
        raise BadInput(f"{where}: {key} is {value!r}, expected a {'whole ' if whole else ''}number above 0")
    return int(value) if whole else float(value)


def encoding(where: str, value: Any) -> str:
    """The name of an encoding that ``files`` can read, as Python spells it."""
    try:
        name = codecs.lookup(text(where, "encoding", value)).name
    except LookupError:
        name = ""
    if not ENCODINGS.fullmatch(name):
        raise BadInput(
            f"{where}: encoding is {value!r}, expected one like utf-8, utf-16, latin-1 or cp1252 (Windows)"
        )
    return name


def patterns(where: str, key: str, value: Any) -> Tuple[str, ...]:
    """Regular expressions with at least one group each."""
    found = texts(where, key, value)
    for pattern in found:
        if compiled(where, key, pattern).groups == 0:
            raise BadInput(f"{where}: {key} is {pattern!r} with 0 groups, expected at least one (...)")
    return found


def field_patterns(where: str, value: Any) -> Tuple[Tuple[str, ...], FrozenSet[str]]:
    """Regular expressions with named groups, and the names of these groups."""
    found = texts(where, "fields", value)
    names: FrozenSet[str] = frozenset()
    for pattern in found:
        groups = compiled(where, "fields", pattern).groupindex
        if not groups:
            raise BadInput(
                f"{where}: fields is {pattern!r} without a named group, expected e.g. '(?P<host>\\S+)'"
            )
        names |= groups.keys()
    return found, names


def compiled(where: str, key: str, pattern: str) -> re.Pattern[str]:
    """``pattern`` as a regular expression."""
    if len(text(where, key, pattern)) > PATTERN_CHARACTERS:
        raise BadInput(f"{where}: {key} has {len(pattern)} characters, at most {PATTERN_CHARACTERS} are read")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadInput(f"{where}: {key} is {pattern!r}, which is no regular expression ({error})") from error


def action_map(where: str, value: Any) -> Dict[str, str]:
    """Values of event columns, in lower case -> names of events."""
    fits = isinstance(value, Mapping) and all(
        isinstance(k, str) and isinstance(v, str) for k, v in value.items()
    )
    if not fits:
        raise BadInput(
            f"{where}: action_map is {value!r}, expected a table like {{deny = 'Deny', allow = 'Allow'}}"
        )
    return {k.lower(): v for k, v in value.items()}


def accepted(where: str, value: Any) -> Dict[str, FrozenSet[str]]:
    """Column -> its accepted values."""
    if not isinstance(value, Mapping) or not value:
        raise BadInput(f"{where}: where is {value!r}, expected a table like {{event_type = 'alert'}}")
    return {column: frozenset(texts(where, f"where.{column}", v)) for column, v in value.items()}


def external_key(where: str, value: Any) -> Dict[str, Any]:
    """The settings that ``external_key`` stands for."""
    if (
        not isinstance(value, Mapping)
        or not set(value) <= {"columns", "internal", "if_none"}
        or "columns" not in value
    ):
        raise BadInput(
            f"{where}: external_key is {value!r}, expected a table of columns and, "
            "if wanted, internal and if_none"
        )
    if_none = value.get("if_none", "skip")
    one_of(where, "external_key.if_none", if_none, ("skip", "first", "quarantine"))
    return {
        "external_columns": texts(where, "external_key.columns", value["columns"]),
        "internal_networks": texts(where, "external_key.internal", value["internal"])
        if value.get("internal")
        else (),
        "if_none_external": if_none,
    }


def masks(where: str, value: Any, named: Mapping[str, Tuple[str, str]]) -> Tuple[Tuple[str, str], ...]:
    """Pairs (regular expression, replacement), in order.

    Args:
        where: the source.
        value: a list whose members are names out of ``named`` or such pairs.
        named: the masks that have a name.
    """
    found = []
    for mask in value if isinstance(value, (list, tuple)) else [None]:
        pair: Optional[Tuple[str, str]] = None
        if isinstance(mask, str):
            pair = named.get(mask)
        elif isinstance(mask, (list, tuple)) and len(mask) == 2 and all(isinstance(m, str) for m in mask):
            compiled(where, "masks", mask[0])
            pair = (mask[0], mask[1])
        if pair is None:
            raise BadInput(
                f"{where}: masks is {value!r}, expected a list of names ({', '.join(named)}) and of pairs "
                "[regular expression, replacement]"
            )
        found.append(pair)
    return tuple(found)
