"""Fetching against a real HTTP server on the loopback interface that misbehaves as asked."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import socket
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from stackyard.errors import BadInputError
from stackyard.machine import data, fetching
from stackyard.machine.data import DataFile, DataSet
from stackyard.machine.download import TRIES, Downloader, DownloadError, NotThereError

CONTENT = random.Random(1).randbytes(300_000)


@dataclass
class Server:
    """What the server does, and what it was asked."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    #: Number of answers that end after ``dies_after`` bytes though more were promised.
    deaths: int = 0
    dies_after: int = 100_000
    #: Statuses to answer with before anything else.
    statuses: list[int] = field(default_factory=list)
    #: (path, Range header)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sent_bytes: int = 0


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            state.asked.append((self.path, self.headers.get("Range")))
            content = state.files.get(self.path)
            status = state.statuses.pop(0) if state.statuses else 200 if content is not None else 404
            if status != 200 or content is None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            begin = 0
            if state.ranges and self.headers.get("Range"):
                begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
                if begin >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            body = content[begin:]
            if state.deaths:
                state.deaths -= 1
                body = body[: state.dies_after]
                self.close_connection = True
            state.sent_bytes += len(body)  # before its reader can go on
            self.wfile.write(body)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    state.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def downloader(waits: list[float]) -> Iterator[Downloader]:
    with httpx.Client(timeout=5, trust_env=False) as client:
        yield Downloader(client=client, sleep=waits.append)


def entry(path: str, content: bytes = CONTENT, **where: str) -> DataFile:
    return DataFile(path, len(content), hashlib.sha256(content).hexdigest(), **where)


def one_file(server: Server, content: bytes = CONTENT) -> DataSet:
    """A data set of one file that the server has."""
    server.files["/raw/log"] = content
    return DataSet("own", "about", "licence", "source", (entry("log", address=f"{server.address}/raw/log"),))


def lying(folder: Path) -> list[str]:
    """All files below the data folder."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_file_is_fetched_checked_and_then_kept(
    server: Server, folder: Path, downloader: Downloader
) -> None:
    seen: list[int] = []
    downloader.on_progress = lambda done, total: seen.append(done)
    result = fetching.fetch(one_file(server), folder, downloader)
    assert (result.got, result.kept) == (["log"], [])
    assert (folder / "own/log").read_bytes() == CONTENT
    assert lying(folder) == ["own/log"]
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)

    again = fetching.fetch(one_file(server), folder, downloader)
    assert (again.got, again.kept) == ([], ["log"])
    assert len(server.asked) == 1


def test_a_server_that_dies_mid_way_is_asked_for_the_rest(
    server: Server, folder: Path, downloader: Downloader, waits: list[float]
) -> None:
    server.deaths, server.dies_after = 2, 120_000
    fetching.fetch(one_file(server), folder, downloader)
    assert (folder / "own/log").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=120000-", "bytes=240000-"]
    assert server.sent_bytes == len(CONTENT)
    assert waits == [1.0, 1.0]


def test_what_an_interrupted_fetch_left_is_continued(
    server: Server, folder: Path, downloader: Downloader
) -> None:
    (folder / "own").mkdir(parents=True)
    (folder / "own/log.part").write_bytes(CONTENT[:200_000])
    fetching.fetch(one_file(server), folder, downloader)
    assert (folder / "own/log").read_bytes() == CONTENT
    assert server.sent_bytes == 100_000
    assert lying(folder) == ["own/log"]


def test_what_was_complete_but_not_yet_named_is_taken_without_a_byte(
    server: Server, folder: Path, downloader: Downloader
) -> None:
    (folder / "own").mkdir(parents=True)
    (folder / "own/log.part").write_bytes(CONTENT)
    fetching.fetch(one_file(server), folder, downloader)
    assert (folder / "own/log").read_bytes() == CONTENT
    assert server.sent_bytes == 0


def test_without_range_support_it_starts_again(server: Server, folder: Path, downloader: Downloader) -> None:
    server.ranges, server.deaths = False, 1
    fetching.fetch(one_file(server), folder, downloader)
    assert (folder / "own/log").read_bytes() == CONTENT
    assert server.sent_bytes == 100_000 + len(CONTENT)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_always_dies_at_the_same_place_ends_in_a_sentence(
    server: Server, folder: Path, downloader: Downloader, waits: list[float], ranges: bool
) -> None:
    server.ranges, server.deaths, server.dies_after = ranges, 1000, 0 if ranges else 1000
    with pytest.raises(DownloadError, match=r"data address is unreachable .*4 tries.*--from FOLDER_OR_URL"):
        fetching.fetch(one_file(server), folder, downloader)
    assert len(server.asked) in (TRIES, TRIES + 1)
    assert waits == sorted(waits)
    assert not (folder / "own/log").exists()


def test_remains_of_another_file_are_noticed_by_the_checksum_and_fetched_anew(
    server: Server, folder: Path, downloader: Downloader
) -> None:
    (folder / "own").mkdir(parents=True)
    for remains in (b"x" * 1000, b"x" * 400_000):  # shorter, and longer than the file
        (folder / "own/log.part").write_bytes(remains)
        (folder / "own/log").unlink(missing_ok=True)
        fetching.fetch(one_file(server), folder, downloader)
        assert (folder / "own/log").read_bytes() == CONTENT


def test_wrong_content_is_refused_with_both_checksums_and_leaves_nothing(
    server: Server, folder: Path, downloader: Downloader
) -> None:
    data_set = one_file(server)
    server.files["/raw/log"] = CONTENT[:-1] + b"!"
    with pytest.raises(
        DownloadError, match=f"sha256 of the content is [0-9a-f]{{64}}.*expected {data_set.files[0].sha256}"
    ):
        fetching.fetch(data_set, folder, downloader)
    assert not folder.exists() or lying(folder) == []


def test_a_wrong_file_that_lies_here_is_replaced(
    server: Server, folder: Path, downloader: Downloader
) -> None:
    (folder / "own").mkdir(parents=True)
    (folder / "own/log").write_bytes(b"damaged")
    fetching.fetch(one_file(server), folder, downloader)
    assert (folder / "own/log").read_bytes() == CONTENT


def test_an_endless_answer_is_cut(server: Server, folder: Path, downloader: Downloader) -> None:
    data_set = one_file(server)
    server.files["/raw/log"] = CONTENT * 5
    with pytest.raises(DownloadError, match="sends more than the"):
        fetching.fetch(data_set, folder, downloader)
    assert lying(folder) == []


def test_a_missing_file_is_not_asked_for_again_and_a_busy_server_is(
    server: Server, folder: Path, downloader: Downloader, waits: list[float]
) -> None:
    data_set = one_file(server)
    server.statuses = [503, 429]
    fetching.fetch(data_set, folder, downloader)
    assert waits == [1.0, 2.0]

    (folder / "own/log").unlink()
    server.files.clear()
    server.asked.clear()
    with pytest.raises(NotThereError, match=r"the server has no such file \(HTTP 404\)"):
        fetching.fetch(data_set, folder, downloader)
    assert len(server.asked) == 1

    server.statuses = [403]
    with pytest.raises(DownloadError, match="refuses with HTTP 403"):
        fetching.fetch(data_set, folder, downloader)
    assert not (folder / "own").exists()


def test_offline_is_one_sentence(folder: Path, downloader: Downloader, waits: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data_set = DataSet("own", "a", "l", "s", (entry("log", address=f"http://127.0.0.1:{port}/log"),))
    with pytest.raises(DownloadError, match="the data address is unreachable") as caught:
        fetching.fetch(data_set, folder, downloader)
    assert "\n" not in str(caught.value)
    assert waits == [1.0, 2.0, 4.0]


def archive(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return packed.getvalue()


def test_members_of_an_archive_are_taken_out_and_the_archive_is_fetched_once(
    server: Server, folder: Path, downloader: Downloader
) -> None:
    where = {"address": f"{server.address}/all.zip"}
    files = (
        entry("a.csv", b"A" * 9, member="in/a.txt", **where),
        entry("sub/b.csv", b"B" * 9, member="b", **where),
    )
    server.files["/all.zip"] = archive(**{"in/a.txt": b"A" * 9, "b": b"B" * 9, "../../evil": b"no"})
    result = fetching.fetch(DataSet("own", "a", "l", "s", files), folder, downloader)
    assert result.got == ["a.csv", "sub/b.csv"]
    assert lying(folder) == ["own/a.csv", "own/sub/b.csv"]
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("packed", "sentence"),
    [
        (archive(other=b"x"), "has no member 'a'"),
        (archive(a=b"x" * 10_000_000), "is larger than the 9 bytes expected"),
        (b"this is no zip archive", "is not a zip archive"),
        (archive(a=b"wrong"), "sha256 of the content is"),
    ],
)
def test_an_archive_with_something_else_is_refused(
    server: Server, folder: Path, downloader: Downloader, packed: bytes, sentence: str
) -> None:
    server.files["/all.zip"] = packed
    file = entry("a.csv", b"A" * 9, address=f"{server.address}/all.zip", member="a")
    with pytest.raises(DownloadError, match=sentence):
        fetching.fetch(DataSet("own", "a", "l", "s", (file,)), folder, downloader)
    assert "own/a.csv" not in lying(folder)
    assert "own/a.csv.part" not in lying(folder)


def test_derived_files_are_named_with_how_they_were_made(
    server: Server, folder: Path, downloader: Downloader
) -> None:
    files = (*one_file(server).files, entry("derived.csv", how="log, by hand"))
    result = fetching.fetch(DataSet("own", "a", "l", "s", files), folder, downloader)
    assert result.got == ["log"]
    assert result.without_address == {"derived.csv": "log, by hand"}


def test_a_copy_at_another_address_serves_all_plain_or_compressed(
    server: Server, folder: Path, downloader: Downloader
) -> None:
    files = (entry("log", address="https://public.invalid/log"), entry("d/x y.csv", b"1,2\n", how="by hand"))
    server.files = {"/mirror/own/log.gz": gzip.compress(CONTENT), "/mirror/own/d/x%20y.csv": b"1,2\n"}
    data_set = DataSet("own", "a", "l", "s", files)
    result = fetching.fetch(data_set, folder, downloader, copy=f"{server.address}/mirror/")
    assert result.got == ["log", "d/x y.csv"]
    assert lying(folder) == ["own/d/x y.csv", "own/log.gz"]
    assert {state.state for state in data.verify(data_set, folder)} == {"good"}
    with pytest.raises(NotThereError, match=r"neither plain nor as .gz or .xz"):
        fetching.fetch(
            one_file(server), folder.with_name("empty"), downloader, copy=f"{server.address}/nowhere"
        )


def test_a_copy_in_a_folder_serves_an_isolated_machine(
    tmp_path: Path, folder: Path, downloader: Downloader
) -> None:
    files = (entry("log", address="https://public.invalid/log"),)
    data_set = DataSet("own", "a", "l", "s", files)
    stick = tmp_path / "stick"
    with pytest.raises(BadInputError, match="is neither a folder nor an http address"):
        fetching.fetch(data_set, folder, downloader, copy=str(stick))
    (stick / "own").mkdir(parents=True)
    with pytest.raises(NotThereError, match="has no own/log"):
        fetching.fetch(data_set, folder, downloader, copy=str(stick))
    (stick / "own/log.gz").write_bytes(gzip.compress(CONTENT + b"!"))
    with pytest.raises(DownloadError, match="sha256"):
        fetching.fetch(data_set, folder, downloader, copy=str(stick))
    assert not (folder / "own").exists()
    (stick / "own/log.gz").write_bytes(gzip.compress(CONTENT))
    assert fetching.fetch(data_set, folder, downloader, copy=str(stick)).got == ["log"]
    assert data.resolve("dataset:own/log", folder).name == "log.gz"


def test_a_data_folder_that_cannot_be_written_says_so(
    server: Server, tmp_path: Path, downloader: Downloader
) -> None:
    (tmp_path / "file").write_text("not a folder")
    folder = tmp_path / "file"
    with pytest.raises(BadInputError, match="cannot be written"):
        fetching.fetch(one_file(server), folder, downloader)
    assert server.asked == []
