"""What a task's pages show while it runs: progress, loss, step time, CPU, RAM, GPU, and its output as it comes.

Called by the supervisor about once a second, so nothing here waits: scalars are queued for the SDK's own thread,
progress is sent by one of ours, output is printed and the agent sends what is printed.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import IO, Any, Optional

from stackyard_task.progress import Moment
from stackyard_task.records import opened

#: Of the child's output, printed at most so much a moment; all of it is in the artifact.
OUTPUT_BYTES = 1 << 16
#: A line about the progress is printed when the phase changes, and at least so often.
LINE_SECONDS = 10.0
#: How long the end of a run may wait for the last progress to be sent.
LAST_SECONDS = 2.0


class Live:
    """Shows one run.

    Args:
        task: The SDK's task.
        log: The file the child's output goes to.
        out: Where to print; default: standard output.
    """

    def __init__(self, task: Any, log: Path, out: Optional[IO[str]] = None) -> None:
        self._logger = task.get_logger()
        self._log = log
        self._out = out or sys.stdout
        self._progress = _Progress(task)
        self._read = 0
        self._loss: Any = None
        self._steps = 0
        self._line_at = 0.0
        self._phase = ""

    def moment(self, moment: Moment) -> None:
        """Report what the run does now."""
        if moment.done is not None and moment.total:
            self._progress.show(int(max(0.0, min(100.0, 100 * moment.done / moment.total))))
        self._work(moment)
        self._machine(moment)
        self._print(moment)

    def end(self, completed: bool) -> None:
        """Show what is left to show."""
        self._print_output()
        self._progress.end(100 if completed else None)

    def _work(self, moment: Moment) -> None:
        """Loss and step time, over the workload's own steps."""
        at = int(moment.done or 0) if moment.unit == "steps" else moment.steps
        if moment.loss is not None and (moment.loss, at) != self._loss:
            self._loss = (moment.loss, at)
            self._logger.report_scalar("Loss", "loss", moment.loss, at)
        if moment.step_seconds is not None and moment.steps != self._steps:
            self._steps = moment.steps
            self._logger.report_scalar("Step time (ms)", "mean", moment.step_seconds * 1e3, moment.steps)

    def _machine(self, moment: Moment) -> None:
        """What the run uses, over the seconds since its start."""
        at, report = int(moment.elapsed_seconds), self._logger.report_scalar
        if moment.cpu_percent_of_core is not None:
            report("CPU (% of a core)", "run", moment.cpu_percent_of_core, at)
        if moment.rss_bytes is not None:
            report("RAM (MB)", "run", moment.rss_bytes / 1e6, at)
        for index, (memory, utilisation) in moment.gpus.items():
            if memory is not None:
                report("GPU memory (MB)", f"GPU {index}", memory / 1e6, at)
            if utilisation is not None:
                report("GPU utilisation (%)", f"GPU {index}", utilisation, at)

    def _print(self, moment: Moment) -> None:
        self._print_output()
        if moment.phase == self._phase and moment.elapsed_seconds - self._line_at < LINE_SECONDS:
            return
        self._phase, self._line_at = moment.phase, moment.elapsed_seconds
        print(line(moment), file=self._out, flush=True)

    def _print_output(self) -> None:
        try:
            with opened(self._log) as stream:
                stream.seek(self._read)
                text = stream.read(OUTPUT_BYTES)
                self._read += len(text)
                left = stream.seek(0, 2) - self._read
                if left > OUTPUT_BYTES:  # a flood: what was just read, and where the rest is
                    self._read += left
                    text += f"\n[{left} bytes are left out here; artifact output-log has them]\n".encode()
        except OSError:
            return
        if text:
            self._out.write(text.decode("utf-8", "replace"))
            self._out.flush()


def line(moment: Moment) -> str:
    """One line about a run under way."""
    parts = [moment.phase]
    if moment.done is not None and moment.total:
        parts.append(f"{moment.done:g} of {moment.total:g} {moment.unit or ''}".rstrip())
    if moment.loss is not None:
        parts.append(f"loss {moment.loss:.4g}")
    if moment.step_seconds is not None:
        parts.append(f"{moment.step_seconds * 1e3:.3g} ms a step")
    if moment.cpu_percent_of_core is not None:
        parts.append(f"CPU {moment.cpu_percent_of_core:.0f} %")
    if moment.rss_bytes is not None:
        size, unit = (
            (moment.rss_bytes / 1e6, "MB") if moment.rss_bytes >= 1e6 else (moment.rss_bytes / 1e3, "kB")
        )
        parts.append(f"RAM {size:.0f} {unit}")
    return f"[{moment.elapsed_seconds:.0f} s] {', '.join(parts)}"


class _Progress:
    """Sends the newest percentage from a thread: the SDK's call waits for the server's answer."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self._newest: Optional[int] = None
        self._sent: Optional[int] = None
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._send, name="progress", daemon=True)
        self._thread.start()

    def show(self, percent: int) -> None:
        with self._news:
            self._newest = percent
            self._news.notify()

    def end(self, percent: Optional[int]) -> None:
        with self._news:
            self._newest = self._newest if percent is None else percent
            self._ended = True
            self._news.notify()
        self._thread.join(LAST_SECONDS)

    def _send(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._ended or self._newest != self._sent)
                newest, ended = self._newest, self._ended
            if newest is not None and newest != self._sent:
                try:
                    self._task.set_progress(newest)
                except Exception as error:  # noqa: BLE001 - a thread's edge: a missed percentage ends no run
                    print(f"progress cannot be sent ({error})", file=sys.stderr)
                self._sent = newest
            if ended:
                return
