"""Functions of the user's own: which can be called, and which modules travel with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.workloads import own

GOOD = "def main(parameters, channel, output_folder):\n    pass\n"


def names(reference: str, folder: Path, packages: tuple[Path, ...] = ()) -> list[str]:
    return sorted(source.name for source in own.found(reference, folder, packages).sources)


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_file_travels_with_the_modules_beside_it_that_it_imports_however_far(tmp_path: Path) -> None:
    write(
        tmp_path,
        work="import json\nimport near\n" + GOOD,
        near="def f():\n    from pack.inner import thing\n",
        stranger="",
    )
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("import far")
    (tmp_path / "far.py").write_text("import work\nimport numpy\n")
    found = own.found("work.py:main", tmp_path, ())
    assert found.entry == "work:main"
    assert names("work.py:main", tmp_path) == ["far.py", "near.py", "pack", "work.py"]
    assert names("work:main", tmp_path) == names("work.py:main", tmp_path)


def test_a_file_elsewhere_and_a_module_in_a_package_are_found(tmp_path: Path) -> None:
    write(tmp_path / "sub", work="import near\n" + GOOD, near="")
    assert own.found("sub/work.py:main", tmp_path, ()).entry == "work:main"
    assert names("sub/work.py:main", tmp_path) == ["near.py", "work.py"]
    assert own.found(f"{tmp_path}/sub/work.py:main", Path("/"), ()).entry == "work:main"
    assert own.found("sub.work:main", tmp_path, ()).entry == "sub.work:main"
    assert names("sub.work:main", tmp_path) == ["sub"]


def test_what_is_part_of_every_snapshot_needs_no_copy(tmp_path: Path) -> None:
    guest = write(tmp_path / "guest", work=GOOD)
    assert own.found("guest.work:main", tmp_path / "nowhere", [guest]).sources == ()
    with pytest.raises(BadInputError, match="defines no function 'other'"):
        own.found("guest.work:other", tmp_path, [guest])


@pytest.mark.parametrize(
    "text",
    [
        "def main(*everything): pass",
        "def main(parameters, channel, output_folder, more=1): pass",
        "main = print",
        "from elsewhere import main",
        "import elsewhere as main",
        "if True:\n    def main(a, b, c): pass",
        "try:\n    import x\nexcept ImportError:\n    def main(a, b, c): pass",
        "@decorated\ndef main(): pass",
        "from elsewhere import *",
        "def main(a, b, c):\n    def inner():\n        yield 1\n    return list(inner())",
    ],
)
def test_what_can_be_called_is_taken(text: str, tmp_path: Path) -> None:
    assert own.found("work.py:main", write(tmp_path, work=text), ()).entry == "work:main"


@pytest.mark.parametrize(
    ("reference", "text", "says"),
    [
        ("work.py:other", GOOD, "work.py defines no function 'other'"),
        (
            "work.py:main",
            "def main(): pass",
            r"main takes 0 arguments; a workload is called as main\(parameters",
        ),
        ("work.py:main", "def main(a): pass", "takes 1 argument;"),
        ("work.py:main", "def main(a, b, c, d): pass", "takes 4 arguments"),
        ("work.py:main", "def main(a, b, c, *, d): pass", "needs the argument 'd' by name"),
        ("work.py:main", "def main(a, b, c):\n    if a:\n        yield 1", "is a generator"),
        ("work.py:main", "from .near import main", "imports relatively"),
        ("work.py:main", "class main:\n    pass", "main is a class"),
        ("work.py:main", "main = 3", "main is a value"),
        ("__main__.py:main", GOOD, "there is no file"),
        ("work.py:main", "async def main(a, b, c): pass", "is async"),
        ("work.py:main", "def main(a, b, c)", r"is not Python \(line 1"),
        ("work.py:main", "\0", "is not Python"),
        ("absent.py:main", GOOD, "there is no file .*absent.py"),
        ("absent:main", GOOD, "there is no module 'absent' in"),
        ("work.inner:main", GOOD, "there is no module 'work.inner'"),
        ("work.py:", GOOD, "is no name of a function"),
        ("work.py:a b", GOOD, "is no name of a function"),
        ("a-b:main", GOOD, "is no name of a module"),
        ("../work.py:main", GOOD, "there is no file"),
        ("w\0rk.py:main", GOOD, "cannot be looked at"),
        ("w" * 300 + ".py:main", GOOD, "cannot be looked at|there is no file"),
        (
            "work.py:main",
            "if a: pass\n" + "elif a: pass\n" * 3000,
            "cannot be looked at|is not Python|defines no",
        ),
        ("work.py:main", "#" * (1 << 20) + "\n" + GOOD, "is longer than 1 MiB"),
    ],
)
def test_what_cannot_be_called_is_refused_in_a_sentence(
    reference: str, text: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match=says):
        own.found(reference, write(tmp_path / "here", work=text), ())


def test_a_file_whose_name_python_cannot_import_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my-work.py").write_text(GOOD)
    with pytest.raises(BadInputError, match=r"my-work.py is no name that Python can import"):
        own.found("my-work.py:main", tmp_path, ())


@pytest.mark.parametrize("name", ["json", "stackyard_task", "torch", "sitecustomize", "pynvml"])
def test_a_module_that_would_hide_one_the_run_needs_is_refused(name: str, tmp_path: Path) -> None:
    write(tmp_path, work=f"import {name}\n" + GOOD, **{name: ""})
    packages = [write(tmp_path / "packages" / "stackyard_task", records="")]
    with pytest.raises(BadInputError, match=f"{name}.py has the name of one of .* rename it"):
        own.found("work.py:main", tmp_path, packages)
    write(tmp_path, work=GOOD)
    assert names("work.py:main", tmp_path, tuple(packages)) == [
        "work.py"
    ]  # nobody imports it: it stays behind


def test_code_beyond_the_bounds_belongs_into_a_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, work="import near\n" + GOOD, near="")
    monkeypatch.setattr(own, "MOST_FILES", 1)
    with pytest.raises(BadInputError, match="more than 1 file"):
        own.found("work.py:main", tmp_path, ())


def test_links_in_a_circle_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "work.py").symlink_to(tmp_path / "work.py")
    with pytest.raises(BadInputError, match=r"cannot be looked at|there is no file"):
        own.found("work.py:main", tmp_path, ())


def test_a_folder_that_is_no_package_is_not_walked_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, work="import data\n" + GOOD)
    (tmp_path / "data").mkdir()
    for number in range(20):
        (tmp_path / "data" / f"{number}.csv").write_text("")
    assert names("work.py:main", tmp_path) == ["work.py"]
    monkeypatch.setattr(own, "MOST_ENTRIES", 10)
    with pytest.raises(BadInputError, match="holds more than 10 entries"):
        own.found("work.py:main", tmp_path, ())
