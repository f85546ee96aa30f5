"""A bundle grows component by component: what is made stays, what is missing is named, all of it at once."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from stackyard.bundle import creating, interpreters, manifest, saved_images, verifying, wheels
from stackyard.cli.main import run
from stackyard.errors import BadInputError, NotRunnableError, StackyardError
from tests.stackyard.bundle.conftest import wheel

WANTED = creating.Wanted(images=("base:1",))


class Sources:
    """Stands for package indexes and an engine: what they have, and what was fetched."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.image: str | None = "sha256:1"
        self.lock = "1"

    def fill_control(self, folder: Path, minor: str, log: IO[str], say: Callable[[str], None]) -> None:
        self.fetched.append(f"control-{minor}")
        wheel(folder, "small", "License-Expression: MIT")

    def fill_image(self, folder: Path, reference: str, say: Callable[[str], None]) -> None:
        self.fetched.append(reference)
        (folder / "image.tar").write_text(str(self.image))

    def id_of(self, reference: str) -> str:
        if self.image is None:
            raise NotRunnableError(f"the engine has no image {reference}: pull or build it first")
        return self.image


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> Sources:
    made = Sources()
    monkeypatch.setattr(wheels, "control_made_from", lambda minor: made.lock)
    monkeypatch.setattr(wheels, "fill_control", made.fill_control)
    monkeypatch.setattr(saved_images, "id_of", made.id_of)
    monkeypatch.setattr(saved_images, "fill", made.fill_image)
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_bundle_holds_what_was_wanted_and_verifies(tmp_path: Path, sources: Sources) -> None:
    done = creating.create(tmp_path / "b", WANTED)
    assert names(tmp_path / "b") == ["SHA256SUMS", "control-3.11.tar", "image-base-1.tar", "manifest.json"]
    assert verifying.verify(tmp_path / "b", done.digest) == []
    control = done.manifest.component("control-3.11")
    assert control is not None
    assert [(one.name, one.version, one.licence) for one in control.items] == [("small", "1.0", "MIT")]


def test_a_second_call_makes_only_what_changed(tmp_path: Path, sources: Sources) -> None:
    creating.create(tmp_path / "b", WANTED)
    sources.fetched.clear()
    assert creating.create(tmp_path / "b", WANTED).kept == ["control-3.11", "image-base-1"]
    assert sources.fetched == []
    sources.image = "sha256:2"
    assert creating.create(tmp_path / "b", WANTED).kept == ["control-3.11"]
    assert sources.fetched == ["base:1"]
    assert verifying.verify(tmp_path / "b") == []


def test_what_is_not_wanted_any_more_goes(tmp_path: Path, sources: Sources) -> None:
    creating.create(tmp_path / "b", WANTED)
    creating.create(tmp_path / "b", creating.Wanted())
    assert names(tmp_path / "b") == ["SHA256SUMS", "control-3.11.tar", "manifest.json"]


def test_all_that_is_missing_is_named_at_once_and_the_rest_is_kept_for_the_next_call(
    tmp_path: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_python(minor: str) -> str:
        raise NotRunnableError(f"no Python {minor} here")

    monkeypatch.setattr(interpreters, "made_from", no_python)
    sources.image = None
    wanted = creating.Wanted(images=("base:1",), pythons=("3.9",))
    with pytest.raises(StackyardError) as caught:
        creating.create(tmp_path / "b", wanted)
    assert "no Python 3.9 here" in str(caught.value)
    assert "the engine has no image base:1" in str(caught.value)
    with pytest.raises(BadInputError, match="no bundle"):
        manifest.read(tmp_path / "b")
    sources.image = "sha256:1"
    assert creating.create(tmp_path / "b", WANTED).kept == ["control-3.11"]


def test_a_call_that_ends_in_the_middle_leaves_no_manifest_that_lies_and_loses_no_component(
    tmp_path: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    creating.create(tmp_path / "b", WANTED)

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    sources.lock = "2"
    monkeypatch.setattr(wheels, "fill_control", interrupted)
    with pytest.raises(KeyboardInterrupt):
        creating.create(tmp_path / "b", WANTED)
    with pytest.raises(BadInputError):
        manifest.read(tmp_path / "b")
    monkeypatch.setattr(wheels, "fill_control", sources.fill_control)
    assert creating.create(tmp_path / "b", WANTED).kept == ["image-base-1"]
    assert verifying.verify(tmp_path / "b") == []


def test_a_disk_that_is_full_is_one_sentence_and_nothing_half_written(
    tmp_path: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(creating, "_ROOM_BYTES", 1 << 60)
    with pytest.raises(StackyardError, match="GB are free"):
        creating.create(tmp_path / "b", WANTED)
    assert names(tmp_path / "b") == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, sources: Sources) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(BadInputError, match="no bundle"):
        creating.create(tmp_path, WANTED)
    assert names(tmp_path) == ["letter.txt"]


def test_two_commands_do_not_make_one_bundle(tmp_path: Path, sources: Sources) -> None:
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StackyardError, match="another command"):
            creating.create(tmp_path, WANTED)
    assert sources.fetched == []


def test_the_command_prints_what_goes_into_the_inventory(
    tmp_path: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = creating.create
    monkeypatch.setattr(creating, "create", lambda folder, wanted, say: whole(folder, WANTED, say))
    assert run(["bundle", "create", str(tmp_path / "b")]) == 0
    assert f"lab_bundle_digest: {manifest.digest(tmp_path / 'b')}" in capsys.readouterr().out
    assert run(["bundle", "create", str(tmp_path / "b"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["digest"] == manifest.digest(tmp_path / "b")
    assert [row["kept"] for row in told["components"]] == [True, True]


@pytest.mark.parametrize("words", [["--stack", "nobody"], ["--debian", "potato"]])
def test_what_nobody_knows_is_refused_before_anything_is_made(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bundle", "create", str(tmp_path / "b"), *words]) != 0
    assert words[1] in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
