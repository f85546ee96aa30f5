"""key=value lines, as firewalls and IPS write them, as numbered tuples of the wanted fields.

Values may be quoted (``msg="login failed"``); a syslog prefix before the first pair is passed over.
Standard library only.
"""

from __future__ import annotations

import re
from typing import Iterator, Sequence

from stackyard_detector.readers.files import numbered_lines
from stackyard_detector.readers.quarantine import Quarantine
from stackyard_detector.readers.source import Source
from stackyard_detector.readers.table import Row

_PAIR = re.compile(r'([A-Za-z_][\w.\-]*)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))')


def key_value_rows(source: Source, columns: Sequence[str], quarantine: Quarantine) -> Iterator[Row]:
    """The lines of ``source`` as (line, values of ``columns``); lines without any pair go to quarantine.

    Raises:
        BadInput: the file cannot be read.
    """
    for number, text in numbered_lines(source.path, quarantine):
        pairs = {name: quoted or plain for name, quoted, plain in _PAIR.findall(text)}
        if not pairs:
            quarantine.add(source.path, number, "has no key=value pair", text)
            continue
        yield number, tuple([pairs.get(c) for c in columns])
