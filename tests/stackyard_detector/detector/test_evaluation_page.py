"""The evaluation's page: every part in curves and table, nothing invented where a class is missing, no network."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from xml.etree import ElementTree

import pytest

from stackyard_detector.detector import calibrated as c
from stackyard_detector.detector import evaluation, evaluation_page
from tests.stackyard_detector.detector.test_calibrated import RANKS, SESSIONS, calibrated_here

LABELS = [0, 1, 1, 1]


def page(labels=LABELS):
    chosen = calibrated_here()
    judged = c.judge(chosen.scores(SESSIONS, RANKS), chosen.thresholds)
    results = evaluation.evaluate(SESSIONS, labels, judged, RANKS, chosen.k)
    return evaluation_page.render(evaluation.drawn(labels, judged), results, "2026-01-01T00:00:00Z")


def test_every_part_is_drawn_and_told():
    text = page()
    assert text.count("<polyline") == 2 * len(c.PARTS)
    for called in evaluation_page.CALLED.values():
        assert f"> {called}</td>" in text
    assert "<b>3</b> malicious sessions" in text
    assert re.search(r"> combined</td><td>[\d.]+</td><td>1\.000 <span", text)


def test_curves_stay_inside_their_frame():
    for figure in re.findall(r"<svg viewBox.*?</svg>", page(), re.DOTALL):
        width, height = map(float, ElementTree.fromstring(figure).get("viewBox").split()[2:])
        for line in re.findall(r'points="([^"]*)"', figure):
            for point in line.split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height


@pytest.mark.parametrize("label", [0, 1])
def test_what_labels_cannot_tell_is_not_defined(label):
    text = page([label] * 4)
    assert "not defined" in text
    assert "in the test set" in text


def test_the_page_asks_nobody():
    text = page()
    assert not re.search(r"https?://|<script|url\(", text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in html.unescape(text)
