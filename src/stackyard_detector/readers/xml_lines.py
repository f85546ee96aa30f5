"""XML with one document a line, as Windows events are exported: a line -> its fields by name. Standard library only.

Names are the elements below the root, joined by dots, and an attribute's name behind its element's: "System.EventID",
"System.Provider.Name". An element that has a text and an attribute "Name" is called by that: what
``<Data Name="TargetUserName">alice</Data>`` in ``EventData`` holds is "EventData.TargetUserName". A prefix of a
namespace is no part of a name. The first of a repeated name counts.

A document type is refused: with it come entities, which can name files or grow without bound.
"""

from __future__ import annotations

import xml.parsers.expat
from typing import Any, Dict, List

#: Elements in each other, and fields of a line; no event has more.
DEPTH, FIELDS = 32, 2000


def fields(text: str) -> Dict[str, str]:
    """The fields of a line.

    Raises:
        ValueError: not one whole XML document, one with a document type, or one beyond DEPTH or FIELDS.
    """
    return _Reader().read(text)


class _Reader:
    """Reads one document."""

    def __init__(self) -> None:
        self._found: Dict[str, str] = {}
        #: Names of the open elements below the root, and the texts of all open elements.
        self._path: List[str] = []
        self._texts: List[List[str]] = []

    def read(self, text: str) -> Dict[str, str]:
        parser = xml.parsers.expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(text.strip("\x00 \t\r\n\ufeff").encode("utf-8"), True)
        except xml.parsers.expat.ExpatError as error:
            raise ValueError(f"not XML ({error})") from error
        return self._found

    def _refuse(self, *_: Any) -> None:
        raise ValueError("has a document type, which is not read")

    def _start(self, name: str, attributes: Dict[str, str]) -> None:
        if len(self._texts) >= DEPTH:
            raise ValueError(f"has more than {DEPTH} elements in each other")
        if self._texts:
            self._path.append(_plain(name))
        self._texts.append([])
        where = ".".join(self._path)
        for key, value in attributes.items():
            if not key.startswith("xmlns"):
                self._add(f"{where}.{_plain(key)}" if where else _plain(key), value)
        given = attributes.get("Name")
        if self._path and given:
            self._path[-1] = given

    def _end(self, name: str) -> None:
        text = "".join(self._texts.pop()).strip()
        if self._path:
            if text:
                self._add(".".join(self._path), text)
            self._path.pop()

    def _text(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)

    def _add(self, name: str, value: str) -> None:
        if len(self._found) >= FIELDS:
            raise ValueError(f"has more than {FIELDS} fields")
        self._found.setdefault(name, value)


def _plain(name: str) -> str:
    """A name without the prefix of its namespace."""
    return name.rpartition(":")[2]
