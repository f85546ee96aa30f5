"""What a process weighs, and what it started; what may not be read is not known."""

from __future__ import annotations

import os
import subprocess
import sys

from stackyard.services import footprint


def test_what_a_process_started_is_weighed_without_itself() -> None:
    code = "print('began', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        below, alone = footprint.below(os.getpid()), footprint.below(child.pid)
        child.communicate(b"\n")
    assert below is not None
    assert below.rss_bytes > 1_000_000
    assert alone is None, "it runs nothing"


def test_a_page_that_several_map_counts_by_its_share() -> None:
    pss = footprint.proportional(os.getpid())
    assert pss is None or pss > 1_000_000
    assert footprint.proportional(2**22 + 1) is None, "no such process"
