"""Files that appear whole or not at all."""

from __future__ import annotations

import pytest

from stackyard_detector.detector import whole_files
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python


def test_all_files_are_written(tmp_path):
    whole_files.write({tmp_path / "one": ["a", "b\n"], tmp_path / "two": iter(["\ud800"])}, "the files")
    assert (tmp_path / "one").read_bytes() == b"ab\n"
    assert (tmp_path / "two").read_bytes() == b"?"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_disk_that_fills_up_leaves_none_of_them(tmp_path):
    def full():
        yield "half of a"
        raise OSError(28, "No space left on device")

    with pytest.raises(BadInput, match=r"two: the alarms cannot be written \(No space left on device\)"):
        whole_files.write({tmp_path / "one": ["a"], tmp_path / "two": full()}, "the alarms")
    assert list(tmp_path.iterdir()) == []
