"""Multipart bodies, sound and broken, in pieces of any size."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard_server.files.stored import StoredFiles, key_of
from stackyard_server.files.uploads import Upload, parameters
from stackyard_server.http.errors import Refused
from stackyard_server.store import Store
from tests.counts import examples

SOUND = (
    b'--b\r\nContent-Disposition: form-data; name="a/one"; filename="one"\r\nContent-Type: text/plain\r\n\r\n1\r\n1\r\n'
    b'--b\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue\r\n'
    b"--b\r\ncontent-disposition: form-data; filename=two; name*=utf-8''a%2Fz%C3%A9\r\n\r\n--b not the end\r\n--b--\r\n"
)


@pytest.fixture(scope="module")
def stored() -> Iterator[StoredFiles]:
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(Path(scratch))
        yield StoredFiles(store)
        store.close()


def take(stored: StoredFiles, body: bytes, step: int) -> dict[str, int] | int:
    """Key -> bytes of each file, or the status of the refusal; nothing is left of either."""
    upload = Upload(stored, b"b")
    try:
        for begin in range(0, len(body), step):
            upload.feed(body[begin : begin + step])
        return {one.key: one.bytes for one in upload.finish()}
    except Refused as refused:
        return refused.code
    finally:
        upload.discard()
        assert list(stored.incoming.iterdir()) == []


@given(step=st.integers(1, 400))
@settings(deadline=None, max_examples=examples(60))
def test_a_body_is_read_the_same_in_pieces_of_any_size(stored: StoredFiles, step: int) -> None:
    assert take(stored, SOUND, step) == {"a/one": 4, "a/zé": 15}


@given(
    cuts=st.lists(
        st.tuples(st.integers(0, len(SOUND)), st.integers(0, 30), st.binary(max_size=12)), max_size=6
    ),
    step=st.integers(1, 200),
)
@settings(deadline=None, max_examples=examples(400))
def test_a_broken_body_is_refused_or_read_never_more(
    stored: StoredFiles, cuts: list[tuple[int, int, bytes]], step: int
) -> None:
    body = SOUND
    for place, length, instead in cuts:
        body = body[:place] + instead + body[place + length :]
    found = take(stored, body, step)
    if isinstance(found, dict):
        assert all(key_of(key) == key for key in found)
    else:
        assert found in (400, 404)


def test_the_files_of_one_request_are_bounded(stored: StoredFiles) -> None:
    many = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%d"; filename="x"\r\n\r\n1\r\n' % n
        for n in range(1001)
    )
    assert take(stored, many + b"--b--\r\n", 65536) == 413


@pytest.mark.promise("descriptors-shared")
def test_an_upload_has_one_file_open_at_a_time(stored: StoredFiles) -> None:
    """However many came: each takes a descriptor, and the process has few."""
    before = len(os.listdir("/proc/self/fd"))
    upload = Upload(stored, b"b")
    for number in range(200):
        upload.feed(b'--b\r\nContent-Disposition: form-data; name="%d"; filename="x"\r\n\r\n1\r\n' % number)
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    upload.discard()


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('form-data; name="a b"; filename="x"', "a b"),
        ("form-data; name=a; filename=x", "a"),
        ('form-data; filename="x"; name="a;b=\'c\'"', "a;b='c'"),
        ('form-data; name="say %22hi%22"; filename="x"', "say %22hi%22"),
        ("form-data; name=\"old\"; name*=utf-8''new%20one; filename=x", "new one"),
        ('form-data; name="a\\b"; filename="x"', "a\\b"),
    ],
)
def test_the_name_of_a_part(header: str, name: str) -> None:
    assert parameters(header)["name"] == name
