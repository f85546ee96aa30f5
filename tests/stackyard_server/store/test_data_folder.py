"""One server a folder, and no folder behind a network."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stackyard_server.store import StoreError, data_folder
from stackyard_server.store.data_folder import FolderLock

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/export {place} {kind} rw 0 0
tmpfs /tmp/other tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    "kind",
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "9p",
        "fuse.sshfs",
        "fuse.s3fs",
        "fuse.rclone",
        "ceph",
        "glusterfs",
        "lustre",
    ],
)
@pytest.mark.promise("one-server-per-folder")
def test_a_network_file_system_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    mounts = MOUNTS.format(place=str(tmp_path).replace(" ", "\\040"), kind=kind)
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(StoreError, match=r"network file system .*local disk\.$") as refused:
        data_folder.check_file_system(folder, mounts)
    assert kind in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuse.fuseblk", "apfs"])
def test_a_local_one_is_not(tmp_path: Path, kind: str) -> None:
    data_folder.check_file_system(tmp_path, MOUNTS.format(place=tmp_path, kind=kind))


def test_the_nearest_and_the_latest_mount_counts() -> None:
    mounts = "a / ext4 rw\nb /srv nfs4 rw\nc /srv/local\\040disk ext4 rw\nd /mnt nfs rw\ne /mnt xfs rw\n"
    assert data_folder.mount_of(Path("/srv/x"), mounts) == ("/srv", "nfs4")
    assert data_folder.mount_of(Path("/srv/local disk/y"), mounts) == ("/srv/local disk", "ext4")
    assert data_folder.mount_of(Path("/srvx"), mounts) == ("/", "ext4")
    assert data_folder.mount_of(Path("/mnt/z"), mounts) == ("/mnt", "xfs")


@pytest.mark.promise("one-server-per-folder")
def test_a_second_server_is_refused_and_the_first_ones_end_lets_it_in(tmp_path: Path) -> None:
    first = FolderLock(tmp_path)
    assert data_folder.held(tmp_path)
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
        FolderLock(tmp_path)
    first.release()
    assert not data_folder.held(tmp_path)
    FolderLock(tmp_path).release()


@pytest.mark.promise("one-server-per-folder")
def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from stackyard_server.store.data_folder import FolderLock\n"
        "lock = FolderLock(Path(sys.argv[1])); lock.note(urls={'web': 'x'}); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert data_folder.held(tmp_path)
        said = data_folder.read_lock(tmp_path) or {}
        assert said["pid"] == child.pid
        assert said["started"] == data_folder.started_at(child.pid)
        assert said["urls"] == {"web": "x"}
        child.kill()
    FolderLock(tmp_path).release()


def test_a_folder_that_others_can_open_is_closed_to_them(tmp_path: Path) -> None:
    made = tmp_path / "made by hand"
    made.mkdir(mode=0o755)
    made.chmod(0o755)
    data_folder.close_to_others(made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    data_folder.close_to_others(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777, "others keep their things there"
