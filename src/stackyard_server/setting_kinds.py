"""Kinds of settings: what a value must be, how it is read from a text or from TOML, and the words for what is expected.

Each field of ``settings.ServerSettings`` names its kind beside it. A kind reads a value or raises ``ValueError``;
``wanted`` completes "expected ...". Nothing here knows which settings there are.
"""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
#: What the system takes for an address in an old spelling: "0" and "0x0" are every address of the machine.
_NUMBER = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s]+/?")


class Kind(Protocol):
    """What one setting must be."""

    @property
    def wanted(self) -> str:
        """What is expected, in words."""

    def read(self, value: Any) -> Any:
        """The value as the server uses it.

        Raises:
            ValueError: It is not of this kind.
        """


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number between two others."""

    least: int
    most: int
    #: What the least or the most of them means, where that is not plain.
    meaning: str = ""

    @property
    def wanted(self) -> str:
        """What is expected, in words."""
        return f"a whole number from {self.least} to {self.most}{self.meaning}"

    def read(self, value: Any) -> int:
        """The number; ``ValueError`` for any other."""
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        if isinstance(value, float) and not value.is_integer():  # neither is an infinite one
            raise ValueError
        number = int(value)
        if not self.least <= number <= self.most:
            raise ValueError
        return number


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number between two others."""

    least: float
    most: float
    meaning: str = ""

    @property
    def wanted(self) -> str:
        """What is expected, in words."""
        return f"a number from {self.least:.0f} to {self.most:.0f}{self.meaning}"

    def read(self, value: Any) -> float:
        """The number; ``ValueError`` for any other."""
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        try:
            number = float(value)
        except OverflowError:
            raise ValueError from None
        if not math.isfinite(number) or not self.least <= number <= self.most:
            raise ValueError
        return number


@dataclass(frozen=True, slots=True)
class Host:
    """An address to listen on, or a name that stands for one."""

    wanted: str = "an IP address such as 127.0.0.1 or ::1, or the name of one (0.0.0.0 is every address)"

    def read(self, value: Any) -> str:
        """The address or name; ``ValueError`` where the system would take it for another, or for every one."""
        if not isinstance(value, str) or not is_host(value):
            raise ValueError
        return str(ipaddress.ip_address(value)) if ":" in value else value


@dataclass(frozen=True, slots=True)
class Url:
    """An address that clients or browsers use."""

    wanted: str = (
        "an address that begins with http:// or https:// and names a host, such as https://lab.example:8081"
    )

    def read(self, value: Any) -> str:
        """The address; ``ValueError`` for anything else."""
        if not isinstance(value, str) or not value.startswith(("http://", "https://")):
            raise ValueError
        if not (value.isascii() and value.isprintable()) or set(value) & set(" \"'<>\\`{}|^?#;,"):
            raise ValueError
        _check_place(value)
        return value


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a browser's page comes from: scheme, host and port, no path."""

    wanted: str = "an origin such as https://lab.example or http://10.0.0.5:3000, without a path"

    def read(self, value: Any) -> str:
        """The origin; ``ValueError`` for anything else."""
        if not isinstance(value, str) or not _ORIGIN.fullmatch(value):
            raise ValueError
        _check_place(value)
        return value


@dataclass(frozen=True, slots=True)
class Network:
    """An IP address, a network, or every one."""

    wanted: str = (
        "an address such as 10.0.0.5, a network such as 10.0.0.0/24 (its first address), or * for everybody"
    )

    def read(self, value: Any) -> str:
        """The address or network; ``ValueError`` for anything else."""
        if not isinstance(value, str):
            raise ValueError
        if value != "*":
            ipaddress.ip_network(value)
        return value


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder on this machine."""

    wanted: str = "a path"

    def read(self, value: Any) -> Path:
        """The path, absolute; ``ValueError`` for what is none."""
        if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
            raise ValueError
        try:
            return Path(value).expanduser().absolute()
        except RuntimeError:  # the home of nobody
            raise ValueError from None


@dataclass(frozen=True, slots=True)
class File(Place):
    """A file on this machine."""

    wanted: str = "a file that is there"

    def read(self, value: Any) -> Path:
        """The path, absolute; ``ValueError`` where no file is there."""
        path = Place().read(value)
        if not path.is_file():
            raise ValueError
        return path


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    @property
    def wanted(self) -> str:
        """What is expected, in words."""
        return " or ".join(repr(word) for word in self.words)

    def read(self, value: Any) -> str:
        """The word; ``ValueError`` for any other."""
        if value not in self.words:
            raise ValueError
        return str(value)


@dataclass(frozen=True, slots=True)
class Listed:
    """Several of one kind: a list in TOML, separated by commas in a text; an empty one is none."""

    each: Kind

    @property
    def wanted(self) -> str:
        """What is expected, in words."""
        return f"a list, each of them {self.each.wanted}"

    def read(self, value: Any) -> tuple[Any, ...]:
        """The values; ``ValueError`` where one of them is not of the kind."""
        if not isinstance(value, (str, list, tuple)):
            raise ValueError
        parts = value.split(",") if isinstance(value, str) else value
        if not all(isinstance(part, str) for part in parts):
            raise ValueError
        return tuple(self.each.read(part.strip()) for part in parts if part.strip())


def is_host(text: str) -> bool:
    """Whether a text is an IP address, or a name that no resolver takes for a number."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(_NAME.fullmatch(text)) and not _NUMBER.fullmatch(text.rpartition(".")[2])
    return True


def is_wildcard(host: str) -> bool:
    """Whether listening there means every address of the machine: no client can use it as a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return not host
    return (getattr(address, "ipv4_mapped", None) or address).is_unspecified


def in_address(host: str) -> str:
    """A host as an address has it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _check_place(url: str) -> None:
    """``ValueError`` unless an address names a host, nobody's password, and a port that there is, or none."""
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.netloc.endswith(":") or not is_host(parts.hostname or ""):
        raise ValueError
    if parts.port is not None and parts.port < 1:  # beyond 65535 it raises by itself
        raise ValueError
