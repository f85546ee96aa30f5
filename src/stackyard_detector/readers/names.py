"""Texts as numbers: the keys and events of a source, each kept once. Standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Sequence

if TYPE_CHECKING:
    import numpy as np

#: Values remembered with their number before the memory starts anew: free text brings millions.
REMEMBERED = 100_000


class Names:
    """A table of texts, numbered in the order they came."""

    def __init__(self) -> None:
        self.texts: List[str] = []
        self._numbers: Dict[str, int] = {}
        #: How often ``keep`` has given new numbers: what remembers numbers is then out of date.
        self.edition = 0

    def __len__(self) -> int:
        return len(self.texts)

    def number(self, text: str) -> int:
        """The number of ``text``, a new one where it is new."""
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return number

    def keep(self, used: np.ndarray) -> np.ndarray:
        """Forget all but the texts numbered ``used`` (sorted); old number -> new one, uint32."""
        import numpy as np

        renumbered = np.zeros(len(self.texts), dtype=np.uint32)
        renumbered[used] = np.arange(len(used), dtype=np.uint32)
        self.texts = [self.texts[number] for number in used.tolist()]
        self._numbers = {text: number for number, text in enumerate(self.texts)}
        self.edition += 1
        return renumbered


class Remembered:
    """What a function says of values, asked once for each different one."""

    def __init__(self, function: Callable[[Any], int]) -> None:
        self._known = _Known(function)

    def of(self, values: Sequence[Any]) -> np.ndarray:
        """The answers for ``values``, int64 of their length."""
        import numpy as np

        if len(self._known) > REMEMBERED:
            self._known.clear()
        return np.fromiter(map(self._known.__getitem__, values), np.int64, len(values))

    def forget(self) -> None:
        """Start anew."""
        self._known.clear()


class _Known(Dict[Any, int]):
    """A dict that asks its function for what it does not know."""

    def __init__(self, function: Callable[[Any], int]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, value: Any) -> int:
        number = self[value] = self._function(value)
        return number
