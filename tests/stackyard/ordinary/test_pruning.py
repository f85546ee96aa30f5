"""What was made for tasks and what of it goes: environments, and images on an engine that only plays its part."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from stackyard.cli import main
from stackyard.errors import StackyardError
from stackyard.machine import docker_engine
from stackyard.machine.docker_engine import Image
from stackyard.ordinary import pruning
from stackyard.settings import Settings
from stackyard.stacks import derived, images
from stackyard.stacks.definition import MARKER
from stackyard.stacks.images import StackImage
from stackyard_task.records import write_json
from stackyard_task.wishes import Choice
from tests.stackyard.stacks.conftest import Yard

DAY = 86_400.0


def aged(path: Path, days: float) -> None:
    at = time.time() - days * DAY
    os.utime(path, (at, at))


def made(yard: Yard, name: str, days: float) -> Path:
    """An environment as a task had it made, last used so many days ago."""
    folder = yard.settings.home / "stacks" / f"{yard.base.name}+{name}"
    (folder / "bin").mkdir(parents=True)
    write_json({"name": f"{yard.base.name}+{name}", "digest": name, "base": yard.base.name}, folder / MARKER)
    aged(folder / MARKER, days)
    return folder


def chosen(settings: Settings, name: str, choice: Choice, days: float) -> Path:
    file = settings.home / pruning.CHOICES / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(choice, file)
    aged(file, days)
    return file


def test_environments_go_by_their_last_use_and_named_ones_never(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    old, busy, fresh = made(yard, "old", 40), made(yard, "busy", 40), made(yard, "fresh", 1)
    gone = chosen(yard.settings, "old", Choice(str(old / "bin" / "python")), 35)
    lately = chosen(yard.settings, "busy", Choice(str(busy / "bin" / "python")), 2)
    unused = chosen(yard.settings, "fresh", Choice(str(fresh / "bin" / "python")), 31)
    (yard.settings.home / "stacks" / f"{yard.base.name}-0123456789ab").mkdir()
    spec = derived.defined(yard.base, yard.requirements("small==1.0\n"), yard.settings)
    named = derived.define(spec, "mine", yard.settings)
    kept = pruning.environment.location(named, yard.settings)
    kept.mkdir()
    write_json({"name": "mine", "digest": named.digest}, kept / MARKER)
    aged(kept / MARKER, 400)

    assert main.run(["stack", "prune", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith(f"would remove {yard.base.name}+old  {old}  ")
    assert old.is_dir()
    assert unused.exists()
    assert main.run(["stack", "prune", "--yes", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["pruned"]
    assert (row["where"], row["kept"]) == (str(old), None)
    assert not old.exists()
    assert not gone.exists(), "nobody is sent there any more"
    assert busy.is_dir(), "a task was started in it since"
    assert lately.exists()
    assert not unused.exists(), "no such task was run for long, though its environment is in use"
    assert main.run(["stack", "prune", "--older-than", "1.5", "--yes"]) == 0
    assert not busy.exists()
    assert fresh.is_dir()
    assert kept.is_dir()
    assert yard.base_folder.is_dir()
    assert main.run(["stack", "prune", "--older-than", "-1"]) == 2


def test_what_was_wanted_a_moment_ago_stays_whatever_is_asked(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(yard, "now", 0)
    assert main.run(["stack", "prune", "--older-than", "0", "--yes"]) == 0
    assert "nothing to remove; 1 environment made for tasks stay" in capsys.readouterr().out
    assert folder.is_dir()


class Engine:
    """An engine with these images; the containers use some."""

    def __init__(self, held: list[Image], in_use: set[str]) -> None:
        self.held, self.in_use = {one.id: one for one in held}, in_use

    def images(self, label: str | None = None, name: str | None = None) -> list[Image]:
        key, _, value = (label or "").partition("=")
        return [one for one in self.held.values() if one.labels.get(key) == value]

    def image(self, reference: str) -> Image | None:
        return self.held.get(reference)

    def image_id(self, reference: str) -> str | None:
        return reference if reference in self.held else None

    def images_in_use(self) -> set[str]:
        return self.in_use

    def remove_image(self, reference: str) -> None:
        if reference == "sha256:stubborn":
            raise StackyardError("the Docker Engine says: image has dependent child images")
        del self.held[reference]


def test_images_go_by_label_and_use(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = {images.STACK_LABEL: "s", images.HOME_LABEL: images.mark(yard.settings)}
    old = "2026-01-01T00:00:00+00:00"

    def image(id: str, labels: dict[str, str]) -> Image:
        return Image(f"sha256:{id}", (), (), labels, 1_000_000, old)

    engine = Engine(
        [
            image("stack", ours),
            image("tasks", {images.STACK_LABEL: "s"}),  # built before images said of which home they are
            image("busy", ours),
            image("lately", ours),
            image("replaced", ours),
            image("stubborn", ours),
            image("another-home", {images.STACK_LABEL: "s", images.HOME_LABEL: "other"}),
            image("foreign", {}),
        ],
        {"sha256:busy"},
    )
    monkeypatch.setattr(docker_engine, "connect", lambda: engine)
    plain = StackImage("", "", "", "3.11", "b", "sha256:base", "t", old, 1)
    held = {
        yard.base.name: replace(plain, image_id="sha256:stack"),
        **{f"s+{name}": replace(plain, image_id=f"sha256:{name}") for name in ("tasks", "busy", "lately")},
    }
    entries = {name: {k: v for k, v in asdict(one).items() if k != "stack"} for name, one in held.items()}
    write_json(entries, yard.settings.home / "images.json")
    chosen(yard.settings, "one", Choice("python", image="sha256:lately"), 1)
    assert main.run(["stack", "image", "prune", "--yes", "--json"]) == 0
    rows = {row["where"]: row["kept"] for row in json.loads(capsys.readouterr().out)["pruned"]}
    assert rows == {
        "sha256:tasks": None,
        "sha256:replaced": None,
        "sha256:busy": "a container uses it",
        "sha256:stubborn": "the Docker Engine says: image has dependent child images",
    }
    left = {"stack", "busy", "lately", "stubborn", "another-home", "foreign"}
    assert set(engine.held) == {f"sha256:{name}" for name in left}
    assert set(images.recorded(yard.settings)) == {yard.base.name, "s+busy", "s+lately"}
    assert main.run(["stack", "image", "list", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["made_for_tasks"]
    assert {row["where"] for row in shown} == {"sha256:busy", "sha256:lately", "sha256:stubborn"}
