"""The file server over real sockets: uploads, downloads, deletes, and everything it refuses."""

from __future__ import annotations

import logging
import re
import socket
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from stackyard_server import identity
from stackyard_server.identity import COOKIE
from stackyard_server.store import files as file_rows
from tests.waiting import PATIENCE_SECONDS, until

from ..running import Running, running_server
from .test_stored import ESCAPES

ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server() as running:
        running.client.cookies.clear()  # what lets in is what a test sends
        yield running


def bearer(server: Running) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}"}


def upload(
    server: Running, files: dict[str, bytes], headers: dict[str, str] | None = None, url: str | None = None
) -> httpx.Response:
    """What the SDK sends: the field's name is the path."""
    boundary = "b0undary"
    body = b""
    for path, content in files.items():
        raw = path.encode("utf-8", "surrogateescape")
        body += b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n' % (
            boundary.encode(), raw, raw,
        )  # fmt: skip
        body += b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"
    body += b"--" + boundary.encode() + b"--\r\n"
    sent = {"Content-Type": f"multipart/form-data; boundary={boundary}", **(headers or bearer(server))}
    return server.client.post(f"{url or server.files}/", content=body, headers=sent)


def get(server: Running, path: str, **headers: str) -> httpx.Response:
    return server.client.get(
        f"{server.files}/{urllib.parse.quote(path)}", headers={**bearer(server), **headers}
    )


def token_of(server: Running, role: str, login: str) -> str:
    with server.store.writing() as tx:
        user = identity.add_user(tx, 0, name=login, role=role)
        key, secret = identity.add_credentials(tx, user)
    answer = server.client.get(f"{server.api}/auth.login", auth=(key, secret)).json()
    server.client.cookies.clear()
    token: str = answer["data"]["token"]
    return token


def on_disk(server: Running) -> list[Path]:
    """Contents and uploads on their way in; those that may go have gone."""
    stored = server.server.files.stored
    stored.reap(time.time() + 1)
    return [*stored.blobs(), *stored.incoming.iterdir()]


def test_files_come_back_as_they_went(server: Running) -> None:
    files = {"/lab/a run/one.txt": b"hello", "lab/é 日本.bin": bytes(range(256)) * 9000, "lab/empty": b""}
    answer = upload(server, files)
    assert answer.status_code == 200
    assert answer.json() == [path.strip("/") for path in files]
    for path, content in files.items():
        back = get(server, path.strip("/"))
        assert (back.status_code, back.content) == (200, content)
        assert back.headers["content-length"] == str(len(content))


def test_a_second_upload_replaces_and_changes_the_etag(server: Running) -> None:
    upload(server, {"again.txt": b"one"})
    first = get(server, "again.txt")
    upload(server, {"again.txt": b"two"})
    second = get(server, "again.txt", **{"If-None-Match": first.headers["etag"]})
    assert (second.status_code, second.content) == (200, b"two")
    third = get(server, "again.txt", **{"If-None-Match": second.headers["etag"]})
    assert (third.status_code, third.content) == (304, b"")
    assert (
        get(server, "again.txt", **{"If-Modified-Since": second.headers["last-modified"]}).status_code == 304
    )


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=6-10", 206, b"world"),
        ("bytes=6-", 206, b"world 0123456789"),
        ("bytes=-4", 206, b"6789"),
        ("bytes=-400", 200, b"hello world 0123456789"),
        ("bytes=0-400", 200, b"hello world 0123456789"),
        ("bytes=900-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=5-2", 200, b"hello world 0123456789"),
        ("bytes=0-1,4-5", 200, b"hello world 0123456789"),
        ("bytes=99999999999999999999999-", 416, None),
        ("lines=1-2", 200, b"hello world 0123456789"),
    ],
)
def test_ranges(server: Running, asked: str, status: int, content: bytes | None) -> None:
    upload(server, {"range.txt": b"hello world 0123456789"})
    answer = get(server, "range.txt", Range=asked)
    assert answer.status_code == status
    if content is not None:
        assert answer.content == content
    if status == 206:
        assert answer.headers["content-range"].endswith("/22")
    if status == 416:
        assert answer.headers["content-range"] == "bytes */22"


def test_a_range_of_a_large_file_over_several_steps(server: Running) -> None:
    content = bytes(range(251)) * 12000
    upload(server, {"large.bin": content})
    answer = get(server, "large.bin", Range="bytes=1000-2500000")
    assert answer.content == content[1000:2500001]


def test_head_says_the_same_without_the_content(server: Running) -> None:
    upload(server, {"head.txt": b"12345"})
    shown = get(server, "head.txt")
    head = server.client.head(f"{server.files}/head.txt", headers=bearer(server))
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "last-modified", "content-type", "content-disposition"):
        assert head.headers[name] == shown.headers[name]


@pytest.mark.parametrize(
    ("name", "kind", "how"),
    [
        ("a.png", "image/png", "inline"),
        ("a.jpeg", "image/jpeg", "inline"),
        ("a.txt", "text/plain; charset=utf-8", "inline"),
        ("a.csv", "text/plain; charset=utf-8", "inline"),
        ("a.json", "application/json", "inline"),
        ("a.mp4", "video/mp4", "inline"),
        ("a.bin", "application/octet-stream", "inline"),
        ("a.json.gz", "application/octet-stream", "inline"),
        ("a.html", "application/octet-stream", "attachment"),
        ("a.HTM", "application/octet-stream", "attachment"),
        ("a.xhtml", "application/octet-stream", "attachment"),
        ("a.svg", "application/octet-stream", "attachment"),
        ("a.xml", "application/octet-stream", "attachment"),
        ("a.js", "application/octet-stream", "attachment"),
        ("a.pdf", "application/octet-stream", "attachment"),
        ("a.mht", "application/octet-stream", None),
    ],
)
@pytest.mark.promise("nothing-runs-on-our-origin", on="files")
def test_nothing_that_runs_is_shown_on_our_origin(
    server: Running, name: str, kind: str, how: str | None
) -> None:
    upload(server, {f"kinds/{name}": b"<script>alert(1)</script>"})
    for url in (server.files, f"{server.web}/files"):
        answer = server.client.get(f"{url}/kinds/{name}", headers=bearer(server))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == kind
        if how is not None:
            assert answer.headers["content-disposition"].startswith(f"{how};")
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "sandbox" in policy
        assert "default-src 'none'" in policy
        assert "public" not in answer.headers["cache-control"]


def test_download_makes_anything_an_attachment(server: Running) -> None:
    upload(server, {"x y.png": b"1"})
    answer = server.client.get(f"{server.files}/x%20y.png?download=1", headers=bearer(server))
    assert answer.headers["content-disposition"] == 'attachment; filename="x y.png"'


def test_a_double_quote_in_a_name_is_found_again_however_it_came(server: Running) -> None:
    """The SDK quotes the path first; forms, and requests' own way, send a quote as %22."""
    for sent, stored in (
        ("zz a%22b/x.json", None),
        ('zz c"d/x.json', None),
        ("zz e%22f/x.json", 'zz e"f/x.json'),
    ):
        named = stored or sent
        if stored is None:
            server.client.post(
                f"{server.files}/", files={sent: ("x", b"content")}, headers=bearer(server)
            ).raise_for_status()
        else:  # as an earlier release kept it
            assert upload(server, {"zz other.json": b"content"}).status_code == 200
            with server.store.writing() as tx:
                tx.run("UPDATE file SET path=? WHERE path='zz other.json'", (stored,))
        for spelled in (sent, sent.replace("%22", '"')):
            assert get(server, spelled).content == b"content", (sent, spelled)
        gone = server.client.delete(f"{server.files}/{urllib.parse.quote(named)}", headers=bearer(server))
        assert gone.status_code == 200
        assert get(server, sent).status_code == 404


def test_a_name_cannot_break_out_of_its_header(server: Running) -> None:
    upload(server, {'a%22;filename=evil.html;"é.txt': b"1"})
    for path in ('a";filename=evil.html;', 'a";filename=evil.html;"é.txt'):
        answer = get(server, path)
        if answer.status_code == 200:
            shown = answer.headers["content-disposition"]
            assert re.fullmatch("""inline; filename(="[^"]*"|\\*=UTF-8''[^;"]*)""", shown), shown


# --- who may ---


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "PUT", "PATCH"])
@pytest.mark.promise("files-need-sign-in", on="files")
def test_every_verb_needs_a_token(server: Running, method: str) -> None:
    upload(server, {"secret.txt": b"1"})
    for headers in (
        {},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer x.y.z"},
        {"Cookie": f"{COOKIE}=x"},
    ):
        answer = server.client.request(method, f"{server.files}/secret.txt", headers=headers)
        assert answer.status_code == (405 if method in ("PUT", "PATCH", "POST") else 401)
        assert answer.headers.get("allow") == ("GET, HEAD, DELETE" if answer.status_code == 405 else None)
        assert b"secret" not in answer.content
    for path in ("/", "/delete_many"):
        assert server.client.post(f"{server.files}{path}", json={"files": ["secret.txt"]}).status_code == 401
    assert get(server, "secret.txt").content == b"1"


@pytest.mark.promise("files-need-sign-in", on="files, pages")
def test_a_cookie_is_as_good_as_the_header_also_on_the_web_port(server: Running) -> None:
    upload(server, {"img/x.png": b"png"})
    for url in (server.files, f"{server.web}/files"):
        answer = httpx.get(f"{url}/img/x.png", headers={"Cookie": f"{COOKIE}={server.token}"})
        assert (answer.status_code, answer.content) == (200, b"png")
        assert httpx.get(f"{url}/img/x.png").status_code == 401


def test_a_list_to_delete_comes_as_json_when_the_cookie_lets_in(server: Running) -> None:
    upload(server, {"form.txt": b"1"})
    cookie = {"Cookie": f"{COOKIE}={server.token}", "Content-Type": "text/plain"}
    answer = server.client.post(
        f"{server.files}/delete_many", content=b'{"files":["form.txt"]}', headers=cookie
    )
    assert answer.status_code == 403
    assert get(server, "form.txt").status_code == 200


@pytest.mark.promise("role-table", on="files")
def test_whoever_may_only_read_may_only_get(server: Running) -> None:
    upload(server, {"shared.txt": b"1"})
    reader = {"Authorization": f"Bearer {token_of(server, 'readonly', 'reader')}"}
    assert server.client.get(f"{server.files}/shared.txt", headers=reader).content == b"1"
    assert upload(server, {"shared.txt": b"2"}, reader).status_code == 403
    assert upload(server, {"new.txt": b"2"}, reader).status_code == 403
    assert server.client.delete(f"{server.files}/shared.txt", headers=reader).status_code == 403
    asked = server.client.post(f"{server.files}/delete_many", json={"files": ["shared.txt"]}, headers=reader)
    assert asked.status_code == 403
    assert get(server, "shared.txt").content == b"1"


@pytest.mark.promise("session-ends-at-once", on="files")
def test_a_revoked_token_is_refused_at_once(server: Running) -> None:
    upload(server, {"revoked.txt": b"1"})
    token = {"Authorization": f"Bearer {token_of(server, 'user', 'leaver')}"}
    assert server.client.get(f"{server.files}/revoked.txt", headers=token).status_code == 200
    server.client.post(f"{server.api}/auth.logout", headers=token, json={})
    assert server.client.get(f"{server.files}/revoked.txt", headers=token).status_code == 401
    assert upload(server, {"revoked.txt": b"2"}, token).status_code == 401


@pytest.mark.promise("published-stays", on="files")
def test_what_is_published_stays(server: Running) -> None:
    path = f"p/t.{ID}/artifacts/x.bin"
    upload(server, {path: b"first"})
    with server.store.writing() as tx:
        tx.run("INSERT INTO task(id, company, name, status) VALUES (?, 'c', 'task', 'completed')", (ID,))
    assert upload(server, {path: b"second"}).status_code == 200
    with server.store.writing() as tx:
        tx.run("UPDATE task SET status='published' WHERE id=?", (ID,))
    assert upload(server, {path: b"third", "p/other": b"1"}).status_code == 403
    assert get(server, "p/other").status_code == 404, "all of a request or none"
    assert server.client.delete(f"{server.files}/{path}", headers=bearer(server)).status_code == 403
    asked = {"files": [path, f"p/t.{ID}", "p"]}
    answer = server.client.post(f"{server.files}/delete_many", json=asked, headers=bearer(server)).json()
    assert answer["deleted"] == {}
    assert sorted(path for paths in answer["errors"].values() for path in paths) == sorted(asked["files"])
    assert get(server, path).content == b"second"
    with server.store.writing() as tx:
        tx.run("DELETE FROM task WHERE id=?", (ID,))
    assert server.client.delete(f"{server.files}/{path}", headers=bearer(server)).json() == path


def test_another_users_loose_file_and_a_shared_folder_stay(server: Running) -> None:
    upload(server, {"common/mine.txt": b"1"})
    other = {"Authorization": f"Bearer {token_of(server, 'user', 'other')}"}
    assert upload(server, {"common/theirs.txt": b"2"}, other).status_code == 200
    assert upload(server, {"common/mine.txt": b"x"}, other).status_code == 403
    assert server.client.delete(f"{server.files}/common/mine.txt", headers=other).status_code == 403
    answer = server.client.post(
        f"{server.files}/delete_many", json={"files": ["common"]}, headers=other
    ).json()
    assert answer == {"deleted": {}, "errors": {"Not allowed: it holds files of others": ["common"]}}
    assert get(server, "common/mine.txt").content == b"1"


# --- deleting ---


def test_many_are_deleted_by_path_folder_and_url(server: Running) -> None:
    upload(server, {"del/a b.txt": b"1", "del/sub/c": b"2", "del/sub/d": b"3", "delete.txt": b"4"})
    asked = {"files": ["del/a%20b.txt", f"{server.files}/del/sub", "del/none", "", "../../etc"]}
    answer = server.client.post(f"{server.files}/delete_many", json=asked, headers=bearer(server)).json()
    assert answer == {
        "deleted": {"del/a%20b.txt": "del/a b.txt", f"{server.files}/del/sub": "del/sub"},
        "errors": {"Not found": ["del/none", "../../etc"], "Empty path not allowed": [""]},
    }
    assert get(server, "del/sub/c").status_code == 404
    assert get(server, "delete.txt").status_code == 200


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", "nonsense", '{"files": "x"}', '{"files": [1]}', '{"files": []}', "1"]
)
def test_a_list_that_is_none_is_refused(server: Running, body: str) -> None:
    answer = server.client.post(f"{server.files}/delete_many", content=body, headers=bearer(server))
    assert answer.status_code == 400


@pytest.mark.promise("files-need-sign-in", on="files")
def test_a_folder_is_neither_listed_nor_deleted_as_a_file(server: Running) -> None:
    upload(server, {"folder/x": b"1"})
    for path in ("folder", "folder/"):
        assert get(server, path).status_code == 404
        assert server.client.delete(f"{server.files}/{path}", headers=bearer(server)).status_code == 404


# --- ways out ---


@pytest.mark.parametrize("path", [p for p in ESCAPES if p.strip("/")])
@pytest.mark.promise("files-stay-in-their-folder", on="files")
def test_no_spelling_leaves_the_folder(server: Running, path: str) -> None:
    before = set(on_disk(server))
    raw = path.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
    if "\n" not in path:
        assert upload(server, {raw: b"evil"}).status_code in (400, 404)
    assert set(on_disk(server)) == before
    # As they are on the wire, past any client that tidies paths.
    for spelled in {urllib.parse.quote(raw.encode("utf-8", "surrogateescape")), path}:
        if spelled.isascii() and spelled.isprintable() and " " not in spelled:
            assert raw_get(server, f"/{spelled}") in (b"404", b"400")


@pytest.mark.promise("files-stay-in-their-folder", on="files")
def test_the_folders_own_files_cannot_be_named(server: Running) -> None:
    inside = server.server.settings.folder
    assert upload(server, {"known/there": b"x"}).status_code == 200
    blob = next(iter(on_disk(server))).relative_to(inside)
    for path in (
        "/server.sqlite",
        "/../server.sqlite",
        f"/{blob}",
        f"//{inside}/server.sqlite",
        "/..%2fserver.sqlite",
    ):
        assert raw_get(server, path) == b"404"


def raw_get(server: Running, path: str) -> bytes:
    """The status of a GET whose path goes out exactly as it is."""
    host, port = server.files.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        return connection.recv(65536).split(b" ")[1]


@pytest.mark.promise("files-stay-in-their-folder", on="files")
def test_a_link_in_the_folder_is_not_followed(server: Running, tmp_path: Path) -> None:
    upload(server, {"link.txt": b"inside"})
    outside = tmp_path / "outside"
    outside.write_bytes(b"outside")
    with server.store.reading() as tx:
        file = file_rows.find(tx, "link.txt")
    assert file is not None
    content = server.server.files.stored.locate(file.blob)
    content.unlink()
    content.symlink_to(outside)
    assert b"outside" not in get(server, "link.txt").content


# --- limits and broken uploads ---


@pytest.mark.promise("files-whole-and-bounded", on="files")
def test_a_torn_upload_leaves_nothing(server: Running) -> None:
    before = set(on_disk(server))
    host, port = server.files.removeprefix("http://").split(":")
    head = (
        f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\nContent-Length: 50000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="torn.bin"; filename="torn.bin"\r\n\r\n'
    )
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(head.encode() + b"x" * 3_000_000)
        until(lambda: set(on_disk(server)) != before, "it to begin")
        assert get(server, "torn.bin").status_code == 404
    until(lambda: set(on_disk(server)) == before, "it to go", lambda: set(on_disk(server)) - before)
    assert get(server, "torn.bin").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b\r\n",
        b'--b\r\nContent-Disposition: form-data; name="t.bin"; filename="t.bin"\r\n\r\nno end',
        b'--b\r\nContent-Disposition: form-data; name="t.bin"; filename="t.bin"\r\n\r\nx\r\n--b\r\nhalf',
        b"no boundary at all",
        b'--b\r\nContent-Disposition: form-data; name="'
        + b"x" * 40000
        + b'"; filename="t"\r\n\r\nx\r\n--b--\r\n',
    ],
)
def test_a_malformed_body_is_refused_and_leaves_nothing(server: Running, body: bytes) -> None:
    before = set(on_disk(server))
    headers = {**bearer(server), "Content-Type": "multipart/form-data; boundary=b"}
    assert server.client.post(f"{server.files}/", content=body, headers=headers).status_code == 400
    assert get(server, "t.bin").status_code == 404
    assert set(on_disk(server)) == before


def test_fields_that_are_no_files_and_other_bodies_are_passed_over(server: Running) -> None:
    answer = server.client.post(
        f"{server.files}/", data={"plain": "value"}, files={"real.txt": b"1"}, headers=bearer(server)
    )
    assert answer.json() == ["real.txt"]
    assert get(server, "plain").status_code == 404
    assert server.client.post(f"{server.files}/", content=b"raw", headers=bearer(server)).json() == []


def test_markup_in_a_path_comes_back_as_text(server: Running) -> None:
    answer = server.client.delete(f"{server.files}/%3Cscript%3Ealert(1)%3C/script%3E", headers=bearer(server))
    assert answer.status_code == 404
    assert "<script>" not in answer.text


@pytest.mark.promise("files-whole-and-bounded", on="files")
def test_the_size_limit_holds_with_and_without_an_announced_length() -> None:
    with running_server(max_upload_bytes=1_000_000) as server:
        assert upload(server, {"fits": b"x" * 900_000}).status_code == 200
        assert upload(server, {"large": b"x" * 1_000_001}).status_code == 413

        def chunks() -> Iterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="large"; filename="large"\r\n\r\n'
            for _ in range(64):
                yield b"x" * 65536
            yield b"\r\n--b--\r\n"

        headers = {**bearer(server), "Content-Type": "multipart/form-data; boundary=b"}
        try:
            answer = server.client.post(f"{server.files}/", content=chunks(), headers=headers)
            assert answer.status_code == 413
        except httpx.WriteError:  # it hung up on what it would not take
            pass
        assert get(server, "large").status_code == 404
        assert len(on_disk(server)) == 1


def test_the_disk_budget_warns_and_then_refuses(caplog: pytest.LogCaptureFixture) -> None:
    with running_server() as server:
        base = sum(p.stat().st_size for p in server.server.settings.folder.glob("server.sqlite*"))
    with running_server(disk_budget_bytes=base + 3_000_000) as server, caplog.at_level(logging.WARNING):
        assert upload(server, {"a": b"x" * 1_000_000}).status_code == 200
        assert "disk budget" not in caplog.text
        refused = upload(server, {"b": b"x" * 4_000_000})
        assert refused.status_code == 507
        assert "disk budget" in refused.text
        assert upload(server, {"c": b"x" * 1_800_000}).status_code == 200
        upload(server, {"d": b"x"})
        assert "% of the disk budget" in caplog.text
        assert server.client.delete(f"{server.files}/c", headers=bearer(server)).status_code == 200
        assert upload(server, {"e": b"x" * 1_000_000}).status_code == 200
        assert get(server, "a").status_code == 200


def test_ping_is_open_and_says_nothing(server: Running) -> None:
    assert server.client.get(f"{server.files}/").text == "OK"
    wrong = server.client.get(f"{server.files}/", headers={"Authorization": "Bearer x.y.z"})
    assert wrong.status_code == 401


def test_usage_follows_the_files(server: Running) -> None:
    with server.store.reading() as tx:
        rows = tx.all("SELECT bytes FROM file")
        assert file_rows.usage(tx) == (len(rows), sum(row[0] for row in rows))
