"""What the first lines of a source become, as ``stackyard data try`` shows it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from stackyard_detector.readers import Quarantine, read_sessions, trial


def written(folder: Path, text: str, name: str = "x.log") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def csv_of(folder: Path, rows: int = 40) -> Dict[str, Any]:
    text = "time,ip,what\n" + "".join(f"{1704685029 + i},198.51.100.{i % 4},e{i % 5}\n" for i in range(rows))
    path = written(folder, text)
    return {
        "path": str(path),
        "format": "csv",
        "key_column": "ip",
        "event_column": "what",
        "time_column": "time",
    }


def test_sessions_and_events_are_counted_and_some_are_shown(tmp_path: Path) -> None:
    told = trial.tried(csv_of(tmp_path))
    assert told["error"] is None
    assert (told["lines_read"], told["whole_file"]) == (41, True)
    assert told["sessions"]["count"] == 4
    assert (told["sessions"]["shortest"], told["sessions"]["longest"]) == (10, 10)
    assert (told["events"]["count"], told["events"]["different"]) == (40, 5)
    assert told["events"]["most"][0] == ["e0", 8]
    shown = told["sessions"]["shown"][0]
    assert (shown["key"], shown["length"], shown["started_at"]) == ("198.51.100.0", 10, 1704685029.0)
    assert shown["events"][:3] == ["e0", "e4", "e3"]
    assert told["warnings"] == []


def test_only_the_first_lines_are_read_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    told = trial.tried(csv_of(tmp_path, 5000), 11)
    assert (told["lines_read"], told["whole_file"], told["events"]["count"]) == (11, False, 10)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_rows_that_are_not_wanted_are_passed_over_and_said_apart(tmp_path: Path) -> None:
    rows = [
        {"src": "10.0.0.1", "dst": "10.0.0.2", "kind": "flow", "what": "a"},
        {"src": "10.0.0.1", "dst": "198.51.100.2", "kind": "flow", "what": "a"},
        {"src": "10.0.0.1", "dst": "198.51.100.2", "kind": "stats", "what": "b"},
        {"src": "198.51.100.3", "dst": "10.0.0.2", "kind": "flow", "what": "b"},
    ]
    path = written(tmp_path, "".join(json.dumps(row) + "\n" for row in rows) + "not JSON\n")
    told = trial.tried(
        {
            "path": str(path),
            "format": "jsonl",
            "external_key": {"columns": ["src", "dst"]},
            "event_column": "what",
            "where": {"kind": "flow"},
        }
    )
    assert told["events"]["count"] == 2
    assert told["passed_over"] == {"where": 1, "no external address": 1}
    assert told["quarantined"]["count"] == 1
    assert told["quarantined"]["reasons"][0]["line"] == 5
    assert told["quarantined"]["reasons"][0]["text"] == "not JSON"


def test_lines_without_a_key_and_keys_that_are_nobodys_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, "badge 7 in\nmaintenance\nbadge 7 out\n")
    told = trial.tried(
        {
            "path": str(path),
            "format": "lines",
            "key_pattern": r"badge (\d+)",
            "event_pattern": r"badge \d+ (\w+)",
        }
    )
    assert (told["events"]["count"], told["passed_over"]) == (2, {"no key": 1})
    path = written(tmp_path, "ip,what\n-,a\n198.51.100.7,b\n")
    told = trial.tried({"path": str(path), "format": "csv", "key_column": "ip", "event_column": "what"})
    assert (told["events"]["count"], told["passed_over"]) == (1, {"the key is nobody's": 1})


def test_a_package_that_this_python_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    told = trial.tried(csv_of(tmp_path))
    assert told["lacks_package"]
    assert "needs the package numpy" in told["error"]


@pytest.mark.parametrize("rows", [3, 400])
def test_the_beginning_of_a_json_document_is_whole_records(tmp_path: Path, rows: int) -> None:
    objects = [{"user": f"u{i % 2}", "action": f"a{i % 3}", "more": list(range(90))} for i in range(rows)]
    for text in (json.dumps(objects, indent=1), json.dumps({"Records": objects}, indent=1)):
        told = trial.tried({"path": str(written(tmp_path, text))}, 20)
        assert told["error"] is None
        assert told["settings"]["key_column"] == "user"
        assert told["events"]["count"] == told["lines_read"]
        assert told["lines_read"] == 3 if rows == 3 else 10 < told["lines_read"] <= 20
        assert (told["unit"], told["whole_file"]) == ("record", rows == 3)


@pytest.mark.parametrize(
    ("text", "unit", "count"),
    [
        ('{"Metadata": {"v": 1}, "Records": [{"host": "a", "event": "e1"}]}\n', "record", 1),
        ('{"host": "a", "event": "e1", "value": [1]}\n{"host": "a", "event": "e2"}\n', "line", 2),
        ('{"host": "a", "event": "e1", "value": [{"x": 1}]}\n' * 3, "line", 3),
        ('{"host": "a", "event": "e1", "records": []}\n{"host": "a", "event": "e2"}\n', "line", 2),
        ('{"logEvents": [{"host": "a", "event": "e1"}, {"host": "a", "event": "e2"}]}\n' * 2, "record", 4),
        ('{"records":[{"host":"a","event":"' + "e" * (1 << 20) + '"}]}', "record", 0),
        (
            '{"records":[' + '{"host":"a","event":"e"},' * 60_000 + '{"host":"a","event":"e"}]}',
            "record",
            1000,
        ),
    ],
)
def test_a_trial_and_a_run_agree_on_what_a_record_is(
    tmp_path: Path, text: str, unit: str, count: int
) -> None:
    path = written(tmp_path, text)
    settings = {"path": str(path), "format": "jsonl", "key_column": "host", "event_column": "event"}
    guess = trial.tried({"path": str(path)})
    if count:
        told = trial.tried(settings)
        assert told["error"] is None
        assert (told["unit"], told["lines_read"], told["events"]["count"]) == (unit, count, count)
        assert guess["error"] is None, guess
        assert (guess["unit"], guess["events"]["count"]) == (unit, count)
        assert (guess["settings"]["key_column"], guess["settings"]["event_column"]) == ("host", "event")
        if told["whole_file"]:
            sessions = list(read_sessions({"sources": [settings]}, Quarantine()))
            assert [len(session.events) for session in sessions] == [count]
    else:
        assert guess["error"]


def test_reasons_are_grouped_with_one_example(tmp_path: Path) -> None:
    given = csv_of(tmp_path)
    lines = Path(given["path"]).read_text().splitlines()
    lines[3] = "yesterday,198.51.100.1,e1"
    lines[7] = "tomorrow,198.51.100.1,e1"
    lines[9] = "1,2"
    Path(given["path"]).write_text("\n".join(lines))
    told = trial.tried(given)
    assert told["quarantined"]["count"] == 3
    first, second = told["quarantined"]["reasons"]
    assert (first["count"], first["line"], first["text"]) == (2, 4, "yesterday,198.51.100.1,e1")
    assert second["count"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda i: (i, f"198.51.100.{i % 4}", "same"), "all events are one:"),
        (lambda i: (i, f"198.51.100.{i % 4}", f"e{i}"), "nearly every event is different"),
        (lambda i: (i, "198.51.100.1", f"e{i % 3}"), "all events are one session"),
        (lambda i: (i, f"198.51.100.{i // 39}", f"e{i % 3}"), "one key has 39 of 40 events: '198.51.100.0'"),
        (lambda i: (i, f"198.51.100.{i}", f"e{i % 3}"), "nearly every session has one event"),
        (
            lambda i: (-i, f"198.51.100.{i % 4}", f"e{i % 3}"),
            "in 4 of 4 sessions the file is not in order of time",
        ),
    ],
)
def test_what_is_hardly_meant_is_warned_of(tmp_path: Path, change: Any, said: str) -> None:
    rows = [change(i) for i in range(40)]
    text = "time,ip,what\n" + "".join(f"{1704685029 + at},{ip},{what}\n" for at, ip, what in rows)
    Path(csv_of(tmp_path)["path"]).write_text(text)
    told = trial.tried(csv_of_written(tmp_path))
    assert [w for w in told["warnings"] if w.startswith(said)], told["warnings"]


def csv_of_written(folder: Path) -> Dict[str, Any]:
    return {
        "path": str(folder / "x.log"),
        "format": "csv",
        "key_column": "ip",
        "event_column": "what",
        "time_column": "time",
    }


def test_a_line_of_a_mebibyte_is_one_quarantined_line(tmp_path: Path) -> None:
    given = csv_of(tmp_path)
    with Path(given["path"]).open("a") as stream:
        stream.write("x" * (1 << 21) + "\n")
    told = trial.tried(given)
    assert told["quarantined"]["count"] == 1
    assert len(json.dumps(told)) < 20_000


@pytest.mark.parametrize("name", ["none", "empty", "folder"])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    told = trial.tried({"path": str(tmp_path / name)})
    assert str(tmp_path / name) in told["error"]
    assert "lines_read" not in told


def test_any_bytes_get_an_answer(tmp_path: Path) -> None:
    chance = random.Random(5)
    for _ in range(60):
        data = bytes(
            chance.choice(b'{}[]",:=|<> \n\t\x00\xff\xfeabc0123#') for _ in range(chance.randrange(1, 400))
        )
        path = tmp_path / "bytes"
        path.write_bytes(data)
        told = trial.tried({"path": str(path)}, 20)
        json.dumps(told)
        assert told["error"] is None or isinstance(told["error"], str)


def test_sources_are_checked_without_being_opened() -> None:
    asked = [
        {"where": "data.a", "value": {"sources": [{"path": "/none", "format": "sequences"}]}},
        {"where": "data.b", "value": {"sources": [{"path": "/none", "format": "sequences", "kee": 1}]}},
        {"where": "data.c", "value": {"sources": [{"path": "/none", "preset": "nope"}]}},
    ]
    faults = trial.answer({"do": "check", "data": asked})["faults"]
    assert [fault["where"] for fault in faults] == ["data.b", "data.c"]
    assert faults[0]["message"].startswith("sources[0] has no key 'kee'")


def test_it_answers_on_standard_output(tmp_path: Path) -> None:
    request = {"do": "try", "lines": 5, "sources": [{"where": "w", "given": csv_of(tmp_path)}]}
    done = subprocess.run(
        [sys.executable, "-m", "stackyard_detector.readers.trial"],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    (told,) = json.loads(done.stdout)["trials"]
    assert (told["where"], told["events"]["count"]) == ("w", 4)


@pytest.mark.parametrize("lines", [11, 1000])
def test_a_file_of_another_encoding_is_tried_when_it_is_named(tmp_path: Path, lines: int) -> None:
    settings = csv_of(tmp_path)
    path = Path(settings["path"])
    path.write_text(path.read_text(encoding="utf-8").replace(",e", ",é"), encoding="utf-16")
    told = trial.tried({**settings, "encoding": "utf-16"}, lines)
    assert told["error"] is None
    assert told["settings"]["encoding"] == "utf-16"
    assert {name[0] for name, _ in told["events"]["most"]} == {"é"}


def test_without_a_time_it_warns_and_names_what_looks_like_one(tmp_path: Path) -> None:
    told = trial.tried({k: v for k, v in csv_of(tmp_path).items() if k != "time_column"})
    assert [w for w in told["warnings"] if "no time is used" in w and "'time' looks like one" in w]


def test_settings_are_heeded_and_a_preset_is_tried_before_it_is_proposed(tmp_path: Path) -> None:
    rows = [{"_HOSTNAME": f"h{i % 3}", "_PID": i, "MESSAGE": f"line {i % 4}"} for i in range(30)]
    path = written(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    told = trial.tried({"path": str(path), "key_column": "_HOSTNAME", "event_column": "MESSAGE"})
    assert (told["error"], told["sessions"]["count"], told["events"]["different"]) == (None, 3, 4)
    line = "IN=a OUT=b SRC=192.0.2.{} DST=203.0.113.10 LEN=60 PROTO=TCP action={}\n"  # no time before it
    path = written(tmp_path, "".join(line.format(i % 3, "ab"[i % 2]) for i in range(30)))
    told = trial.tried({"path": str(path)})
    assert told["settings"]["format"] == "key-value"
    assert told["events"]["count"] == 30


def test_columns_that_look_like_labels_are_told_where_no_setting_says_what_is_malicious(
    tmp_path: Path,
) -> None:
    rows = "".join(
        f"{1704685029 + i},198.51.100.{i % 4},e{i % 5},{'-' if i % 3 else 'dnsteal'}\n" for i in range(40)
    )
    path = written(tmp_path, "time,ip,short,event_label\n" + rows, "alerts.csv")
    told = trial.tried({"path": str(path)})
    assert told["label_columns"] == ["event_label"]
    (warning,) = [text for text in told["warnings"] if "label" in text]
    assert "'event_label' ('dnsteal', '-')" in warning
    assert "set label_column" in warning
    for own in ({"label_column": "event_label"}, {"label": 0}):
        told = trial.tried({"path": str(path), **own})
        assert told["label_columns"] == []
        assert not any("label" in text for text in told["warnings"])


def test_labels_of_sessions_in_rows_are_told_too(tmp_path: Path) -> None:
    path = written(
        tmp_path, "events,label\n" + "".join(f"E1 E2 E{i % 3},{i % 2}\n" for i in range(9)), "s.csv"
    )
    told = trial.tried({"path": str(path), "format": "csv-sequences", "event_column": "events"})
    assert told["label_columns"] == ["label"]


def test_the_line_itself_is_shown_where_its_fields_make_no_event(tmp_path: Path) -> None:
    given = csv_of(tmp_path)
    path = Path(given["path"])
    path.write_text(path.read_text() + "yesterday,198.51.100.1,e1\n")
    (reason,) = trial.tried(given)["quarantined"]["reasons"]
    assert reason["text"] == "yesterday,198.51.100.1,e1"


def test_labels_of_keys_that_go_beyond_the_attack_are_warned_of(tmp_path: Path) -> None:
    given = {**csv_of(tmp_path, 8000), "session_minutes": 30}
    labels = written(tmp_path, "key,label\n198.51.100.1,1\n198.51.100.2,0\n", "labels.csv")
    told = trial.tried({**given, "labels_path": str(labels)}, 8001)
    assert [
        w for w in told["warnings"] if w.startswith("labels_path calls every session") and "198.51.100.1" in w
    ]
    told = trial.tried({**given, "labels_path": str(labels)}, 100)
    assert not [w for w in told["warnings"] if "labels_path" in w]


@pytest.mark.parametrize("end", ["cut", "text"])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_document_that_breaks_off_shows_why_and_what_came_before(
    tmp_path: Path, end: str, indent: Optional[int]
) -> None:
    records = [{"host": f"h{at % 3}", "event": f"e{at % 5}"} for at in range(30)]
    text = json.dumps({"Records": records}, indent=indent)
    text = text[: text.rindex("event")] if end == "cut" else text + " and more"
    path = written(tmp_path, text)
    whole = 29 if end == "cut" else 30
    for given in ({"format": "jsonl", "key_column": "host", "event_column": "event"}, {}):
        told = trial.tried({"path": str(path), **given})
        assert told["error"].startswith(f"{path}: line ")
        assert "broken or not closed here" in told["error"]
        assert (told["lines_read"], told["unit"], told["whole_file"]) == (whole, "record", False)
        assert (told["events"]["count"], told["sessions"]["count"]) == (whole, 3)
        assert told["quarantined"]["count"] == 0
        assert told["error"] in told["warnings"][0]
        assert f"the {whole} whole records before it" in told["warnings"][0]


def test_a_document_without_a_record_before_its_break_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, '[1, 2, {"host": "h", "eve')
    told = trial.tried({"path": str(path), "format": "jsonl", "key_column": "host", "event_column": "event"})
    assert "broken or not closed here" in told["error"]
    assert "warnings" not in told or told["error"] in told["warnings"][0]


def test_a_document_that_breaks_off_in_its_first_record_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, '{"Records": [{"host": "h", "eve')
    told = trial.tried({"path": str(path), "format": "jsonl", "key_column": "host", "event_column": "event"})
    assert "broken or not closed here" in told["error"]
    assert "lines_read" not in told
