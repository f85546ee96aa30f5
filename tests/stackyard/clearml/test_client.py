"""The one client of a ClearML server, against a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.clearml.client import Client, ServerError


@pytest.mark.parametrize("path", ["a\x7fb", "a\nb", "x" * 100_000])
def test_a_stored_address_that_is_none_is_one_sentence(client: Client, path: str, tmp_path: Path) -> None:
    """Whoever made a task may have stored anything as the address of an artifact."""
    with pytest.raises(ServerError) as refused:
        client.download(f"{client.connection.files}/{path}", tmp_path / "file")
    assert len(str(refused.value)) < 500
    assert list(tmp_path.iterdir()) == []
