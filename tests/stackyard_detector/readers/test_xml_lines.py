"""XML with one document a line: names, bounds, and what is refused."""

from __future__ import annotations

import random

import pytest

from stackyard_detector.readers import xml_lines


def test_elements_attributes_and_named_data_have_names() -> None:
    text = (
        "\ufeff<?xml version='1.0'?><e:Event xmlns:e='urn:x' kind='k'><System><Provider Name='P' Guid='g'/>"
        "<EventID Qualifiers='0'> 4624 </EventID></System>"
        "<EventData><Data Name='User'>a &lt;b&gt; &#228;</Data><Data Name='Empty'/><Data>1</Data><Data>2</Data>"
        "<x:Sub xmlns:x='urn:y'><x:Value>v</x:Value></x:Sub></EventData></e:Event>\r"
    )
    assert xml_lines.fields(text) == {
        "kind": "k",
        "System.Provider.Name": "P",
        "System.Provider.Guid": "g",
        "System.EventID.Qualifiers": "0",
        "System.EventID": "4624",
        "EventData.Data.Name": "User",
        "EventData.User": "a <b> ä",
        "EventData.Data": "1",
        "EventData.Sub.Value": "v",
    }


BOMB = (
    '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;">]>'
    "<a>&d;&d;&d;</a>"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "document type"),
        ("<a>&unknown;</a>", "not XML"),
        ("<a><b></a>", "not XML"),
        ("<a/><b/>", "not XML"),
        ("</Events>", "not XML"),
        ("", "not XML"),
        ("plain", "not XML"),
        ("<a>" * 40 + "</a>" * 40, "more than 32 elements in each other"),
        ("<a>" + "".join(f"<b{i}>x</b{i}>" for i in range(3000)) + "</a>", "more than 2000 fields"),
    ],
)
def test_what_is_no_event_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        xml_lines.fields(text)


def test_any_text_is_fields_or_a_sentence() -> None:
    chance = random.Random(11)
    whole = "<Event a='b'><System><EventID>1</EventID></System><D Name='x'>y</D></Event>"
    for _ in range(500):
        letters = list(whole)
        for _ in range(chance.randrange(1, 6)):
            letters[chance.randrange(len(letters))] = chance.choice("<>&;'/!ab[]\x00\u202e")
        try:
            found = xml_lines.fields("".join(letters))
        except ValueError as error:
            said = str(error)
        else:
            said = "".join(found.values())
        assert "\n" not in said
