from __future__ import annotations

import gzip
import lzma
import os
import sys

import pytest

from stackyard_detector.readers import Quarantine, QuarantineLimit
from stackyard_detector.readers.files import LINE_BYTES, numbered_lines
from stackyard_task.channel import BadInput


def test_a_missing_file_a_folder_and_an_empty_file_are_one_sentence_each(tmp_path, write, read):
    for path, sentence in (
        (tmp_path / "none", "none: no such file"),
        (tmp_path, "is a folder, expected a file"),
        (write("empty", b""), "empty: is empty"),
        (write("empty.gz", gzip.compress(b"")), "is empty"),
        (write("blank", "\n\n"), "holds no session"),
    ):
        with pytest.raises(BadInput, match=sentence) as caught:
            read(path, format="sequences")
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_says_so(write, read):
    path = write("a", "1 2\n")
    path.chmod(0)
    with pytest.raises(BadInput, match="cannot be read"):
        read(path, format="sequences")


def test_lines_that_are_not_utf_8_go_to_quarantine_with_their_number(write, read):
    sessions, quarantine = read(write("a", b"1 2\n3 \xff 4\n5 6\n"), format="sequences")
    assert [s.key for s in sessions] == ["1", "3"]
    assert quarantine.first.endswith("line 2: not UTF-8 at byte 2")


def test_a_file_that_is_not_utf_8_at_all_is_refused(write, read):
    with pytest.raises(BadInput, match="is UTF-16, expected UTF-8; set encoding = 'utf-16'"):
        read(write("a", "1 2\n3 4\n".encode("utf-16")), format="sequences")
    with pytest.raises(
        BadInput, match=r"holds no session \(2 lines are corrupt, the first: .*line 1: not UTF-8"
    ):
        read(write("b", b"\xe9\n\xe8\n"), format="sequences")


def test_the_utf_8_mark_of_windows_programs_is_no_part_of_the_first_word(write, read):
    (session,), _ = read(
        write("a.csv", b"\xef\xbb\xbfkey,events\r\nk,1 2\r\n"), format="csv-sequences", key_column="key"
    )
    assert (session.key, session.events) == ("k", ["1", "2"])


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_compressed_data_cut_off_says_how_far_it_was_readable(write, read, pack):
    import random

    noise = random.Random(1)
    data = b"".join(b"%d %d\n" % (noise.random() * 1e9, noise.random() * 1e9) for _ in range(50_000))
    packed = pack(data)
    path = write("a.gz" if pack is gzip.compress else "a.xz", packed[: len(packed) // 2])
    with pytest.raises(BadInput, match=r"is cut off or broken after line \d+"):
        read(path, format="sequences")


def test_what_only_calls_itself_compressed_says_so(write, read):
    for name in ("a.gz", "a.xz"):
        with pytest.raises(BadInput, match=r"is cut off or broken after line 0"):
            read(write(name, "1 2 3\n"), format="sequences")


def test_an_endless_line_is_one_corrupt_line_and_costs_no_memory(write, read):
    path = write("a", b"1 2\n" + b"x" * (5 * LINE_BYTES) + b"\n3 4\n")
    sessions, quarantine = read(path, format="sequences")
    assert [(s.key, s.events) for s in sessions] == [("1", ["1", "2"]), ("3", ["3", "4"])]
    assert quarantine.count == 1
    assert "line 2: longer than" in quarantine.first


def test_the_limit_holds_while_reading(write, read):
    path = write("a", b"1\n" + b"\xff\n" * 10)
    with pytest.raises(QuarantineLimit, match="5 allowed"):
        read(path, quarantine=Quarantine(limit=5), format="sequences")


def test_lines_come_as_a_stream(tmp_path):
    """The first line of a file is there without the last one being read."""
    path = tmp_path / "big.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(200):
            stream.write(b"0123456789\n" * 10_000)
    lines = numbered_lines(path, Quarantine())
    before = _resident()
    for _ in range(1_000_000):
        next(lines)
    assert _resident() - before < 5_000_000  # the file is 22 MB


def _resident():
    if not sys.platform.startswith("linux"):
        pytest.skip("resident memory is read from /proc")
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("latin-1", "latin-1"),
        ("iso-8859-15", "iso-8859-15"),
        ("cp1252", "cp1252"),
        ("Windows-1252", "cp1252"),
        ("utf-16", "utf-16"),
        ("utf-16-be", "utf-16-be"),
        ("gb18030", "gb18030"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_of_another_encoding_are_read_when_it_is_named(write, read, encoding, written, pack):
    text = "".join(f"Müller {n} schließt\r\n" for n in range(20_000))
    sessions, quarantine = read(write("a", pack(text.encode(written))), format="sequences", encoding=encoding)
    assert len(sessions) == 20_000
    assert sessions[-1].events == ["Müller", "19999", "schließt"]
    assert quarantine.results() == {"quarantined_lines": 0, "lines_read": 20_000}


def test_what_is_no_character_of_the_encoding_costs_its_line(write, read):
    sessions, quarantine = read(
        write("a", b"1 \x93x\x94\n2 \x81\n3\n"), format="sequences", encoding="cp1252"
    )
    assert [s.events for s in sessions] == [["1", "“x”"], ["3"]]
    assert quarantine.first.endswith("line 2: not cp1252")
    half = "1 2\n".encode("utf-16") + b"\x00\xd8\n\x00" + "3\n".encode("utf-16-le") + b"4"
    sessions, quarantine = read(write("b", half), format="sequences", encoding="utf-16")
    assert [s.events for s in sessions] == [["1", "2"], ["3"]]
    assert (quarantine.count, quarantine.lines) == (2, 4)


def test_utf_16_without_a_mark_needs_its_byte_order(write, read):
    path = write("a", "1 2\n".encode("utf-16-le"))
    with pytest.raises(
        BadInput, match="has no mark that says which UTF-16 it is; name utf-16-le or utf-16-be"
    ):
        read(path, format="sequences", encoding="utf-16")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="is no regular file"):
        list(numbered_lines(tmp_path / "pipe", Quarantine()))
