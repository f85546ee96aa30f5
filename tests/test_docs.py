"""The documents stay true: links, make targets, commands and options they name exist; nothing leaks."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from stackyard.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
COMMAND = re.compile(r"^\s*(?:\$ )?(?:\.venv/bin/)?stackyard ((?:[a-z]+ ?){1,3})([^#\n`]*)", re.MULTILINE)


def code_of(text: str) -> str:
    """Fenced blocks and inline code, which is where commands stand."""
    fenced = re.findall(r"```[a-z]*\n(.*?)```", text, flags=re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", text)])


def command_named(words: list[str]) -> Any:
    """The command or group of that name; ``None`` where there is none."""
    command: Any = typer.main.get_command(app)
    for word in words:
        children = getattr(command, "commands", None)
        if children is None:
            return command
        if word not in children:
            return None
        command = children[word]
    return command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_and_options_exist(document: Path) -> None:
    for words, rest in COMMAND.findall(code_of(document.read_text(encoding="utf-8"))):
        command = command_named(words.split())
        assert command is not None, f"{document.name}: stackyard {words}"
        options = {
            option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]
        }
        for option in re.findall(r"(?<!\S)(--[a-z-]+)", rest):
            assert option in options | {"--help"}, f"{document.name}: stackyard {words.strip()} {option}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name in re.findall(r"\bmake ([a-z][a-z-]*)", code_of(document.read_text(encoding="utf-8"))):
        assert name in targets, f"{document.name}: make {name}"


def test_nothing_of_a_build_machine_in_tracked_files() -> None:
    """No registry host and no path of a machine that built this."""
    banned = re.compile(
        "|".join(
            [
                "py" + r"pi\.org",
                "python" + "hosted",
                "registry" + r"\.npm",
                r"deb\.deb" + "ian",
                r"/ro" + "ot/",
                r"/wo" + "rk/",
            ]
        )
    )
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: the tracked files are not known")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".png"} or not path.is_file():
            continue
        found = banned.search(path.read_text(encoding="utf-8"))
        assert not found, f"{name}: {found and found.group()}"
