"""Syslog: a line -> header, structured data and message by name. Standard library only.

RFC 5424 ("<34>1 2024-01-08T03:37:09Z host app 77 ID47 [sd@1 name="value"] message") and RFC 3164 ("<34>Jan  8
03:37:09 host app[77]: message"), the latter as relays and files have it too: without priority, with a year, or with
an ISO 8601 time.
"""

from __future__ import annotations

import re
from typing import Dict, Optional

#: Names of facilities and severities by their number (RFC 5424, tables 1 and 2).
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock"),
    *("local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
)
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

_NIL = "-"
_PRIORITY = re.compile(r"(?:\d{1,6} )?<(\d{1,3})>")
_MODERN = re.compile(r"1 (\S+) (\S+) (\S+) (\S+) (\S+) ?")
_MODERN_TIME = re.compile(r"1 (\S+) ")
#: As some senders of CEF and LEEF begin: the message comes where the program's name should be.
_SHORT = re.compile(r"1 (\S+) (\S+) (?=(?:CEF|LEEF): ?\d)")
_TIME = re.compile(
    r"(?:\d{1,9}: )?[*.]?"  # the counter and the marks that Cisco devices put before the time
    r"((?:[A-Z][a-z]{2} (?: ?\d{1,2}|\d\d)(?: \d{4})? \d\d:\d\d:\d\d(?:\.\d{1,9})?"
    r"(?: \d{4}(?=:| [A-Z]{3,4}:))?(?: [A-Z]{3,4}(?=:))?)"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?):? +"
)
_TAG = re.compile(r"([^\s:\[\]]{1,256})(?:\[([^\]\s]{1,128})\])?:(?: |$)")
_ELEMENT_ID = re.compile(r"\[([^\s=\]\"]+)")
_ELEMENT_PAIR = re.compile(r" +([^\s=\]\"]+)=\"([^\"\\\]]*(?:\\.[^\"\\\]]*)*)\"")
_ESCAPED = re.compile(r"\\([\"\\\]])")
#: Formats whose name looks like the tag of a program.
_NO_TAG = re.compile(r"(?:CEF|LEEF): ?\d")


def fields(text: str) -> Dict[str, str]:
    """The fields of a line: priority, facility, severity, timestamp, host, app, pid, msgid, message.

    Structured data is "sd.ID.NAME". A field that the line does not have, or has as "-", is not in the answer.

    Raises:
        ValueError: neither form of syslog.
    """
    found: Dict[str, str] = {}
    at = 0
    priority = _PRIORITY.match(text)
    if priority is not None:
        number = int(priority.group(1))
        if number < 8 * len(FACILITIES):
            found["priority"] = str(number)
            found["facility"] = FACILITIES[number // 8]
            found["severity"] = SEVERITIES[number % 8]
        at = priority.end()
        short = _SHORT.match(text, at)
        if short is not None:
            found["timestamp"], found["host"] = short.groups()
            found["message"] = text[short.end() :]
            return found
        modern = _MODERN.match(text, at)
        if modern is not None:
            return _modern(text, modern, found)
    time = _TIME.match(text, at)
    if time is None:
        if priority is None:
            raise ValueError("has neither a syslog priority nor a time at its beginning")
        found["message"] = text[at:].lstrip(" ")
        return found
    found["timestamp"] = time.group(1)
    at = time.end()
    tag = _TAG.match(text, at)
    if tag is None or _NO_TAG.match(text, at):  # a host comes first
        host, _, rest = text[at:].partition(" ")
        if not _NO_TAG.match(text, at) and host:
            found["host"] = host
            at = len(text) - len(rest)
        while text.startswith((" ", ": "), at):  # Cisco ASA puts a colon between host and message
            at += 1
        tag = None if _NO_TAG.match(text, at) else _TAG.match(text, at)
    if tag is not None:
        found["app"] = tag.group(1)
        if tag.group(2):
            found["pid"] = tag.group(2)
        at = tag.end()
    found["message"] = text[at:]
    return found


def header_time(text: str) -> Optional[str]:
    """The time in the syslog header at the beginning of ``text``, whatever comes after it; ``None``: there is none."""
    priority = _PRIORITY.match(text)
    at = 0 if priority is None else priority.end()
    modern = _MODERN_TIME.match(text, at) if priority is not None else None
    time = modern or _TIME.match(text, at)
    return None if time is None or time.group(1) == _NIL else time.group(1)


def _modern(text: str, header: re.Match[str], found: Dict[str, str]) -> Dict[str, str]:
    """The rest of a line of RFC 5424."""
    for name, value in zip(("timestamp", "host", "app", "pid", "msgid"), header.groups()):
        if value != _NIL:
            found[name] = value
    at = header.end()
    if text.startswith(_NIL, at):
        at += 1
    else:
        while True:
            element = _ELEMENT_ID.match(text, at)
            if element is None:
                break
            end = element.end()
            inside = []
            while True:
                pair = _ELEMENT_PAIR.match(text, end)
                if pair is None:
                    break
                inside.append(pair.groups())
                end = pair.end()
            if not text.startswith("]", end):  # no structured data after all: brackets of the message
                break
            for name, value in inside:
                value = _ESCAPED.sub(r"\1", value) if "\\" in value else value
                found.setdefault(f"sd.{element.group(1)}.{name}", value)
            at = end + 1
    if text.startswith(" ", at):
        at += 1
    found["message"] = text[at + 1 :] if text.startswith("\ufeff", at) else text[at:]
    return found
