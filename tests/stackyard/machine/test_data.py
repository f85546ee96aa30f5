"""The list of public data sets and how its files are found."""

from __future__ import annotations

import gzip
import hashlib
import lzma
from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.machine import data
from stackyard.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def put(folder: Path, name: str, content: bytes = b"x\n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_every_set_says_what_where_from_and_under_which_licence() -> None:
    names = [s.name for s in data.known()]
    assert len(names) == len(set(names))
    assert {"hdfs_logdeep", "ait_ads", "firewall_uci542", "suricata_eve_alerts", "iot23_zeek_labeled"} <= set(
        names
    )
    for data_set in data.known():
        assert data_set.about
        assert data_set.licence
        assert data_set.source
        paths = [file.path for file in data_set.files]
        assert paths
        assert len(paths) == len(set(paths))


def test_a_name_means_a_listed_file_or_one_that_is_here(tmp_path: Path) -> None:
    data.check_name("dataset:hdfs_logdeep/hdfs_train", tmp_path)
    data.check_name("dataset:hdfs_logdeep/hdfs_train.xz", tmp_path)
    with pytest.raises(BadInputError, match=r"hdfs_logdeep has no file 'nofile\.gz'"):
        data.check_name("dataset:hdfs_logdeep/nofile.gz", tmp_path)
    with pytest.raises(BadInputError, match="there is no data set 'mine'"):
        data.check_name("dataset:mine/week.csv", tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "week.csv").touch()
    data.check_name("dataset:mine/week.csv", tmp_path)


@pytest.mark.parametrize("file", [f for s in data.known() for f in s.files], ids=lambda f: f.path)
def test_every_file_has_a_checksum_and_either_a_pinned_address_or_says_how_it_was_made(
    file: data.DataFile,
) -> None:
    assert len(bytes.fromhex(file.sha256)) == 32
    assert file.bytes > 0
    assert not file.path.endswith((".gz", ".xz"))
    assert (file.address is None) != (file.how is None)
    if file.address:
        assert file.address.startswith("https://")
        commit = file.address.split("/")[5]  # an address that cannot change under us
        assert len(bytes.fromhex(commit)) == 20


def test_a_reference_finds_the_file_plain_or_compressed_whatever_it_says(folder: Path) -> None:
    packed = put(folder, "hdfs_logdeep/hdfs_train.gz")
    for reference in (
        "dataset:hdfs_logdeep/hdfs_train.gz",
        "dataset:hdfs_logdeep/hdfs_train",
        "hdfs_logdeep/hdfs_train.xz",
    ):
        assert data.resolve(reference, folder) == packed
    plain = put(folder, "hdfs_logdeep/hdfs_train")
    assert data.resolve("dataset:hdfs_logdeep/hdfs_train", folder) == plain
    assert data.resolve("dataset:hdfs_logdeep/hdfs_train.gz", folder) == packed


def test_files_that_are_in_the_folder_are_found_though_the_list_does_not_know_them(
    folder: Path,
) -> None:
    own = put(folder, "our_firewall/2026/week.csv.xz")
    assert data.resolve("dataset:our_firewall/2026/week.csv", folder) == own


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        (
            "dataset:hdfs_logdeep/hdfs_train.gz",
            "get it with: stackyard data fetch hdfs_logdeep, or name a folder",
        ),
        ("dataset:hdfs_logdeep/nope", "has no file 'nope'; it has: HDFS_templates.csv"),
        ("dataset:nope/file", "there is no data set 'nope'.*known are: hdfs_logdeep"),
        ("dataset:hdfs_logdeep/hdfs_test_normal_sampleA_11151.csv.gz", "no public address serves it.*--from"),
        ("dataset:hdfs_logdeep", "does not name a data file"),
        ("dataset:hdfs_logdeep/../../secret", "does not name a data file"),
        ("dataset:/etc/passwd", "does not name a data file"),
        ("dataset:", "does not name a data file"),
    ],
)
def test_a_reference_to_nothing_says_what_to_do(folder: Path, reference: str, sentence: str) -> None:
    with pytest.raises(BadInputError, match=sentence):
        data.resolve(reference, folder)


def test_verify_reads_the_content_plain_or_compressed(folder: Path) -> None:
    content = b"5 5 22\n" * 1000
    digest = hashlib.sha256(content).hexdigest()
    files = tuple(data.DataFile(name, len(content), digest) for name in ("a", "b", "c", "d", "e"))
    data_set = data.DataSet("own", "about", "licence", "source", files)
    put(folder, "own/a", content)
    put(folder, "own/b.gz", gzip.compress(content))
    put(folder, "own/c.xz", lzma.compress(content + b"6"))
    put(folder, "own/d.gz", gzip.compress(content)[:-20])
    states = {state.file: state for state in data.verify(data_set, folder)}
    assert {name: state.state for name, state in states.items()} == {
        "a": "good",
        "b": "good",
        "c": "wrong",
        "d": "wrong",
        "e": "absent",
    }
    assert f"expected {digest}" in str(states["c"].reason)
    assert "broken" in str(states["d"].reason)
    assert data.here(data_set, folder) == 4


def test_the_data_folder_is_the_option_then_the_variable_then_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKYARD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STACKYARD_DATA", raising=False)
    assert Settings.from_environment().data == tmp_path / "home" / "data"
    monkeypatch.setenv("STACKYARD_DATA", str(tmp_path / "shared"))
    assert Settings.from_environment().data == tmp_path / "shared"
    assert Settings.from_environment(tmp_path / "given").data == tmp_path / "given"
    monkeypatch.delenv("STACKYARD_HOME")
    before = Settings.from_environment().home
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment().home == before  # the checkout's, from every folder


def test_the_copies_on_this_machine_are_what_the_list_says() -> None:
    folder = Settings.from_environment().data
    small = [s for s in data.known() if s.bytes < 5_000_000 and data.here(s, folder)]
    if not small:
        pytest.skip("no data sets on this machine (set STACKYARD_DATA)")
    states = [state for data_set in small for state in data.verify(data_set, folder)]
    assert [state.reason for state in states if state.state == "wrong"] == []
