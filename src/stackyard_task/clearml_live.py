"""What a task's pages show while it runs: progress, loss, step time, CPU, RAM, GPU, and its output as it comes.

Called by the supervisor about once a second, so nothing here waits: scalars and progress are sent by a thread, output
is printed and the agent sends what is printed.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import IO, Any, Dict, List, Optional, Tuple

from stackyard_task import handing_in
from stackyard_task.api import ApiError, Server, Unreachable
from stackyard_task.figure_names import CPU, GPU_MEMORY, GPU_UTILISATION, MOMENT_PROPERTY, RAM
from stackyard_task.progress import Moment
from stackyard_task.records import opened

#: Of the child's output, printed at most so much a moment; all of it is in the artifact.
OUTPUT_BYTES = 1 << 16
#: A line about the progress is printed when the phase changes, and at least so often.
LINE_SECONDS = 10.0
#: How often what there is to show is sent.
REPORT_SECONDS = 2.0
#: While a server is away, so many scalars wait for it; then the oldest are given up.
MOST_WAITING = 10_000
#: How long the end of a run may wait for what is being sent.
LAST_SECONDS = 2.0


class Live:
    """Shows one run.

    Args:
        reports: sends scalars and progress.
        log: The file the child's output goes to.
        out: Where to print; default: standard output.
        followed: whether whoever sent the task reads all that is known of it while it runs.
    """

    def __init__(
        self, reports: Reports, log: Path, out: Optional[IO[str]] = None, followed: bool = False
    ) -> None:
        self._followed = followed
        self._reports = reports
        self._log = log
        self._out = out or sys.stdout
        self._read = 0
        self._loss: Any = None
        self._steps = 0
        self._points: Dict[str, Tuple[float, float]] = {}
        self._line_at = 0.0
        self._phase = ""

    def moment(self, moment: Moment) -> None:
        """Report what the run does now."""
        if moment.done is not None and moment.total:
            self._reports.progress(int(max(0.0, min(100.0, 100 * moment.done / moment.total))))
        if self._followed:
            self._reports.moment(json.dumps(moment.told))
        self._work(moment)
        self._machine(moment)
        self._print(moment)

    def end(self, completed: bool) -> None:
        """Show what is left to show; what is not sent yet is left with the reports."""
        self._print_output()
        if completed:
            self._reports.progress(100)

    def _work(self, moment: Moment) -> None:
        """Loss and step time, over the workload's own steps."""
        at = int(moment.done or 0) if moment.unit == "steps" else moment.steps
        if moment.loss is not None and (moment.loss, at) != self._loss:
            self._loss = (moment.loss, at)
            self._reports.scalar("Loss", "loss", moment.loss, at)
        if moment.step_seconds is not None and moment.steps != self._steps:
            self._steps = moment.steps
            self._reports.scalar("Step time (ms)", "mean", moment.step_seconds * 1e3, moment.steps)
        for name, point in moment.metrics.items():
            if point.value is not None:
                self.metric(name, point.step, point.value)

    def metric(self, name: str, step: float, value: float) -> None:
        """Report the last point of a metric, where it is new: "loss/training" is the series training of loss."""
        if self._points.get(name) != (step, value):
            self._points[name] = (step, value)
            title, _, series = name.partition("/")
            self._reports.scalar(title, series or name, value, int(step))

    def _machine(self, moment: Moment) -> None:
        """What the run uses, over the seconds since its start."""
        at, report = int(moment.elapsed_seconds), self._reports.scalar
        if moment.cpu_percent_of_core is not None:
            report(CPU, "run", moment.cpu_percent_of_core, at)
        if moment.rss_bytes is not None:
            report(RAM, "run", moment.rss_bytes / 1e6, at)
        for index, (memory, utilisation) in moment.gpus.items():
            if memory is not None:
                report(GPU_MEMORY, f"GPU {index}", memory / 1e6, at)
            if utilisation is not None:
                report(GPU_UTILISATION, f"GPU {index}", utilisation, at)

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


class Reports:
    """Sends scalars and the newest percentage from a thread, some at a time: each call waits for the server's answer.

    Args:
        server: where the task is.
        task_id: which.
    """

    def __init__(self, server: Server, task_id: str) -> None:
        self._server = server
        self._id = task_id
        self._events: List[Dict[str, Any]] = []
        self._percent: Optional[int] = None
        self._sent: Dict[str, str] = {}
        self._moment: Optional[str] = None
        self._news = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._send, name="reports", daemon=True)
        self._thread.start()

    def scalar(self, metric: str, variant: str, value: float, iteration: int) -> None:
        """A value of a chart, to be sent soon."""
        event = handing_in.event(
            self._id, "training_stats_scalar", metric, variant, iter=iteration, value=value
        )
        with self._news:
            self._events.append(event)
            del self._events[:-MOST_WAITING]

    def progress(self, percent: int) -> None:
        """How far the run is, to be sent soon."""
        with self._news:
            self._percent = percent

    def moment(self, told: str) -> None:
        """What ``progress.json`` says, to be sent soon."""
        with self._news:
            self._moment = told

    def end(self) -> List[Dict[str, Any]]:
        """Send no more; what has not been sent, for whoever can wait for the server. The progress is sent."""
        with self._news:
            self._ended = True
            self._news.notify()
        self._thread.join(LAST_SECONDS)
        with self._news:
            left, self._events = self._events, []
        server = self._server.another(patience_seconds=LAST_SECONDS)
        try:
            self._show_progress(server)
        except ApiError as error:
            print(f"progress cannot be sent ({error})", file=sys.stderr)
        server.close()
        return left

    def _send(self) -> None:
        server = self._server.another(patience_seconds=0.0)
        told = False
        while True:
            with self._news:
                self._news.wait_for(lambda: self._ended, REPORT_SECONDS)
                if self._ended:  # the rest is handed in with the results
                    break
                events, self._events = self._events, []
            try:
                if events:
                    server.call_lines("events.add_batch", events)
                events = []
                self._show_progress(server)
            except Unreachable:  # at the next time, then
                with self._news:
                    self._events = (events + self._events)[-MOST_WAITING:]
            except ApiError as error:
                if not told:
                    print(f"what the run does cannot be shown ({error})", file=sys.stderr, flush=True)
                told = True
        server.close()

    def _show_progress(self, server: Server) -> None:
        with self._news:
            percent, moment = self._percent, self._moment
        held = {"progress": None if percent is None else str(percent), MOMENT_PROPERTY: moment}
        values = {name: text for name, text in held.items() if text is not None}
        if values != self._sent:
            server.edit_runtime(self._id, values)
            self._sent = values
