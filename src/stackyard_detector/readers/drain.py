"""Drain: messages as lists of tokens -> templates, online. Standard library only.

The algorithm is that of He et al. 2017, "Drain: An online log parsing approach with fixed depth tree", section III.
A tree leads by the number of tokens, then by the first tokens, to a few templates, of which the most similar is
taken. The details are those of the package drain3 (version 0.9.11), whose templates and matches these are exactly.
"""

from __future__ import annotations

from operator import eq
from typing import Dict, List, Optional, Sequence, Tuple

#: Stands in a template for a token that varies.
VARIES = "<*>"
#: Words that are compared in about the time that a comparison takes by itself.
_WORDS = 16


class _Node:
    """A step into the tree: further steps by token, or the numbers of templates."""

    __slots__ = ("children", "templates")

    def __init__(self) -> None:
        self.children: Dict[str, _Node] = {}
        self.templates: List[int] = []


class Drain:
    """Templates, numbered from 0 in the order they were found.

    Args:
        depth: of the tree, 3 or more: the root, the number of tokens, ``depth - 3`` tokens, the templates.
        similarity: least share of equal tokens for a message to join a template.
        max_children: most branches by token of a node, the one for all others included.

    Raises:
        ValueError: a depth below 3.
    """

    def __init__(self, depth: int = 4, similarity: float = 0.4, max_children: int = 100) -> None:
        if depth < 3:
            raise ValueError(f"depth is {depth}, expected 3 or more")
        self.templates: List[Tuple[str, ...]] = []
        #: Messages that were learnt or matched.
        self.messages = 0
        #: How often a message of up to _WORDS words was compared with a template; a longer one counts as several.
        self.comparisons = 0
        #: How many messages fitted no template, and were not compared with all.
        self.skipped = 0
        self._steps = depth - 3
        self._similarity = similarity
        self._max_children = max_children
        self._by_length: Dict[int, _Node] = {}
        #: How many tokens of a template vary.
        self._varying: List[int] = []
        #: All templates of a length, in the order of the tree; made when they are asked for.
        self._listed: Dict[int, List[int]] = {}

    def learn(self, tokens: Sequence[str]) -> int:
        """The number of the template that a message joins, or of the new one that it begins."""
        self.messages += 1
        number = self._most_similar(self._leaf(tokens), tokens, self._similarity, 0)
        if number is None:
            return self.add(tokens)
        template = self.templates[number]
        changed = tuple([t if t == m else VARIES for t, m in zip(template, tokens)])
        if changed != template:
            self.templates[number] = changed
            self._varying[number] = changed.count(VARIES)
        return number

    def add(self, tokens: Sequence[str]) -> int:
        """Put a template into the tree as it is; its number."""
        number = len(self.templates)
        self.templates.append(tuple(tokens))
        self._varying.append(self.templates[-1].count(VARIES))
        length = len(tokens)
        self._listed.pop(length, None)
        node = self._by_length.setdefault(length, _Node())
        for token in tokens[: min(self._steps, length - 1)] if length else ():
            node = self._step(node, token)
        if length:
            node.templates.append(number)
        else:
            node.templates = [number]
        return number

    def match(self, tokens: Sequence[str], most: Optional[int] = None) -> Optional[int]:
        """The number of the template that a message fits token by token; ``None``: it fits none.

        The one that the tree leads to, else that with the most tokens that vary, of all templates of this length.

        Args:
            tokens: the message.
            most: templates that it is compared with, at the end of the tree and of all: it fits none of more.
                ``None``: any number.
        """
        self.messages += 1
        skipped = False
        for numbers in (self._leaf(tokens), self._all(len(tokens))):
            if most is not None and len(numbers) > most:
                skipped = True
                continue
            number = self._most_similar(numbers, tokens, 1.0, 1)
            if number is not None:
                return number
        self.skipped += skipped
        return None

    def _step(self, node: _Node, token: str) -> _Node:
        """The child of ``node`` on the way to a new template."""
        children = node.children
        if token in children:
            return children[token]
        if any(map(str.isdigit, token)):  # likely a parameter
            token = VARIES
        elif VARIES in children:
            if len(children) >= self._max_children:
                token = VARIES
        elif len(children) + 1 >= self._max_children:
            token = VARIES
        return children.setdefault(token, _Node())

    def _leaf(self, tokens: Sequence[str]) -> Sequence[int]:
        """The templates that the tree leads to."""
        length = len(tokens)
        node = self._by_length.get(length)
        if node is None:
            return ()
        for token in tokens[: min(self._steps, length - 1)] if length else ():
            child = node.children.get(token) or node.children.get(VARIES)
            if child is None:
                return ()
            node = child
        return node.templates

    def _most_similar(
        self, numbers: Sequence[int], tokens: Sequence[str], least: float, worth: int
    ) -> Optional[int]:
        """The most similar of templates; a token that varies is ``worth`` 0 or 1 equal ones."""
        if not tokens:
            return numbers[0] if numbers else None
        self.comparisons += len(numbers) * (1 + len(tokens) // _WORDS)
        best, best_equal, best_varying = None, -1, -1
        literal = VARIES in tokens
        for number in numbers:
            template, varying = self.templates[number], self._varying[number]
            equal = sum(map(eq, template, tokens)) + worth * varying
            if (
                literal
            ):  # a message that has this token itself: equal to a template's, but not counted as such
                equal -= sum([t == VARIES and m == VARIES for t, m in zip(template, tokens)])
            if equal > best_equal or (equal == best_equal and varying > best_varying):
                best, best_equal, best_varying = number, equal, varying
        return best if best is not None and best_equal / len(tokens) >= least else None

    def _all(self, length: int) -> List[int]:
        """All templates of ``length`` tokens."""
        listed = self._listed.get(length)
        if listed is None:
            if length not in self._by_length:
                return []
            listed = self._listed[length] = []
            waiting = [self._by_length[length]]
            while waiting:
                node = waiting.pop()
                listed.extend(node.templates)
                waiting.extend(reversed(list(node.children.values())))
        return listed
