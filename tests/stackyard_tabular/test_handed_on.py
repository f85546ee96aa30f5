from __future__ import annotations

import json

import numpy as np
import pytest

from stackyard_tabular import handed_on
from stackyard_task.channel import BadInput


@pytest.fixture
def left(tmp_path):
    folder = tmp_path / "left"
    folder.mkdir()
    np.savez(folder / "a.npz", x=np.arange(3))
    return handed_on.seal(folder, "stage-1", "0" * 64, {"classes": ["a"]})


def test_the_next_stage_gets_what_was_left(left):
    found = handed_on.opened(left.folder, "stage-1")
    assert (found.digest, found.made_from, found.about) == (left.digest, "0" * 64, {"classes": ["a"]})
    assert found.arrays("a.npz")["x"].tolist() == [0, 1, 2]


def change_file(folder):
    np.savez(folder / "a.npz", x=np.arange(4))


def change_about(folder):
    path = folder / handed_on.FILE
    path.write_text(path.read_text().replace('"a"', '"b"'))


def cut(folder):
    path = folder / handed_on.FILE
    path.write_text(path.read_text()[:-20])


def climb(folder):
    path = folder / handed_on.FILE
    whole = json.loads(path.read_text())
    whole["files"]["../x"] = "0"
    path.write_text(json.dumps(whole))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_file, "a.npz: was changed since stage-1 wrote it"),
        (change_about, "was changed since stage-1 wrote it"),
        (cut, "is no file that a stage wrote"),
        (climb, "is no file that a stage wrote"),
        (lambda folder: (folder / "a.npz").unlink(), "cannot be read"),
        (lambda folder: (folder / handed_on.FILE).unlink(), "name the folder that stage-1 left"),
    ],
)
def test_what_was_changed_on_the_way_is_refused(change, words, left):
    change(left.folder)
    with pytest.raises(BadInput, match=words):
        handed_on.opened(left.folder, "stage-1")


def test_what_another_stage_left_is_refused(left):
    with pytest.raises(BadInput, match="was left by 'stage-1', expected what stage-2"):
        handed_on.opened(left.folder, "stage-2")


def test_a_pickle_is_not_read(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}], dtype=object))
    left = handed_on.seal(tmp_path, "stage-1", "0" * 64, {})
    with pytest.raises(BadInput, match="cannot be read as arrays"):
        left.arrays("a.npz")
