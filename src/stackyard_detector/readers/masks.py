"""What is masked in a message before templates are sought: things that never repeat.

Standard library only.
"""

from __future__ import annotations

from typing import Dict, Tuple

#: Name -> (regular expression, replacement), in the order they are applied.
NAMED_MASKS: Dict[str, Tuple[str, str]] = {
    "uuid": (r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b", "<uuid>"),
    "block": (r"\bblk_-?\d+\b", "<block>"),
    "address": (r"/?\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b", "<address>"),
    "hex": (r"\b0x[0-9A-Fa-f]+\b", "<hex>"),
    "number": (r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?![\w.])", "<number>"),
}
#: What is masked unless the user says otherwise.
MASKS = tuple(NAMED_MASKS.values())
