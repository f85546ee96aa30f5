"""What is masked in a message before templates are sought: things that never repeat.

Masks are applied one after the other. Where none of them can see beyond a token, each token is masked by itself and
remembered, which gives the same and is several times as fast: most tokens of a log come again and again.

Standard library only.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, Optional, Sequence, Tuple

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

#: Regular expressions of which no part can match white space, and that have no anchors: what they do to a token does
#: not depend on what stands around it. Some others would do too; they are applied to the whole message.
_WITHIN_TOKEN = re.compile(
    r"(?:"
    r"\\[dwb.\-+*/()\[\]{}|?:=@#]"  # escaped
    r"|\[(?!\^)(?:\\[dw.\-+/\[\]]|[\w.+:/,;@%=#&*()<>!~-])+\]"  # a set
    r"|\(\?(?:[:=!]|<[=!]|P<\w+>)|\((?!\?)"
    r"|[\w/:=@#%&,;<>!~\-)|?*+{}\"']"
    r")*",
    re.ASCII,
)
_VERBATIM = re.compile(r"[^\\\s]+")
#: What of a regular expression may hold digits and still treats all digits alike; "0x" only where it stands so in the
#: text too.
_ALIKE = re.compile(r"\{\d+(?:,\d*)?\}|0-9|\\b0x(?![?*{])|P<\w+>")
_DIGIT = re.compile(r"[0-9]")
#: Any digit -> one digit, which is not that of "0x".
_ONE_DIGIT = str.maketrans("023456789", "111111111")

#: A longer token is masked anew each time.
REMEMBERED_LETTERS = 200


class Masked:
    """Messages with the masks applied, as tokens.

    Args:
        masks: (regular expression, replacement) pairs, applied in this order.
        remembered: how many tokens are remembered before the memory starts anew.
    """

    def __init__(self, masks: Sequence[Tuple[str, str]], remembered: int) -> None:
        self._compiled = [(re.compile(pattern), replacement) for pattern, replacement in masks]
        self._known = _Known(self._replaced, remembered)
        self._of_token = self._known.__getitem__
        #: Token with all digits alike -> what masks make of it; ``None``: digits stay, each token by itself.
        self._shapes: Dict[str, Optional[str]] = {}
        if not all(_WITHIN_TOKEN.fullmatch(p) and _VERBATIM.fullmatch(r) for p, r in masks):
            self.tokens = self._of_whole  # type: ignore[method-assign]
        elif not any(_DIGIT.search(_ALIKE.sub("", p)) for p, _ in masks):
            self._known = _Known(self._of_shape, remembered)
            self._of_token = self._known.__getitem__

    def tokens(self, message: str) -> Tuple[str, ...]:
        """The tokens of ``message``, masked."""
        return tuple(map(self._of_token, message.split()))

    def _of_whole(self, message: str) -> Tuple[str, ...]:
        return tuple(self._replaced(message).split())

    def _of_shape(self, token: str) -> str:
        if "0x" in token or len(token) > REMEMBERED_LETTERS:
            return self._replaced(token)
        shape = token.translate(_ONE_DIGIT)
        if shape in self._shapes:
            masked = self._shapes[shape]
        else:
            masked = self._replaced(shape)
            if _DIGIT.search(masked):
                masked = None
            if len(self._shapes) >= self._known.most:
                self._shapes.clear()
            self._shapes[shape] = masked
        return self._replaced(token) if masked is None else masked

    def _replaced(self, text: str) -> str:
        for pattern, replacement in self._compiled:
            text = pattern.sub(replacement, text)
        return text


class _Known(Dict[str, str]):
    """Token -> masked token, made when it is first asked for."""

    def __init__(self, make: Callable[[str], str], most: int) -> None:
        super().__init__()
        self._make = make
        self.most = most

    def __missing__(self, token: str) -> str:
        if len(self) >= self.most:
            self.clear()
        masked = self._make(token)
        if len(token) <= REMEMBERED_LETTERS:
            self[token] = masked
        return masked
