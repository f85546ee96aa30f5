"""The project's pages as tests read them: fenced blocks with their kinds, prose, sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])

_FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>[^\n`]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
#: What a program writes between two marks: <!-- table --> ... <!-- /table -->.
_WRITTEN = re.compile(r"<!-- ([a-z-]+) -->.*?<!-- /\1 -->", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CELL = re.compile(r"(?<!\\)\|")
_CODES = re.compile(r"`[^`]*`(, `[^`]*`)*")
_ITEM = re.compile(r"([-*]|\d+\.) +")
_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+(?=[\"'(*_]*[A-Z`\[\d])")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    #: The words behind the fence: "sh", "text", "toml scenario"...
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        inside = "\n".join(line.removeprefix(found["indent"]) for line in found["text"].split("\n"))
        yield Block(page, text.count("\n", 0, found.start()) + 1, found["kind"].strip(), inside)


def commands(shell: str) -> Iterator[list[str]]:
    """The words of each command in a block of shell: without prompt, comment, redirection or path to the program."""
    for line in shell.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("();<>|&"):
                if words:
                    yield words
                words = []
            else:
                words.append(word)


def sentences(page: Path) -> Iterator[tuple[int, str]]:
    """Sentences outside of code, tables, headings and what programs write, with the line where a paragraph begins."""
    for line, paragraph in _paragraphs(page.read_text(encoding="utf-8")):
        plain = re.sub(r"`[^`]*`", "`code`", paragraph)
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", plain)
        for sentence in _END.split(plain):
            yield line, sentence


def cells(page: Path) -> Iterator[tuple[int, str]]:
    """Sentences in the cells of a page's tables, with the row's line; pieces of code in a row count as one."""
    text = page.read_text(encoding="utf-8")
    for left_out in (_COMMENT, _FENCE):
        text = left_out.sub(lambda found: "\n" * found.group().count("\n"), text)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            continue
        for cell in _CELL.split(line.strip("|")):
            plain = _CODES.sub("`code`", cell)
            plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", plain)
            for sentence in _END.split(plain):
                yield number, sentence.strip()


def words_of(sentence: str) -> list[str]:
    """The words of a sentence; a piece of code and a number are one each."""
    return [word for word in sentence.split() if re.search(r"\w", word)]


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    for left_out in (_WRITTEN, _COMMENT, _FENCE):
        text = left_out.sub(lambda found: "\n" * found.group().count("\n"), text)
    held: list[str] = []
    begun = 0
    for number, raw in enumerate([*text.splitlines(), ""], 1):
        line = raw.strip()
        item = _ITEM.match(line)
        if held and (not line or item or line.startswith(("|", "#", "!["))):
            yield begun, " ".join(held)
            held = []
        if not line or line.startswith(("|", "#", "![")):
            continue
        begun = begun if held else number
        held.append(line[item.end() :] if item else line)
