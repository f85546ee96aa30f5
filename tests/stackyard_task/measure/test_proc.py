"""Readings of processes from /proc, on this process and on forked ones."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

from stackyard_task.measure.proc import ProcessFiles, machine_busy_seconds, own_peak_rss_bytes


def test_a_reset_mark_shows_the_spike_that_came_after_it() -> None:
    files = ProcessFiles(os.getpid())
    before = files.residency()
    assert before is not None
    assert before.total == before.anonymous + before.mapped_files + before.shared_memory
    if not files.reset_high_water():
        return  # the kernel does not let us; the estimators then take marks for what they are
    # A map of its own: what malloc hands out may have been resident before.
    with mmap.mmap(-1, 60_000_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        for offset in range(0, len(block), mmap.PAGESIZE):
            block[offset] = 1
    spiked = files.residency()
    assert spiked is not None
    assert spiked.high_water - before.total > 50_000_000
    files.reset_high_water()
    after = files.residency()
    assert after is not None
    assert after.high_water - after.total < 30_000_000
    assert (own_peak_rss_bytes() or 0) >= after.total
    files.close()


def test_children_of_every_thread_are_found_and_the_gone_are_gone() -> None:
    pids = []
    read, write = os.pipe()

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            os.read(read, 1)
            os._exit(0)
        pids.append(pid)

    held = threading.Event()
    thread = threading.Thread(target=lambda: (fork(), held.wait()))  # its child goes with the thread's end
    thread.start()
    fork()
    while len(pids) < 2:
        pass
    files = ProcessFiles(os.getpid())
    files.residency()
    assert set(pids) <= set(files.children() or [])
    child = ProcessFiles(pids[0])
    assert child.residency() is not None
    os.write(write, b"xx")
    held.set()
    thread.join()
    for pid in pids:
        os.waitpid(pid, 0)
    assert child.residency() is None
    assert child.cpu_seconds() is None
    assert child.disk_bytes() is None
    assert child.shares() is None
    for descriptor in (read, write):
        os.close(descriptor)


def test_shares_divide_a_map_among_its_users() -> None:
    block = mmap.mmap(-1, 20_000_000)
    block.write(b"\1" * 20_000_000)
    read, write = os.pipe()
    ready_read, ready_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        total = sum(block[offset] for offset in range(0, 20_000_000, 4096))
        os.write(ready_write, b"x" if total else b"")
        os.read(read, 1)
        os._exit(0)
    os.read(ready_read, 1)
    shares = ProcessFiles(pid).shares()
    os.write(write, b"x")
    os.waitpid(pid, 0)
    if shares is not None:
        assert 9_000_000 < shares.shared_memory < 12_000_000
    for descriptor in (read, write, ready_read, ready_write):
        os.close(descriptor)


def test_a_process_that_never_was_reads_as_none(tmp_path: Path) -> None:
    files = ProcessFiles(1, root=str(tmp_path))
    assert files.residency() is None
    assert files.children() is None
    assert machine_busy_seconds(str(tmp_path)) is None
    assert (machine_busy_seconds() or 0) > 0
