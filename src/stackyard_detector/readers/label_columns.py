"""Which columns of rows look like labels: what says that a row is malicious, where no setting says so.

Standard library only.
"""

from __future__ import annotations

import re
from typing import Dict, Iterable, List, Mapping, Optional, Sequence

from stackyard_detector.readers.source import BENIGN_VALUES

#: Settings that say what is malicious.
LABELS = ("label", "label_column", "label_pattern", "labels_path")
#: Values told of a column, at most.
VALUES = 4
#: Longer values are texts and no labels; a column of more different values is none of labels.
_VALUE_CHARACTERS, _DIFFERENT = 40, 20

_NAME = re.compile(r"(?:^|[._\- ])labels?$", re.IGNORECASE)
#: Names that mean other things, too: a product's attack is the name of a signature.
_DOUBTFUL = re.compile(
    r"(?:^|[._\- ])(?:is_?)?(?:attack|malicious|anomaly|anomalous|class|target|ground_?truth)$", re.IGNORECASE
)
_OF_LABELS = frozenset(
    (
        *(
            "0",
            "1",
            "0.0",
            "1.0",
            "-1",
            "true",
            "false",
            "yes",
            "no",
            "benign",
            "malicious",
            "normal",
            "anomaly",
        ),
        *("abnormal", "attack", "none", "-", ""),
    )
)


def label_columns(
    rows: Iterable[Mapping[str, Optional[str]]], used: Sequence[str] = ()
) -> Dict[str, List[str]]:
    """Columns that look like labels -> some of their values; those that have a benign value come first.

    Args:
        rows: some rows of a source.
        used: columns that say something else.
    """
    found: Dict[str, List[str]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in used and value is not None and (_NAME.search(name) or _DOUBTFUL.search(name)):
                values = found.setdefault(name, [])
                if value not in values:
                    values.append(value)
    # those with a value that means benign first: another column of labels would make every row malicious
    ordered = sorted(
        found.items(), key=lambda each: not any(v.strip().lower() in BENIGN_VALUES for v in each[1])
    )
    return {
        name: values[:VALUES]
        for name, values in ordered
        if len(values) <= _DIFFERENT
        and all(len(value) <= _VALUE_CHARACTERS for value in values)
        and (_NAME.search(name) or all(value.strip().lower() in _OF_LABELS for value in values))
    }
