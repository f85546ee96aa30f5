"""A manifest is somebody's file: it is believed within bounds, and names nothing outside of its bundle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackyard.bundle import manifest
from stackyard.errors import BadInputError


def test_what_was_written_is_read_and_its_digest_is_of_its_bytes(bundle: Path) -> None:
    told = manifest.read(bundle)
    assert [one.name for one in told.components] == ["control-3.11", "debian-bookworm"]
    assert [item.path for item in told.components[0].items] == ["one", "two"]
    assert manifest.digest(bundle) == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()


def test_the_role_reads_the_form_that_is_written() -> None:
    role = Path(__file__).resolve().parents[3] / "ansible" / "roles" / "bundle" / "vars" / "main.yml"
    assert yaml.safe_load(role.read_text())["bundle_format"] == manifest.FORMAT


def set_format(told: dict[str, Any]) -> None:
    told["format"] = 99


def name_a_folder_above(told: dict[str, Any]) -> None:
    told["components"][0]["name"] = "../evil"


def name_one_twice(told: dict[str, Any]) -> None:
    told["components"][1]["name"] = told["components"][0]["name"]


def name_a_file_above(told: dict[str, Any]) -> None:
    told["components"][0]["items"][0]["path"] = "a/../../b"


def say_no_hash(told: dict[str, Any]) -> None:
    told["components"][0]["sha256"] = "abc"


def say_too_many_bytes(told: dict[str, Any]) -> None:
    told["components"][0]["bytes"] = manifest.MOST_BYTES + 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_format, "format 99"),
        (name_a_folder_above, "is called '../evil'"),
        (name_one_twice, "stands twice"),
        (name_a_file_above, "which no bundle holds"),
        (say_no_hash, "has no SHA-256"),
        (say_too_many_bytes, "goes beyond"),
    ],
)
def test_a_manifest_of_another_form_is_refused_in_one_sentence(bundle: Path, change: Any, said: str) -> None:
    told = json.loads((bundle / "manifest.json").read_text())
    change(told)
    (bundle / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(BadInputError, match=said) as caught:
        manifest.read(bundle)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1}', "\xff"])
def test_what_is_no_manifest_is_refused(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(BadInputError):
        manifest.read(bundle)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="stackyard bundle create"):
        manifest.read(tmp_path)
