"""Raw lines whose events are the templates of their messages."""

from __future__ import annotations

import json

import pytest

from stackyard_detector.readers import UNMATCHED, EventTemplates, fit_templates
from stackyard_task.channel import BadInput

pytestmark = pytest.mark.python

LINES = [
    "Receiving block blk_-1608999687919862906 src: /10.250.19.102:54106 dest: /10.250.19.102:50010",
    "Receiving block blk_7503483334202473044 src: /10.251.215.16:55695 dest: /10.251.215.16:50010",
    "PacketResponder 1 for block blk_-1608999687919862906 terminating",
    "PacketResponder 0 for block blk_7503483334202473044 terminating",
    "Verification succeeded for blk_-1608999687919862906",
]


def test_lines_that_differ_in_parameters_are_one_event():
    templates = EventTemplates().fit(LINES)
    events = [templates.match(line) for line in LINES]
    assert events[0] == events[1]
    assert events[2] == events[3]
    assert len(set(events)) == 3 == len(templates)
    assert templates.events[events[4]] == "Verification succeeded for <block>"


def test_every_fitted_line_matches_and_a_strange_one_does_not():
    lines = [
        f"{verb} {noun} {n} of {noun} at 10.0.0.{n}"
        for verb in ("Read", "Wrote")
        for noun in ("file", "page")
        for n in range(20)
    ]
    templates = EventTemplates().fit(lines)
    assert UNMATCHED not in {templates.match(line) for line in lines}
    assert templates.match("kernel panic - not syncing") == UNMATCHED


def test_a_saved_set_matches_as_the_fitted_one_and_has_no_code_in_it(tmp_path):
    fitted = EventTemplates(similarity=0.5).fit(LINES)
    fitted.save(tmp_path / "templates.json")
    loaded = EventTemplates.load(tmp_path / "templates.json")
    assert loaded.events == fitted.events
    others = [*LINES, "Receiving block blk_1 src: /1.2.3.4:5 dest: /5.6.7.8:9", "something else"]
    assert [loaded.match(line) for line in others] == [fitted.match(line) for line in others]
    value = json.loads((tmp_path / "templates.json").read_text())
    assert value["settings"]["similarity"] == 0.5
    assert "py/object" not in (tmp_path / "templates.json").read_text()
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "templates.json").read_bytes()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x80\x04", "is not JSON"),
        (b"{}", "is not a template set"),
        (b'{"kind": "event-templates", "api_version": 99}', "api_version 99"),
        (
            b'{"kind": "event-templates", "api_version": 1, "masks": [["(", ""]], "settings": {}}',
            "not a template set",
        ),
    ],
)
def test_a_file_that_is_no_template_set_is_refused(tmp_path, content, sentence):
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(BadInput, match=sentence):
        EventTemplates.load(tmp_path / "t.json")
    with pytest.raises(BadInput, match="cannot be read"):
        EventTemplates.load(tmp_path / "none.json")


SETTINGS = {"format": "lines", "key_pattern": r"(blk_-?\d+)"}


def test_lines_become_sessions_per_key_and_a_line_with_two_keys_belongs_to_both(write, read):
    path = write(
        "a.log",
        "\n".join(
            [*LINES, "ask 10.0.0.1 to delete blk_7503483334202473044 blk_-1608999687919862906", "no block"]
        ),
    )
    sessions, quarantine = read(path, **SETTINGS)
    assert {s.key: len(s.events) for s in sessions} == {
        "blk_-1608999687919862906": 4,
        "blk_7503483334202473044": 3,
    }
    assert sessions[0].events[-1] == sessions[1].events[-1]
    assert quarantine.count == 0


def test_labels_come_from_a_file_of_keys(write, read):
    labels = write(
        "labels.csv", "BlockId,Label\nblk_-1608999687919862906,Anomaly\nblk_7503483334202473044,Normal\n"
    )
    sessions, _ = read(write("a.log", "\n".join(LINES)), labels_path=str(labels), **SETTINGS)
    assert {s.key: s.label for s in sessions} == {"blk_-1608999687919862906": 1, "blk_7503483334202473044": 0}


def test_time_and_message_patterns(write, read):
    text = "081109 203518 INFO Served blk_1 to a\n081109 203517 INFO Deleting blk_1\n"
    text += "xx INFO Deleting blk_1\n081109 203519 blk_1\n"
    (session,), quarantine = read(
        write("a.log", text),
        time_pattern=r"^(\d{6} \d{6})",
        time_format="%y%m%d %H%M%S",
        message_pattern=r"INFO (.*)$",
        **SETTINGS,
    )
    assert session.started_at == 1226262917.0
    assert len(session.events) == 2
    assert quarantine.count == 2


def test_new_text_at_inference_is_matched_with_the_saved_set(write, read, tmp_path):
    data = {"sources": [{"path": str(write("train.log", "\n".join(LINES))), **SETTINGS}]}
    fit_templates(data).save(tmp_path / "templates.json")
    new = write("new.log", "Verification succeeded for blk_9\nblk_9 exploded\n")
    ((session,), _) = read(new, templates=EventTemplates.load(tmp_path / "templates.json"), **SETTINGS)
    assert session.events[1] == UNMATCHED
    ((by_path,), _) = read(new, templates_path=str(tmp_path / "templates.json"), **SETTINGS)
    assert by_path.events == session.events


def test_a_set_made_before_is_the_one_a_model_gets(write, tmp_path):
    EventTemplates().fit(LINES).save(tmp_path / "templates.json")
    source = {"path": str(write("a.log", "blk_1 something new\n")), **SETTINGS}
    with_set = {**source, "templates_path": str(tmp_path / "templates.json")}
    assert fit_templates({"sources": [with_set, with_set]}).events == EventTemplates().fit(LINES).events
    with pytest.raises(BadInput, match="name different templates_path"):
        fit_templates({"sources": [with_set, source]})


def test_another_set_than_the_models_is_refused(write, read, tmp_path):
    EventTemplates().fit(LINES).save(tmp_path / "templates.json")
    path = write("a.log", "blk_1 something new\n")
    with pytest.raises(BadInput, match="is another template set than the model's"):
        read(path, templates=EventTemplates(), templates_path=str(tmp_path / "templates.json"), **SETTINGS)
    with pytest.raises(BadInput, match="found with other masks than the source names"):
        read(path, templates=EventTemplates(), masks=["number"], **SETTINGS)


def test_masks_can_be_chosen(write, read):
    text = "a ASA-4 took 7 ms\na ASA-6 took 9 ms\na user bob\na user eve\n"
    settings = {"format": "lines", "key_pattern": "^(a)", "event_column": "template"}
    (session,), _ = read(write("a", text), masks=[["user \\w+", "user <user>"], "number"], **settings)
    assert len(set(session.events)) == 2
    (session,), _ = read(write("a", text), message_pattern=r"ASA-(\d)", masks=[], **settings)
    assert len(set(session.events)) == 2


def test_the_template_of_the_message_is_a_column_of_syslog_too(write, read):
    text = "".join(
        f"<38>Jan  8 03:37:{n:02} h {app}[{n}]: {what} for user{n}\n"
        for n, (app, what) in enumerate([("sshd", "failed"), ("su", "failed"), ("sshd", "accepted")] * 4)
    )
    source = {
        "path": str(write("a", text)),
        "format": "syslog",
        "key_column": "host",
        "event_column": ["app", "template"],
        "message_pattern": r"(.*)\d",
        "masks": [["user\\d+", "<user>"]],
    }
    templates = fit_templates({"sources": [source]})
    path, settings = source.pop("path"), source
    (session,), _ = read(path, templates=templates, **settings)
    texts = templates.texts(session.events)
    assert [texts[event] for event in session.events[:3]] == [
        *("sshd|failed for <*>", "su|failed for <*>", "sshd|accepted for <*>"),
    ]
    assert templates.texts(["sshd|E99", "other"]) == {}


def test_free_text_has_too_many_templates(monkeypatch):
    monkeypatch.setattr("stackyard_detector.readers.templates.MOST_TEMPLATES", 5)
    messages = [" ".join("abcdefghij"[:n]) for n in range(9)]
    with pytest.raises(
        BadInput, match=r"too many templates \(6\), so they are free text; name event_pattern"
    ):
        EventTemplates().fit(messages)
    monkeypatch.setattr("stackyard_detector.readers.templates.MOST_TEMPLATES", 50)
    monkeypatch.setattr("stackyard_detector.readers.templates.MOST_COMPARISONS", 3)
    assert len(EventTemplates().fit(f"same {a} {b}" for a in "abcdef" for b in "uvwxyz")) == 6
    monkeypatch.setattr("stackyard_detector.readers.templates.COMPARISONS_EACH", 0)
    with pytest.raises(BadInput, match=r"too many templates"):
        EventTemplates().fit(f"same {a} {b}" for a in "abcdef" for b in "uvwxyz")


def test_matching_free_text_ends_and_says_so(monkeypatch):
    """Past a number of comparisons a message is not compared with thousands of templates any more."""
    words = [chr(at) for at in range(ord("a"), ord("z"))]
    templates = EventTemplates(similarity=1.0).fit(f"{a} same {b}" for a in words[:20] for b in words[:5])
    assert len(templates) == 100
    assert templates.match("z same a") == UNMATCHED
    assert templates.remarks() == []
    monkeypatch.setattr("stackyard_detector.readers.templates.MOST_COMPARISONS", 200)
    monkeypatch.setattr("stackyard_detector.readers.templates.COMPARISONS_EACH", 0)
    monkeypatch.setattr("stackyard_detector.readers.templates.COMPARED_AFTERWARDS", 99)
    for number in range(1000):
        assert templates.match(f"z{number} not matched") == UNMATCHED
    assert templates._drain.comparisons < 400
    (remark,) = templates.remarks()
    assert "most messages are free text" in remark
    assert "different ones are <unmatched>; name event_pattern" in remark
    # What the tree leads to at once is found as before.
    assert templates.match("b same c") == EventTemplates(similarity=1.0).fit(
        f"{a} same {b}" for a in words[:20] for b in words[:5]
    ).match("b same c")


def test_many_messages_of_few_templates_are_no_free_text(monkeypatch):
    monkeypatch.setattr("stackyard_detector.readers.templates.MOST_COMPARISONS", 3)
    monkeypatch.setattr("stackyard_detector.readers.templates.COMPARED_AFTERWARDS", 1)
    templates = EventTemplates().fit(["user <*> in", "user <*> out"])
    assert [templates.match(f"nobody {name} in") for name in "abcdefgh"] == [UNMATCHED] * 8
    assert templates.remarks() == []


def test_of_a_message_without_end_the_first_tokens_count():
    long = "word " * 1000
    templates = EventTemplates().fit([long + "a", long + "b b"])
    assert len(templates) == 1
    assert templates.match(long + "c c c") == "E1"


def test_a_column_called_template_of_other_formats_is_a_column(write, read):
    path = write("a.csv", "k,template\n1,Receiving block <*>\n")
    settings = {"format": "csv", "key_column": "k", "event_column": "template"}
    assert fit_templates({"sources": [{"path": str(path), **settings}]}) is None
    (session,), _ = read(path, **settings)
    assert session.events == ["Receiving block <*>"]


def test_only_raw_lines_need_templates(write):
    assert fit_templates({"sources": [{"path": str(write("a", "1 2\n")), "format": "sequences"}]}) is None
