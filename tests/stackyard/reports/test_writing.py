"""The four files and the terminal table: complete, safe to open, whole or not at all."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stackyard.errors import BadInputError
from stackyard.reports import Report, ReportOptions, Study, analyse, load, print_table, write
from stackyard.reports.csv_report import safe
from stackyard.reports.html import render as render_html
from stackyard.reports.markdown import render as render_markdown
from stackyard.reports.quantities import quantity
from stackyard_task.records import Environment, Failure, Measurement, RunRecord
from tests.counts import LONG
from tests.stackyard.reports.conftest import CELLS
from tests.stackyard.reports.synthetic import record, write_plan, write_run
from tests.stackyard.reports.test_analysis import two_versions
from tests.waiting import PATIENCE_SECONDS

FAST = ReportOptions(permutations=49, draws=500)
#: Where the tracks of each chart begin and end, in pixels.
TRACKS = """(charts) => charts.map((chart) => [...chart.querySelectorAll('.track')].map((track) => {
    const box = track.getBoundingClientRect(); return [box.left, box.right].map(Math.round).join('-') }))"""
EVIL = "=<script>alert(1)</script>|\"'[red]`x`\x1b[31m"


@pytest.fixture
def hostile(two_cells: Callable[..., Path]) -> Report:
    def poison(run: RunRecord) -> None:
        run.cell["stack"] = run.cell["stack"] + EVIL
        run.results["note"] = EVIL
        run.environment.cpu_model = EVIL
        run.parameters[EVIL] = "@SUM(A1)"

    return analyse(load([two_cells(poison)]), FAST)


class Page(HTMLParser):
    """Collects what a browser would run or ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts.append(dict(attrs).get("type") or "script")
        for name, value in attrs:
            if name in ("src", "href", "action", "srcset"):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)


def test_all_four_files_are_written(report: Report, tmp_path: Path) -> None:
    paths = write(report, tmp_path / "new")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "report.csv",
        "report.html",
        "report.json",
        "report.md",
    ]
    assert paths.html.stat().st_size < 3_000_000


def test_json_is_versioned_strict_and_in_base_units(report: Report, tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    value = json.loads(write(report, tmp_path).json.read_text(encoding="utf-8"), parse_constant=refuse)
    assert (value["kind"], value["api_version"]) == ("stackyard-report", 1)
    cell = value["workloads"][0]["cells"][0]
    assert cell["metrics"]["peak_rss_bytes"]["median"] > 1e8
    assert {"n", "median", "minimum", "maximum", "low", "high"} <= set(cell["metrics"]["wall_seconds"])
    assert len(value["rows"]) == value["counts"]["read"]


def test_csv_has_a_row_per_run_and_every_field(report: Report, study: Study, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(write(report, tmp_path).csv.read_text(encoding="utf-8"))))
    assert len(rows) == len(study.runs)
    assert {"cell.stack", "measurement.wall_seconds", "environment.torch"} <= set(rows[0])
    assert rows[0]["gpu0.peak_memory_bytes"].isdigit()
    assert {row["status"] for row in rows} == {"completed", "failed"}
    assert {row["warm_up"] for row in rows} == {"true", "false"}
    assert rows[0]["measurement.energy_joules"] == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", " =1", "\r=1"])
def test_csv_fields_are_never_formulas(text: str) -> None:
    assert str(safe(text)).startswith("'")


def test_csv_numbers_stay_numbers() -> None:
    assert safe(-1.5) == -1.5


def test_hostile_csv_headers_are_defused(hostile: Report, tmp_path: Path) -> None:
    for row in csv.reader(io.StringIO(write(hostile, tmp_path).csv.read_text(encoding="utf-8"))):
        assert not [field for field in row if field.startswith(("=", "@", "+", "\t"))]


def test_html_runs_its_own_scripts_only_and_asks_for_nothing(hostile: Report) -> None:
    page = Page(render_html(hostile))
    assert page.scripts == ["application/json", "application/octet-stream", "script"]
    assert all(address.startswith(("#", "data:,")) for address in page.addresses)
    assert page.handlers == []


def test_html_forbids_everything_else_by_policy(report: Report) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', render_html(report))
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy.group(1)
    assert "unsafe-inline" not in policy.group(1).split("script-src")[1]


def test_html_says_what_a_reader_needs(report: Report) -> None:
    text = render_html(report)
    for words in (
        "about",
        "does not answer from this machine",
        "the kernel ended the child: raise the RAM limit",
        "cgroup v1 rss + mapped",
        "percentile-bootstrap intervals",
        "Version dominance",
        "1.10.2+cu102 / 10.2",
    ):
        assert words in text, words


def every_run_fails(run: RunRecord) -> None:
    run.status, run.failure = "failed", Failure("out_of_memory", "the kernel ended the child")
    run.measurement = Measurement()


def only_the_old_stack(run: RunRecord) -> None:
    run.cell["stack"] = "old"


def nothing_but_time(run: RunRecord) -> None:
    run.measurement = Measurement(wall_seconds=run.measurement.wall_seconds)
    run.environment, run.results, run.phases, run.block = Environment(), {}, [], None


@pytest.mark.parametrize("change", [every_run_fails, only_the_old_stack, nothing_but_time])
def test_poor_studies_still_give_every_output(
    two_cells: Callable[..., Path], tmp_path: Path, change: Callable[[RunRecord], None]
) -> None:
    report = analyse(load([two_cells(change)]), FAST)
    paths = write(report, tmp_path / "poor")
    assert json.loads(paths.json.read_text(encoding="utf-8"))["counts"]["read"] == 12
    stream = io.StringIO()
    print_table(report, Console(width=100, file=stream))
    assert "train" in stream.getvalue()


def test_markdown_text_cannot_break_out(hostile: Report) -> None:
    text = render_markdown(hostile)
    assert "<script>" not in text
    widths = {line.replace(r"\|", "").count("|") for line in text.splitlines() if line.startswith("| metric")}
    assert widths
    assert all(width > 3 for width in widths)


def test_markdown_and_terminal_explain_intervals_and_verdicts(report: Report) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    print_table(report, console)
    for text in (render_markdown(report), console.export_text()):
        assert "percentile-bootstrap" in text
        assert "sign test" in text


def test_a_report_of_one_run_compares_nothing_and_explains_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "one", record({"deployment": "bare", "workload": "train"}, 1, 2.0))
    alone = analyse(load([tmp_path / "one"]))
    stream = io.StringIO()
    print_table(alone, Console(width=100, file=stream))
    terminal, markdown = stream.getvalue(), render_markdown(alone)
    assert "1 run completed" in terminal
    assert "1 run completed" in markdown
    for text in (terminal, markdown, render_html(alone)):
        assert "percentile-bootstrap" not in text
        assert "sign test" not in text


def test_the_table_fits_100_columns(report: Report) -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    print_table(report, console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 100
    assert not [line for line in lines if "…" in line and "torch" in line]


def test_the_terminal_answers_before_the_table_and_within_ten_lines(report: Report) -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    print_table(report, console)
    lines = console.export_text().splitlines()
    first = " ".join(" ".join(lines[:10]).split())
    wall = [h for h in report.workloads[0].headlines if h.metric == "wall_seconds"]
    answers = [h.text for h in wall if h.verdict in ("different", "parity", "undecided", "mixed")]
    assert answers
    assert [text for text in answers if " ".join(text.split()) not in first] == []
    table = next(number for number, line in enumerate(lines) if line.startswith("cell "))
    assert table < next(number for number, line in enumerate(lines) if "Fastest: " in line)


def test_the_terminal_is_not_driven_by_names(hostile: Report) -> None:
    stream = io.StringIO()
    print_table(hostile, Console(width=100, file=stream))
    assert "\x1b" not in stream.getvalue()
    assert "[red]" in stream.getvalue().replace("\n", "")


def test_a_folder_that_is_a_file_is_one_sentence(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(BadInputError, match="choose a writable folder"):
        write(report, tmp_path / "file")


def test_a_full_disk_leaves_the_old_report_and_no_fragment(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.json").write_text("old", encoding="utf-8")
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInputError, match="No space left on device"):
        write(report, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == "old"


@pytest.mark.whole
def test_a_browser_draws_every_chart(hostile: Report, report: Report, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    both = {"hostile": hostile, "plain": report}
    for name, shown in both.items() if LONG else (("hostile", hostile),):
        page = write(shown, tmp_path / name).html
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command += [f"--user-data-dir={tmp_path / name / 'profile'}", "--virtual-time-budget=8000"]
        command += ["--enable-logging=stderr", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
        plots = len(shown.workloads) + (1 if shown.timelines else 0)
        assert done.stdout.count('class="main-svg"') >= plots
        assert done.stdout.count("needs a browser of 2023") == 1  # in the script itself, not in the page
        assert "CONSOLE" not in done.stderr, done.stderr


@pytest.mark.whole
def test_stacked_bars_of_one_chart_are_drawn_on_one_scale(
    browser: Any, two_cells: Callable[..., Path], tmp_path: Path
) -> None:
    # one total in seconds, one in milliseconds
    written = write(analyse(load([two_cells(factor=0.001)]), FAST), tmp_path / "report").html.as_uri()
    for width in (390, 1280):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(written)
        charts = page.locator("figure.chart, .stacks").evaluate_all(TRACKS)
        page.close()
        assert sum(len(tracks) > 1 for tracks in charts) > 3
        for tracks in charts:
            assert len(set(tracks)) <= 1, tracks


def test_of_one_run_alone_no_output_tells_a_range(tmp_path: Path) -> None:
    write_plan(tmp_path, CELLS, 1)
    for place, cell in enumerate(CELLS):
        write_run(tmp_path, record(dict(cell), 1, 1 / (30 * (place + 1))))
    report = analyse(load([tmp_path]), FAST)
    html, markdown = render_html(report), render_markdown(report)
    wall = quantity(1 / 30, "s")
    assert wall in html
    assert wall in markdown
    assert "n = 1" in html
    number = wall.split("\u00a0")[0]
    for between in ("–", ", ", " to "):
        assert f"{number}{between}{number}" not in html
        assert f"{number}{between}{number}" not in markdown


def test_every_output_says_of_what_a_workload_is_another_version(tmp_path: Path) -> None:
    report = analyse(load([two_versions(tmp_path)]), FAST)
    console = Console(file=io.StringIO(), width=200)
    print_table(report, console)
    for text in (render_html(report), render_markdown(report), console.file.getvalue()):
        assert "is fit since this changed: stack mine: other packages" in text.replace("\\", "")
        assert "stack mine;" not in text
        assert "stack <b>mine" not in text
        assert "The same everywhere: stack" not in text
    assert "2 runs: fit.2" in render_html(report)
    assert "(2 runs: fit.2)" in render_markdown(report).replace("\\", "")


def shown(report: Report) -> str:
    console = Console(file=io.StringIO(), width=100)
    print_table(report, console)
    return console.file.getvalue().replace("\N{NO-BREAK SPACE}", " ")


def one_cell(folder: Path, runs: int) -> Report:
    for block in range(1, runs + 1):
        write_run(
            folder,
            record({"stack": "mine", "workload": "sort"}, block, 10 + block / 10, rss=4e8 + block * 1e6),
        )
    return analyse(load([folder]), FAST)


def test_the_terminal_shows_the_spread_of_one_cell(tmp_path: Path) -> None:
    text = shown(one_cell(tmp_path, 7))
    assert re.search(r"wall +7 +10\.4 s +\[10\.\d, 10\.\d\] +10\.1 s +10\.7 s", text)
    assert re.search(r"CPU time +7 +9\.88 s +\[9\.\d\d, 10\.\d\d\] +9\.59 s +10\.2 s", text)
    assert re.search(r"peak RAM +7 +404 MB +\[40\d, 40\d\] +401 MB +407 MB", text)
    assert "Brackets are 95 %" in text
    assert "baseline" not in text


def test_one_run_has_a_value_and_no_spread(tmp_path: Path) -> None:
    text = shown(one_cell(tmp_path, 1))
    assert re.search(r"wall +1 +10\.1 s *$", text, flags=re.MULTILINE)
    assert "median" not in text


def test_the_terminal_explains_no_brackets_that_it_does_not_show(tmp_path: Path) -> None:
    text = shown(one_cell(tmp_path, 3))
    assert "[" not in text
    assert "Brackets" not in text
    assert re.search(r"wall +3 +10\.2 s +– +10\.1 s +10\.3 s", text)
