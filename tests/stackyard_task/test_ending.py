"""The words for a run's end, from what the supervisor knows of it."""

import errno
import os
import signal
from typing import Optional

import pytest

from stackyard_task.ending import Ending, failure_of, memory_note, system_sentence
from stackyard_task.records import Failure, Measurement, TaskSpec

SPEC = TaskSpec("r", "any")


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_workload_that_is_ended_together_with_its_supervisor_was_interrupted(by):
    found = failure_of(Ending(status=int(by), signal_received=signal.SIGTERM), SPEC, Measurement())
    assert found is not None
    assert found.kind == "interrupted"
    assert found.signal == by


def test_a_workload_that_alone_is_ended_was_killed():
    found = failure_of(Ending(status=int(signal.SIGTERM)), SPEC, Measurement())
    assert found is not None
    assert found.kind == "killed"


def test_a_crash_while_being_ended_is_still_a_crash():
    found = failure_of(Ending(int(signal.SIGSEGV), signal_received=signal.SIGTERM), SPEC, Measurement())
    assert found is not None
    assert found.kind == "code"


def test_lack_of_memory_names_peak_and_the_limit_it_met():
    said = Failure("out_of_memory", "no memory left")
    ending = Ending(status=256, said=said, memory_limit_bytes=300_000_000)
    found = failure_of(ending, SPEC, Measurement(peak_rss_bytes=260_000_000))
    assert found is not None
    assert "a peak of 260 MB under a limit of 300 MB" in found.message


def test_a_program_that_ends_before_its_function_returned_did_not_complete():
    found = failure_of(Ending(status=0, returned=False), SPEC, Measurement())
    assert found is not None
    assert (found.kind, found.exit_code) == ("code", 0)
    assert failure_of(Ending(status=0), SPEC, Measurement()) is None


def test_where_no_output_was_kept_nobody_is_sent_to_it():
    spec = TaskSpec(run_id="r", workload="w")
    for status in (256, 11):
        kept = failure_of(Ending(status=status), spec, Measurement())
        at_terminal = failure_of(Ending(status=status, logged=False), spec, Measurement())
        assert kept is not None
        assert kept.message.endswith("; see output.log")
        assert at_terminal is not None
        assert "output.log" not in at_terminal.message


def test_at_a_terminal_a_signal_may_be_the_users_own():
    failure = failure_of(
        Ending(status=signal.SIGINT, logged=False),
        TaskSpec(run_id="r", workload="w"),
        Measurement(wall_seconds=1.25),
    )
    assert failure is not None
    assert failure.message == "the command was killed by SIGINT after 1.2 s"


def test_whoever_measured_it_may_have_been_killed():
    failure = failure_of(
        Ending(status=signal.SIGTERM, stop="interrupted", signal_received=signal.SIGTERM, alone=True),
        TaskSpec(run_id="r", workload="w"),
        Measurement(wall_seconds=1.25),
    )
    assert failure is not None
    assert (failure.kind, failure.signal) == ("interrupted", signal.SIGTERM)
    assert "the process that had it measured was killed" in failure.message


MB = 10**6


@pytest.mark.parametrize(
    ("peak", "counted", "escaped", "said"),
    [
        (90, 90, False, None),
        (110, 90, False, "the peak of 110 MB holds libraries and files mapped into memory"),
        (211, 211, False, "the run lifted its limit of 100 MB, or left the group that it holds for"),
        (90, 5, True, "processes of the run left the group in which it is measured and limited"),
    ],
)
def test_a_peak_above_the_limit_is_explained_by_what_was_counted(
    peak: int, counted: int, escaped: bool, said: Optional[str]
) -> None:
    measurement = Measurement(peak_rss_bytes=peak * MB, cgroup_peak_bytes=counted * MB)
    note = memory_note(measurement, 100 * MB, escaped)
    assert note is None if said is None else (note or "").startswith(said)


@pytest.mark.parametrize(
    ("number", "file", "said"),
    [
        (errno.EMFILE, "/dev/null", "too many open files; raise the limit of open files (ulimit -n)"),
        (errno.ENOSPC, "/o/x", "/o/x: No space left on device; free space there"),
        (errno.EISDIR, "/o/x", "/o/x: Is a directory; let the run leave the files of its run folder alone"),
        (errno.ENODEV, "/o/x", "/o/x: No such device"),
    ],
)
def test_an_error_of_the_system_is_a_sentence_with_the_advice_that_fits_it(number, file, said):
    assert system_sentence(OSError(number, os.strerror(number), file)) == said
