"""What file system a folder is on, from a table of mounts as the kernel prints it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.launch import network_folders

MOUNTS = r"""/dev/vda / ext4 rw 0 0
server:/export /srv/home nfs4 rw 0 0
server:/scratch /srv/home/with\040blank lustre rw 0 0
tmpfs /srv/homestead tmpfs rw 0 0
line
"""


@pytest.mark.parametrize(
    ("folder", "kind", "shared"),
    [
        ("/srv", "ext4", False),
        ("/srv/home/me/not-there-yet", "nfs4", True),
        ("/srv/home/with blank/x", "lustre", True),
        ("/srv/homestead/x", "tmpfs", False),
    ],
)
def test_the_deepest_mount_above_a_folder_counts(
    tmp_path: Path, folder: str, kind: str, shared: bool
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    found = network_folders.kind_of(Path(folder), mounts)
    assert (found, network_folders.is_shared(found or "")) == (kind, shared)


def test_where_nobody_tells_nothing_is_known(tmp_path: Path) -> None:
    assert network_folders.kind_of(tmp_path, tmp_path / "missing") is None
