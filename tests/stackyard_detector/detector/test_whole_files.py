"""Files that appear whole or not at all."""

from __future__ import annotations

import pytest

from stackyard_detector.detector import whole_files
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python


def test_all_files_are_written(tmp_path):
    with whole_files.drafts([tmp_path / "one", tmp_path / "two"], "the files") as (one, two):
        one.write("a")
        two.write("\ud800")
        one.write("b\n")
        assert sorted(path.name[:4] for path in tmp_path.iterdir()) == [".one", ".two"]
    assert (tmp_path / "one").read_bytes() == b"ab\n"
    assert (tmp_path / "two").read_bytes() == b"?"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_disk_that_fills_up_leaves_none_of_them(tmp_path):
    def full():
        yield "half of a"
        raise OSError(28, "No space left on device")

    with pytest.raises(BadInput, match=r"one: the alarms cannot be written \(No space left on device\)"):
        whole_files.write({tmp_path / "one": full()}, "the alarms")
    with pytest.raises(BadInput, match="the alarms cannot be written"):
        whole_files.write({tmp_path / "one": ["whole"], tmp_path / "two": full()}, "the alarms")
    assert list(tmp_path.iterdir()) == []


def test_what_goes_wrong_otherwise_leaves_none_of_them_either(tmp_path):
    def broken():
        raise KeyError("a fault")
        yield ""

    with pytest.raises(KeyError):
        whole_files.write({tmp_path / "one": broken()}, "the alarms")
    assert list(tmp_path.iterdir()) == []
