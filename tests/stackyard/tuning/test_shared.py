"""The folder in memory: one for a study, found again, and never left behind."""

from __future__ import annotations

from pathlib import Path

from stackyard.tuning import shared
from stackyard_tabular import shared_data


def test_a_workload_finds_it_by_the_name_that_it_is_given_by() -> None:
    assert shared.VARIABLE == shared_data.VARIABLE


def test_a_folder_is_there_while_trials_run_and_gone_afterwards(tmp_path: Path) -> None:
    with shared.folder(tmp_path / "study", tmp_path) as place:
        assert place is not None
        (place / "data.npy").write_bytes(b"x")
        assert place.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_tuner_left_is_found_again(tmp_path: Path) -> None:
    left = shared.folder(tmp_path / "study", tmp_path)
    before = left.__enter__()
    with shared.folder(tmp_path / "study", tmp_path) as place:
        assert place == before
    with shared.folder(tmp_path / "another", tmp_path) as other:
        assert other != before


def test_where_there_is_no_such_memory_or_somebody_took_the_name_nothing_is_shared(tmp_path: Path) -> None:
    with shared.folder(tmp_path / "study", tmp_path / "nowhere") as place:
        assert place is None
    with shared.folder(tmp_path / "study", tmp_path) as place:
        assert place is not None
        name = place.name
    (tmp_path / name).symlink_to(tmp_path)
    with shared.folder(tmp_path / "study", tmp_path) as place:
        assert place is None
