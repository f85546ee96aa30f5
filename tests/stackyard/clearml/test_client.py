"""The one client of a ClearML server, against a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.clearml import client as clients
from stackyard.clearml.client import Client, ServerError, TooLargeError


@pytest.mark.parametrize("path", ["a\x7fb", "a\nb", "x" * 100_000])
def test_a_stored_address_that_is_none_is_one_sentence(client: Client, path: str, tmp_path: Path) -> None:
    """Whoever made a task may have stored anything as the address of an artifact."""
    with pytest.raises(ServerError) as refused:
        client.download(f"{client.connection.files}/{path}", tmp_path / "file")
    assert len(str(refused.value)) < 500
    assert list(tmp_path.iterdir()) == []


def test_a_download_leaves_room_for_others(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How large a task's outputs are, the task decides: they must not fill the disk of whoever asked for them."""
    (tmp_path / "large").write_bytes(b"x" * 300_000)
    url = client.upload(tmp_path / "large", "outputs/large")
    (tmp_path / "here").mkdir()
    room = 200_000
    monkeypatch.setattr(
        clients, "room_bytes", lambda folder: room - sum(path.stat().st_size for path in folder.iterdir())
    )
    with pytest.raises(TooLargeError, match="too large for the disk"):
        client.download(url, tmp_path / "here" / "large")
    assert list((tmp_path / "here").iterdir()) == []
    room = 300_000
    client.download(url, tmp_path / "here" / "large")
    assert (tmp_path / "here" / "large").read_bytes() == b"x" * 300_000
