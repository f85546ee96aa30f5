"""What tests of derived stacks share: a built base that each test may add to, and the content of a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from stackyard.settings import Settings
from stackyard.stacks import definition, environment
from stackyard.stacks.definition import StackSpec
from tests.stackyard.fake_stacks import Built, alone, wheel


@dataclass
class Yard:
    """A home of the test's own with the fake stack built in it, and a folder of wheels."""

    settings: Settings
    base: StackSpec
    wheels: Path
    folder: Path

    @property
    def base_folder(self) -> Path:
        """The environment of the base."""
        return environment.location(self.base, self.settings)

    def requirements(self, text: str, name: str = "requirements.txt") -> Path:
        """A file of requirements."""
        path = self.folder / name
        path.write_text(text)
        return path


@pytest.fixture
def yard(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    """The built stack in a home of one's own; pip reaches no index, wheels lie in a folder."""
    home, definitions, wheels = tmp_path / "home", tmp_path / "definitions", tmp_path / "wheels"
    # but for the locks: a linked one would be held by the tests of other processes too
    locks = shutil.ignore_patterns("*.lock")
    shutil.copytree(built.depot.home, home, symlinks=True, ignore=locks, copy_function=os.link)
    shutil.copytree(built.depot.definitions, definitions)
    wheel(wheels, "top", "2.0", {"top.py": "import under\n"}, requires=("under>=1",))
    wheel(wheels, "under", "1.5", {"under.py": "y = 1\n"})
    for name, value in (("HOME", home), ("STACKS", definitions), ("WHEELS", wheels)):
        monkeypatch.setenv(f"STACKYARD_{name}", str(value))
    alone(monkeypatch)
    return Yard(Settings(home=home), definition.read(definitions / built.stack.name), wheels, tmp_path)


@pytest.fixture
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Gives the content of every file of a folder, and where its links lead."""

    def content(folder: Path) -> dict[str, bytes]:
        found = {}
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_symlink():
                found[name] = os.fsencode(os.readlink(path))
            elif path.is_file():
                found[name] = path.read_bytes()
        return found

    return content
