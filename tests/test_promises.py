"""What the pages promise is held by tests: a promise without a test, or a test of no promise, fails here.

A page names its promises: in a table's last column "held by", elsewhere in a comment ``<!-- held by: ... -->``.
A comment in a paragraph or bullet is about that; one that stands alone is about the whole section. In brackets
behind a name stand the ports and clients that the promise speaks of. A test says which promise it holds with
``@pytest.mark.promise(name, on="...")``; together a promise's tests name every port and client of it.
``<!-- explains -->`` marks what promises nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: The sections of a page in which every line is a promise, or says that it explains.
SECTIONS = {
    "security.md": (
        "Who may what",
        "Promises, and the test that holds each",
        "How sessions end at once",
        "The security log",
        "Differences from the recordings that come from security",
    ),
    "locking.md": (
        "One process, one writer",
        "What survives what",
        "Database and contents stay together",
        "Queues",
        "Workers",
        "The watchdog",
        "The fence",
    ),
    "containers.md": ("The gate",),
    "clearml-api.md": ("The form", "Where it differs"),
}
#: What a promise may speak of.
PLACES = frozenset({"API", "files", "pages", "SDK", "agent", "web app", "command"})
COMMENT = re.compile(r"<!-- held by: (.+?) -->", re.DOTALL)
EXPLAINS = "<!-- explains -->"
NAME = re.compile(r"`?([a-z][a-z0-9-]+)`?(?: \(([^)]*)\))?")


@dataclass
class Promise:
    """What a page or a test says of one promise."""

    where: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    #: Whether a test of it runs in `make test`, too.
    always: bool = False


@dataclass(frozen=True)
class Line:
    """A paragraph, a bullet or a table's row of a section."""

    text: str
    held_by: str


def sections(page: str) -> Iterator[tuple[str, str]]:
    parts = re.split(r"^## (.+)\n", (ROOT / "docs" / page).read_text(), flags=re.MULTILINE)
    yield from zip(parts[1::2], parts[2::2], strict=True)


def blocks(section: str) -> Iterator[list[str]]:
    """Paragraphs, bullets and tables of a section, line by line; no picture and no example."""
    section = re.sub(r"^```.*?^```$|^!\[.*?\)$", "", section, flags=re.MULTILINE | re.DOTALL)
    for block in re.split(r"\n\s*\n", section.strip("\n")):
        lines = block.splitlines()
        if lines and lines[0].startswith("|"):
            yield lines
            continue
        for bullet in re.split(r"^(?=(?:[*-]|\d+\.) )", block, flags=re.MULTILINE):
            if bullet.strip():
                yield [bullet]


def lines_of(section: str) -> Iterator[Line]:
    """What a section says, and by what each line is held."""
    whole = ""
    for block in blocks(section):
        text = "\n".join(block)
        if not text.startswith("|"):
            said = EXPLAINS if EXPLAINS in text else ", ".join(COMMENT.findall(text))
            if not COMMENT.sub("", text).replace(EXPLAINS, "").strip():
                whole = said
            elif not text.rstrip().endswith(":"):  # that only leads to what follows
                yield Line(text, said or whole)
            continue
        columns = [cell.strip() for cell in block[0].strip("| ").split(" | ")]
        for row in block[2:]:
            held = row.strip("| ").split(" | ")[-1] if columns[-1] == "held by" else ""
            yield Line(row, held.strip() or whole)


def promised() -> dict[str, Promise]:
    """Every promise of the pages, by its name."""
    found: dict[str, Promise] = {}
    for page in SECTIONS:
        for _, section in sections(page):
            for line in lines_of(section):
                if line.held_by == EXPLAINS:
                    continue
                for name, places in NAME.findall(line.held_by):
                    promise = found.setdefault(name, Promise())
                    promise.where.add(page)
                    promise.places |= {place.strip() for place in places.split(",") if place.strip()}
    return found


def marks(node: ast.AST) -> Iterator[ast.Call | ast.Attribute]:
    """The marks of a test or a class, or of a module's ``pytestmark``."""
    for inner in ast.walk(node):
        target = inner.func if isinstance(inner, ast.Call) else inner
        if isinstance(target, ast.Attribute) and ast.unparse(target).startswith("pytest.mark."):
            yield inner  # type: ignore[misc]


def held() -> dict[str, Promise]:
    """Every promise that tests say they hold, by its name."""
    found: dict[str, Promise] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text()
        if "mark.promise(" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                continue
            said = [mark for one in node.decorator_list for mark in marks(one)]
            always = not any(ast.unparse(mark) == "pytest.mark.long" for mark in said)
            for mark in said:
                if not isinstance(mark, ast.Call) or ast.unparse(mark.func) != "pytest.mark.promise":
                    continue
                name = ast.literal_eval(mark.args[0])
                promise = found.setdefault(name, Promise())
                promise.where.add(f"{path.relative_to(ROOT)}::{node.name}")
                promise.always |= always
                for keyword in mark.keywords:
                    assert keyword.arg == "on", f"{node.name}: {keyword.arg}"
                    promise.places |= {place.strip() for place in ast.literal_eval(keyword.value).split(",")}
    return found


@pytest.mark.parametrize("page", SECTIONS)
def test_every_line_says_by_which_tests_it_is_held(page: str) -> None:
    text = dict(sections(page))
    assert set(SECTIONS[page]) <= set(text)
    silent = [
        f"{title}: {line.text[:100]}"
        for title in SECTIONS[page]
        for line in lines_of(text[title])
        if not line.held_by
    ]
    assert not silent, "\n".join(silent)


def test_every_promise_has_a_test_and_every_test_a_promise() -> None:
    pages, tests = promised(), held()
    assert not {name: one.where for name, one in pages.items() if name not in tests}
    assert not {name: one.where for name, one in tests.items() if name not in pages}
    assert not [name for name, one in tests.items() if not one.always], "held by long tests only"


def test_a_promise_is_held_on_every_port_and_for_every_client_it_speaks_of() -> None:
    pages, tests = promised(), held()
    unknown = {name: one.places - PLACES for name, one in (*pages.items(), *tests.items())}
    assert not {name: places for name, places in unknown.items() if places}
    missing = {name: one.places - tests[name].places for name, one in pages.items() if name in tests}
    assert not {name: places for name, places in missing.items() if places}


def test_the_reading_of_a_page_can_tell() -> None:
    section = (
        "Words that lead to a list:\n\n* one <!-- held by: first (API, pages) -->\n* two\n\n"
        "| what | held by |\n|---|---|\n| three | `third` |\n\nA remark. <!-- explains -->\n"
    )
    said = [line.held_by for line in lines_of(section)]
    assert said == ["first (API, pages)", "", "`third`", EXPLAINS]
    assert [line.held_by for line in lines_of("<!-- held by: all -->\n\nOne.\n\nTwo.\n")] == ["all", "all"]
