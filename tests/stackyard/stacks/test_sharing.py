"""One environment's files in another: which way, what is copied all the same, and that the first stays as it is."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stackyard.stacks import sharing, sizes


def environment(folder: Path) -> Path:
    """An environment with one module, a program, links and what is its own."""
    site = folder / "lib" / "python3.11" / "site-packages"
    (site / "pkg" / "__pycache__").mkdir(parents=True)
    (site / "pkg" / "__init__.py").write_text("x = 1\n")
    (site / "pkg" / "__pycache__" / "__init__.pyc").write_bytes(b"compiled")
    (site / "path.pth").write_text("import os\n")
    (site / "inner").symlink_to(site / "pkg")
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "bin" / "tool").write_text(f"#!{folder}/bin/python\nprint('{folder}/kept')\n")
    (folder / "bin" / "tool").chmod(0o755)
    (folder / "bin" / "alias").symlink_to("tool")
    (folder / "pyvenv.cfg").write_text("home = here\n")
    (folder / "marker.json").write_text("{}")
    (folder / "lib64").symlink_to("lib")
    return folder


def fresh(folder: Path) -> Path:
    (folder / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "pyvenv.cfg").write_text("home = mine\n")
    (folder / "lib64").symlink_to("lib")
    return folder


def test_a_program_runs_from_a_folder_whose_name_the_kernel_does_not_take(tmp_path: Path) -> None:
    base, new = environment(tmp_path / "base"), fresh(tmp_path / ("long-" * 30))
    (base / "bin" / "tool").write_text(f"#!{base}/bin/python\nimport sys\nprint('ran', sys.argv[1])\n")
    sharing.share(base, new)
    done = subprocess.run([new / "bin" / "tool", "it"], capture_output=True, text=True, check=False)
    assert done.stdout == "ran it\n", done.stderr
    assert (new / "bin" / "tool").read_text().startswith("#!/bin/sh\n")


@pytest.mark.parametrize("long", [False, True])
def test_programs_of_a_copied_base_are_started_by_their_own_interpreter(tmp_path: Path, long: bool) -> None:
    elsewhere = tmp_path / ("long-" * 30 if long else "elsewhere")
    called = f"#!/bin/sh\n'''exec' \"{elsewhere}/bin/python3.11\" \"$0\" \"$@\"\n' '''\n"
    start = called if long else f"#!{elsewhere}/bin/python3.11 -s\n"
    base, new = environment(tmp_path / "base"), fresh(tmp_path / "new")
    (base / "bin" / "tool").write_text(f"{start}import sys\nprint(sys.argv[1])\n")
    (base / "bin" / "other").write_text("#!/usr/bin/python3\n")
    (base / "bin" / "shell").write_text("#!/bin/sh\necho hello\n")
    (base / "bin" / "program").write_bytes(b"\x7fELF\xff")
    sharing.share(base, new)
    same = os.stat(base / "bin" / "shell").st_ino
    os.link(base / "bin" / "tool", tmp_path / "linked")
    sharing.mend_scripts(base)
    for folder in (new, base):
        text = (folder / "bin" / "tool").read_text()
        assert text.splitlines()[0] == f"#!{folder}/bin/python{'' if long else ' -s'}"
        done = subprocess.run([folder / "bin" / "tool", "it"], capture_output=True, text=True, check=True)
        assert done.stdout == "it\n"
        assert (folder / "bin" / "other").read_text() == "#!/usr/bin/python3\n"
        assert (folder / "bin" / "program").read_bytes() == b"\x7fELF\xff"
    assert os.stat(base / "bin" / "shell").st_ino == same, "what is right is not written"
    assert str(elsewhere) in (tmp_path / "linked").read_text(), "replaced, never written into"


def test_files_are_linked_and_what_carries_the_folders_name_is_its_own(tmp_path: Path) -> None:
    base, new = environment(tmp_path / "base"), fresh(tmp_path / "new")
    assert sharing.share(base, new, without=["marker.json"]) == "hard links"
    site, own = (folder / "lib" / "python3.11" / "site-packages" for folder in (base, new))
    for name in ("pkg/__init__.py", "pkg/__pycache__/__init__.pyc"):
        assert os.path.samefile(site / name, own / name)
    assert not os.path.samefile(site / "path.pth", own / "path.pth")
    assert os.readlink(own / "inner") == str(own / "pkg")
    assert (new / "pyvenv.cfg").read_text() == "home = mine\n"
    assert not (new / "marker.json").exists()
    tool = (new / "bin" / "tool").read_text()
    assert f"{new}/bin/python" in tool
    assert f"{base}/" not in tool
    assert os.access(new / "bin" / "tool", os.X_OK)
    assert os.readlink(new / "bin" / "alias") == "tool"
    linked = [site / "pkg/__init__.py", site / "pkg/__pycache__/__init__.pyc"]
    every, only_here = sizes.sizes(new)
    assert every - only_here == sum(path.stat().st_blocks * 512 for path in linked)


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_links_are_not_possible_files_are_copied_with_their_times(
    tmp_path: Path, reason: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", refuse)
    base, new = environment(tmp_path / "base"), fresh(tmp_path / "new")
    source = base / "lib/python3.11/site-packages/pkg/__init__.py"
    os.utime(source, (1_000_000_000, 1_000_000_000))
    way = sharing.share(base, new)
    assert way == ("hard links" if reason == errno.EMLINK else way)
    copied = new / "lib/python3.11/site-packages/pkg/__init__.py"
    assert copied.read_text() == "x = 1\n"
    assert copied.stat().st_mtime == 1_000_000_000  # else its .pyc would not count
    assert not os.path.samefile(source, copied)
    copied.write_text("x = 2\n")
    assert source.read_text() == "x = 1\n"


def test_a_full_disk_is_no_reason_to_try_another_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def full(*arguments: object, **more: object) -> None:
        tried.append("link")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space left"):
        sharing.share(environment(tmp_path / "base"), fresh(tmp_path / "new"))
    assert tried == ["link"]


def test_every_way_leaves_the_base_as_it_is(tmp_path: Path, tree: Callable[[Path], dict[str, bytes]]) -> None:
    base = environment(tmp_path / "base")
    before = tree(base)
    sharing.share(base, fresh(tmp_path / "new"))
    (tmp_path / "new/lib/python3.11/site-packages/path.pth").write_text("import sys\n")
    (tmp_path / "new/bin/tool").write_text("changed")
    assert tree(base) == before
