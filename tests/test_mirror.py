"""Tests mirror the source by name and folder: whoever changes a file finds its tests without searching.

``tests/ROOM/test_NOUN.py`` tests ``src/ROOM/NOUN.py``, the folder ``src/ROOM/NOUN/`` or, named like it, the room
itself; ``test_NOUN_WORDS.py`` is a further file of the same noun.
"""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parent
SOURCE = TESTS.parent / "src"
#: Folders and files of tests that have no room or noun to be named after, each with what it tests instead.
EXCEPTIONS = {
    "stackyard_server/clients": "the unmodified SDK and agent against the whole server",
    "stackyard_server/conformance": "recorded exchanges replayed against the whole server",
    "stackyard_server/databases": "data folders of earlier versions",
    "stackyard_server/durability": "the whole server killed, stopped, on a full disk, with a clock that jumps",
    "stackyard_server/endpoints/test_narrowing.py": "every field that narrows, of every endpoint",
    "stackyard_server/endpoints/test_odd_numbers.py": "every field that may hold a number, of every endpoint",
    "stackyard_server/test_alone.py": "the server's own wheel, installed where nothing else of ours is",
    "stackyard_server/test_documented.py": "docs/clearml-api.md against the table of endpoints",
    "stackyard_server/test_fuzz.py": "malformed requests against the whole server",
    "stackyard_server/test_security_isolation.py": "what no part of the server ever does",
    "stackyard_server/upkeep/test_copies.py": "backup, restore, verification and gc of one folder",
    "stackyard_server/web/test_browser.py": "the pages in a real browser",
    "stackyard_server/web/test_dispatch_pages.py": "the pages of what was dispatched, in a real browser",
    "stackyard_server/web/test_narrow.py": "the pages on narrow screens, and what refreshes, in a real browser",
    "stackyard_server/web/test_shapes.py": "the pages' pure parts: advice, lineage, parameters",
    "stackyard_detector/readers/test_any_bytes.py": "every reader on any bytes",
    "stackyard_detector/readers/test_real_logs.py": "every reader on public logs",
    "stackyard/clearml/pipelines/test_over_queues.py": "a pipeline over a whole installation",
    "stackyard/launch/test_code.py": "how code gets to an agent, whichever deployment sent it",
    "stackyard/web/test_browser.py": "the pages in a real browser",
    "stackyard/launch/test_seen_from_the_host.py": "records against what the host sees, for all deployments",
}


def files() -> list[str]:
    return sorted(str(path.relative_to(TESTS)) for path in TESTS.glob("stackyard*/**/test_*.py"))


def mirrors(file: str) -> bool:
    """Whether a file of tests is named after a noun of the room that its folder names."""
    path = Path(file)
    room, words = SOURCE / path.parent, path.stem.removeprefix("test_")
    if not room.is_dir():
        return False
    nouns = {room.name, *(p.stem for p in room.glob("*.py")), *(p.name for p in room.iterdir() if p.is_dir())}
    return any(words == noun or words.startswith(f"{noun}_") for noun in nouns)


def excused(file: str) -> str | None:
    """The exception that a file falls under."""
    return next((one for one in EXCEPTIONS if file == one or file.startswith(f"{one}/")), None)


def test_each_file_of_tests_is_named_after_what_it_tests() -> None:
    named = [file for file in files() if mirrors(file)]
    print(
        f"{len(named)} of {len(files())} files of tests ({100 * len(named) / len(files()):.0f} %) mirror the source"
    )
    strangers = [file for file in files() if not mirrors(file) and excused(file) is None]
    assert strangers == [], (
        "name them after the file or folder of src/ that they test (or say in EXCEPTIONS why not)"
    )


def test_every_exception_is_still_one() -> None:
    used = {excused(file) for file in files() if not mirrors(file)}
    assert set(EXCEPTIONS) - used == set()
