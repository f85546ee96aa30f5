"""``stackyard data try`` and ``stackyard data presets``: what a person sees, and can paste."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stackyard.cli.data import app
from stackyard.cli.scenario import app as scenario_app
from stackyard.cli.trial import toml_of
from stackyard.errors import BadInputError

SCENARIO = """
name = "mine"
[workloads.train]
workload = "detector-train"
parameters = {{ data = "data:log" }}
{sources}
"""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STACKYARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.delenv("STACKYARD_DATA", raising=False)
    return tmp_path


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str | Path) -> tuple[str, str]:
    """What is printed, and the sentence of the refusal."""
    result = CliRunner().invoke(app, [str(word) for word in arguments])
    assert isinstance(result.exception, BadInputError), result.output
    return result.stdout, str(result.exception)


def log(folder: Path, rows: int = 30) -> Path:
    path = folder / "fw.log"
    path.write_text(
        "".join(
            f"time=2024-01-08T03:{minute:02d}:00Z src=198.51.100.{minute % 3} dst=10.0.0.5 act={what}\n"
            for minute, what in zip(range(rows), ["deny", "allow", "drop"] * rows, strict=False)
        )
    )
    return path


def test_a_log_is_shown_on_one_screen_and_its_settings_run(nowhere: Path) -> None:
    text = call("try", log(nowhere))
    assert "guessed: format 'key-value'" in text
    assert "30 lines (the whole file) -> 30 events of 3 kinds in 3 sessions" in text
    assert "quarantined: 0 lines" in text
    assert "198.51.100.1 2024-01-08 03:01:00" in text
    assert "    10  allow" in text
    assert len(text.splitlines()) <= 50
    scenario = nowhere / "mine.toml"
    pasted = text.partition("to paste into a scenario:")[2].replace("[[data.fw.", "[[data.log.")
    scenario.write_text(SCENARIO.format(sources=pasted))
    result = CliRunner().invoke(scenario_app, ["validate", str(scenario)], catch_exceptions=False)
    assert "good; 1 cell" in result.stdout
    again = call("try", scenario)
    assert "data.log.sources[0]" in again
    assert "30 events of 3 kinds in 3 sessions" in again


def test_a_column_of_labels_is_proposed_as_a_comment(nowhere: Path) -> None:
    path = nowhere / "alerts.csv"
    path.write_text(
        "time,ip,short,label\n" + "".join(f"17046850{i},198.51.100.1,e,{i % 2}\n" for i in range(10, 30))
    )
    text = call("try", path)
    assert "'label' ('0', '1')" in " ".join(text.split())
    assert '\n# label_column = "label"\n' in text
    assert "# label_column" not in call("try", path, "--set", "label=0")


def test_no_more_than_the_first_lines_are_read(nowhere: Path) -> None:
    text = call("try", log(nowhere, 50), "--lines", "20")
    assert "20 lines (the beginning of the file) -> 20 events" in text


def test_what_a_log_holds_is_no_command_to_the_terminal(nowhere: Path) -> None:
    path = nowhere / "h.log"
    path.write_text("src=198.51.100.1 act=\x1b]0;owned\x07 n=1\nsrc=198.51.100.1\x1b[2J\n")
    text = call(
        "try", path, "--set", "format=key-value", "--set", "key_column=src", "--set", "event_column=act"
    )
    assert not [c for c in text if c != "\n" and not c.isprintable()]
    assert "\\x1b]0;owned\\x07" in text
    assert "\\x1b[2J" in text
    assert (
        json.loads(
            call(
                "try",
                path,
                "--json",
                "--set",
                "format=key-value",
                "--set",
                "key_column=src",
                "--set",
                "event_column=act",
            )
        )["trials"][0]["events"]["count"]
        == 1
    )


def test_what_cannot_be_read_is_refused_and_shown(nowhere: Path) -> None:
    assert "no such file" in refused("try", nowhere / "none.log")[1]
    settings = ("--set", "format=jsonl", "--set", 'key_column="src"', "--set", "event_column=act")
    shown, sentence = refused("try", log(nowhere), *settings)
    assert "not JSON" in shown
    assert "holds no session" in sentence
    assert str(nowhere / "fw.log") in sentence
    assert "expected one of" in refused("try", log(nowhere), "--preset", "nope")[1]
    assert "expected KEY=VALUE" in refused("try", log(nowhere), "--set", "nothing")[1]


def test_a_document_that_breaks_off_says_so_where_it_counts(nowhere: Path) -> None:
    path = nowhere / "trail.json"
    records = [{"host": f"h{at % 3}", "event": f"e{at % 5}"} for at in range(30)]
    path.write_text(json.dumps({"Records": records})[:-10])
    shown, sentence = refused(
        "try", path, "--set", "format=jsonl", "--set", "key_column=host", "--set", "event_column=event"
    )
    assert "line 1: the JSON array is broken or not closed here" in sentence
    counted = " ".join(shown.partition("to paste")[0].split())
    assert "29 records (the beginning of the file) -> 29 events of 5 kinds in 3 sessions" in counted
    warned = f"warning: the file cannot be used: {sentence}; shown is what came of the 29 whole"
    assert warned.replace(" ", "") in counted.replace(" ", "")  # a path may be broken anywhere


def test_sources_of_a_scenario_that_are_not_written_yet_are_said(nowhere: Path) -> None:
    scenario = nowhere / "s.toml"
    scenario.write_text(
        SCENARIO.format(
            sources='[[data.log.sources]]\npath = "prepared:make/x.txt"\nformat = "sequences"\n'
            '[prepare.make]\nworkload = "simulate-firewall"\n'
        )
    )
    assert "not tried: data.log.sources[0]: a preparation of the scenario writes it" in call("try", scenario)
    scenario.write_text(
        SCENARIO.format(
            sources='[data.log]\nsources = [{ path = "prepared:make/x", format = "lines" }]\n'
            '[prepare.make]\nworkload = "simulate-firewall"\n'
            '[[data.other.sources]]\npath = "fw.log"\nformat = "key-value"\nkey_column = "src"\nevent_column = "act"\n'
        )
    )
    log(nowhere)
    assert "data.other.sources[0]" in call("try", scenario)  # no workload reads it yet
    assert "leave out --preset" in refused("try", scenario, "--preset", "cef")[1]


def test_a_misspelt_key_of_a_source_is_told_before_anything_starts(nowhere: Path) -> None:
    """Case D7."""
    scenario = nowhere / "s.toml"
    log(nowhere)
    scenario.write_text(
        SCENARIO.format(
            sources='[[data.log.sources]]\npath = "fw.log"\nformat = "key-value"\nkey_colum = "src"\n'
        )
    )
    for command in (["validate"], ["run", "--dry-run", "--out", str(nowhere / "out")]):
        result = CliRunner().invoke(scenario_app, [*command, str(scenario)])
        assert isinstance(result.exception, BadInputError)
        assert "data.log.sources[0] has no key 'key_colum'" in str(result.exception)
    scenario.write_text(scenario.read_text().replace("fw.log", "gone.log"))
    result = CliRunner().invoke(scenario_app, ["validate", str(scenario)])
    assert "there is no file" in str(result.exception)
    assert not (nowhere / "out").exists()


def test_presets_are_listed_and_shown_as_settings() -> None:
    listed = {one["name"]: one for one in json.loads(call("presets", "--json"))["presets"]}
    one = call("presets", "suricata-eve")
    assert one.startswith(f"suricata-eve  {listed['suricata-eve']['product']}: ")
    assert tomllib.loads(one.partition("\n\n")[2]) == listed["suricata-eve"]["settings"]
    assert "there is no preset 'nope'; there are: " in refused("presets", "nope")[1]


@pytest.mark.parametrize(
    "value",
    ["plain", r"^(?P<x>\d+) \"q\"", "it's \"both\" \\d", "line\nend\x1b", "\U0001f600", 30, 0.5, True, ["a", "b"],
     {"columns": ["src", "dst"], "if none": "x"}, {}],
)  # fmt: skip
def test_settings_are_toml(value: object) -> None:
    assert tomllib.loads(f"value = {toml_of(value)}")["value"] == value
