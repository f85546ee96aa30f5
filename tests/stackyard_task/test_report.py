"""What a script says through the one file it may copy: over a real FIFO, from real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from stackyard_task import report
from stackyard_task.listener import Listener
from stackyard_task.report import REPORT_VARIABLE, Reporter
from tests.waiting import PATIENCE_SECONDS

FILE = Path(str(report.__file__))


class Supervisor:
    """A FIFO that somebody reads, and scripts that have the reporting file beside them under another name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "report.fifo"
        os.mkfifo(str(self.path))
        self.descriptor = os.open(str(self.path), os.O_RDONLY | os.O_NONBLOCK)
        self._open = os.open(str(self.path), os.O_WRONLY | os.O_NONBLOCK)  # so that it never ends
        shutil.copy(str(FILE), str(folder / "telling.py"))

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self._open)

    def run(self, script: str, heard: bool = True) -> subprocess.CompletedProcess[str]:
        """What a script leaves that Stackyard, or nobody, started; it is read when it has ended."""
        path = self.folder / "script.py"
        path.write_text("import telling\n" + textwrap.dedent(script), encoding="utf-8")
        variables = {name: value for name, value in os.environ.items() if name != REPORT_VARIABLE}
        if heard:
            variables[REPORT_VARIABLE] = str(self.path)
            # where this Python is a stack's, its start-up hook would speak too
            variables["STACKYARD_HOOK"] = "0"
        return subprocess.run(
            [sys.executable, str(path)],
            env=variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def messages(self) -> List[Dict[str, Any]]:
        data = b""
        while True:
            try:
                data += os.read(self.descriptor, 1 << 20)
            except BlockingIOError:
                return [json.loads(line) for line in data.splitlines()]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    one = Supervisor(tmp_path)
    yield one
    one.close()


def said(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stderr) == (0, "")


EVERYTHING = """
    telling.phase("data")
    telling.phase("steady")
    for number in telling.steps(range(5)):
        telling.loss(number, training=1.0 / (number + 1))
    telling.step(0.25)
    with telling.timed_step():
        pass
    telling.progress(5, 10, "batches")
    for number in range(500):
        telling.metrics(number, reward=number / 2)
    telling.metrics(3, validation=0.5, odd=float("nan"))
    telling.results(accuracy=0.9, best=float("inf"))
    print("the end")
    """


def test_all_that_a_script_says_through_its_copy_arrives(supervisor: Supervisor) -> None:
    listener = Listener(supervisor.descriptor, time.monotonic())
    done = supervisor.run(EVERYTHING)
    said(done)
    assert done.stdout == "the end\n"
    listener.read()
    assert [phase["name"] for phase in listener.phases] == ["startup", "data", "steady"]
    steps = listener.pace.times()
    assert steps is not None
    assert steps.count == 7  # what is left in the buffer is sent at the end
    assert listener.loss == 0.2
    assert listener.progress == {"done": 5, "total": 10, "unit": "batches"}
    assert listener.results == {"accuracy": 0.9, "best": "inf"}
    reward = listener.courses.series()["reward"]
    assert (reward[0][:2], reward[-1][:2]) == ([0, 0.0], [499, 249.5])
    assert 2 <= len(reward) <= 130
    assert listener.courses.results()["validation"] == 0.5
    assert listener.courses.last()["odd"].value is None
    assert listener.courses.last()["loss/training"].value == 0.2
    assert listener.not_understood == 0


def test_points_of_many_metrics_are_told_in_lines_that_stay_whole(supervisor: Supervisor) -> None:
    script = 'telling.metrics(1, **{f"a name of some length that is {n}": n / 7 for n in range(100)})'
    said(supervisor.run(script))
    lines = supervisor.messages()
    assert len(lines) > 1
    told = [values for line in lines for _, _, values in line["points"]]
    assert sum(map(len, told)) == 100


def test_what_is_left_out_before_it_is_told_is_counted(supervisor: Supervisor) -> None:
    listener = Listener(supervisor.descriptor, time.monotonic())
    script = """
    for number in range(1000):
        telling.metrics(1000 - number, back=1.0)
        telling.metrics(number, odd=float("nan") if number else 1.0)
        telling.metrics(number, thinned=1.0)
    """
    said(supervisor.run(script))
    listener.read()
    assert listener.notes() == [
        "metric back: 999 values came at a step before its last one and were left out",
        "metric odd: 999 values were no finite number and left out: NaN or an infinity",
    ]


def test_outside_stackyard_it_is_silent(supervisor: Supervisor) -> None:
    said(supervisor.run(EVERYTHING, heard=False))
    said(supervisor.run('telling.phase("lunch")\ntelling.results(long="x" * 9000)', heard=False))
    assert supervisor.messages() == []


def test_a_path_that_is_no_fifo_is_left_alone(supervisor: Supervisor) -> None:
    supervisor.path.unlink()
    said(supervisor.run(EVERYTHING))
    assert not supervisor.path.exists()
    supervisor.path.write_text("my data")
    said(supervisor.run(EVERYTHING))
    assert supervisor.path.read_text() == "my data"


def test_a_reader_that_is_gone_ends_no_script_not_even_a_filter(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.close()
    said(supervisor.run(EVERYTHING))
    # the reader goes while a message is on its way; the filter lets SIGPIPE end it
    done = supervisor.run(
        """
        import os, signal
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        reader = os.open(os.environ["STACKYARD_REPORT"], os.O_RDONLY | os.O_NONBLOCK)
        true_write = os.write
        def write(descriptor, data):
            os.close(reader)
            return true_write(descriptor, data)
        telling.os.write = write
        telling.results(a=1)
        telling.results(b=2)
        assert signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
        """
    )
    said(done)


def test_a_supervisor_that_does_not_read_costs_a_moment_and_is_told_what_it_missed(
    supervisor: Supervisor,
) -> None:
    reporter = Reporter(str(supervisor.path))
    began = time.monotonic()
    for number in range(3000):
        reporter.results(**{f"value{number}": "x" * 1000})
    assert time.monotonic() - began < 20 * report.WAIT_SECONDS
    arrived = len(supervisor.messages())
    assert 0 < arrived < 3000
    assert reporter.lost == 3000 - arrived
    reporter.results(again=1)
    assert supervisor.messages() == [
        {"kind": "results", "values": {"again": 1}},
        {"kind": "lost", "messages": 3000 - arrived},
    ]


def test_lines_of_several_processes_and_threads_stay_whole(supervisor: Supervisor) -> None:
    listener = Listener(supervisor.descriptor, 0.0)
    path = supervisor.folder / "many.py"
    path.write_text(
        textwrap.dedent(
            """
            import os, threading, time
            import telling
            telling.WAIT_SECONDS = 60.0
            me = os.fork() and os.fork() and os.getpid() or os.getpid()
            def say(name):
                for number in range(20):
                    telling.results(**{f"{me}-{name}-{number}": name * 3000})
            threads = [threading.Thread(target=say, args=(name,)) for name in "abc"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            """
        )
    )
    process = subprocess.Popen(
        [sys.executable, str(path)],
        env={**os.environ, REPORT_VARIABLE: str(supervisor.path), "STACKYARD_HOOK": "0"},
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(listener.results) < 180 and time.monotonic() < deadline:
        listener.read()
    assert process.wait(PATIENCE_SECONDS) == 0
    assert len(listener.results) == 180
    assert all(value == name.split("-")[1] * 3000 for name, value in listener.results.items())
    assert listener.not_understood == 0


def test_no_step_is_counted_twice_or_lost_when_a_script_forks(supervisor: Supervisor) -> None:
    listener = Listener(supervisor.descriptor, 0.0)
    said(
        supervisor.run(
            """
            import multiprocessing, os, sys
            def work():
                telling.step(2.0)
            telling.step(1.0)
            child = os.fork()
            if child == 0:
                telling.step(4.0)
                sys.exit()
            os.waitpid(child, 0)
            worker = multiprocessing.get_context("fork").Process(target=work)
            worker.start()
            worker.join()
            """
        )
    )
    listener.read()
    steps = listener.pace.times()
    assert steps is not None
    assert (steps.count, steps.mean_seconds * 3) == (3, pytest.approx(7.0))


def test_only_whole_steps_are_counted_and_an_iterable_keeps_its_length(supervisor: Supervisor) -> None:
    done = supervisor.run(
        """
        assert len(telling.steps([1, 2, 3])) == 3
        assert list(telling.steps(n for n in "ab")) == ["a", "b"]
        for number in telling.steps(range(10)):
            if number == 4:
                break
        try:
            with telling.timed_step():
                raise KeyError
        except KeyError:
            pass
        """
    )
    said(done)
    assert sum(len(message["seconds"]) for message in supervisor.messages()) == 6


def test_of_losses_told_at_every_step_the_last_one_counts(supervisor: Supervisor) -> None:
    done = supervisor.run(
        """
        class Tensor:
            def item(self):
                return 0.125
        for number in range(1000):
            telling.loss(number, training=1.0)
            telling.progress(number, 1000)
        telling.loss(1000, validation=0.5)
        telling.phase("steady")
        for number in range(1000):
            telling.loss(number, training=Tensor())
            telling.progress(number + 1, 1000)
        """
    )
    said(done)
    told = supervisor.messages()
    assert len(told) < 40
    assert {"kind": "loss", "step": 1000, "training": None, "validation": 0.5} in told
    listener = Listener(-1, 0.0)
    for message in told:
        listener._take(json.dumps(message).encode())
    assert listener.loss == 0.125
    assert listener.progress["done"] == 1000


def test_long_results_are_told_in_parts_and_one_that_is_too_long_is_left_out(supervisor: Supervisor) -> None:
    done = supervisor.run(
        """
        telling.results(**{f"metric{n}": n / 7 for n in range(300)})
        for again in range(3):
            telling.results(short=1, text="x" * 5000)
        telling.phase("lunch")
        for step in range(500):
            telling.step(1e-7 * step / 3)
        """
    )
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert "'text'" in lines[0]
    assert "'lunch'" in lines[1]
    listener = Listener(-1, 0.0)
    for message in supervisor.messages():
        line = json.dumps(message).encode()
        assert len(line) < 4096
        listener._take(line)
    assert listener.results == {**{f"metric{n}": n / 7 for n in range(300)}, "short": 1}
    steps = listener.pace.times()
    assert steps is not None
    assert steps.count == 500


def test_values_of_other_libraries_are_numbers_and_what_json_does_not_know_is_text(
    supervisor: Supervisor,
) -> None:
    done = supervisor.run(
        """
        class Scalar:
            size = property(lambda self: lambda: ())  # a tensor's is a method
            def item(self):
                return 0.5
        class Array:
            def item(self):
                raise ValueError("two of them")
            def __str__(self):
                return "[1, 2]"
        telling.loss(1, training=Scalar())
        telling.results(array=Array(), path=__import__("pathlib").PurePosixPath("a/b"))
        endless = []
        endless.append(endless)
        telling.results(endless=endless)
        """
    )
    assert done.returncode == 0
    assert "'endless'" in done.stderr
    told = supervisor.messages()
    assert told[0]["training"] == 0.5
    assert told[1]["values"] == {"array": "[1, 2]", "path": "a/b"}


def test_a_script_that_closes_every_descriptor_or_moves_elsewhere_is_still_heard(
    supervisor: Supervisor,
) -> None:
    said(
        supervisor.run(
            """
            import os
            telling.results(a=1)
            os.closerange(3, 100)
            mine = os.open("/dev/null", os.O_WRONLY)
            os.chdir("/")
            telling.results(b=2)
            """
        )
    )
    assert [message["values"] for message in supervisor.messages()] == [{"a": 1}, {"b": 2}]
