"""The documents stay true: links, commands, options and examples they show work; sentences are short; nothing leaks."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from stackyard import stacks, workloads
from stackyard.agents import queues
from stackyard.clearml import pipelines
from stackyard.cli.main import run
from stackyard.launch import cluster_settings
from stackyard.settings import Settings
from stackyard.stacks import definition
from stackyard.workloads import declarations
from stackyard_task import records

from . import commands_page
from .pages import PAGES, ROOT, Block, blocks, cells, commands, sentences, words_of
from .stackyard.reports.synthetic import write_study

#: Plain English: who does what, in less than this many words.
TOO_LONG = 30
#: What may stand behind a fence. Examples of the kinds with two words are loaded as what the second word says.
KINDS = {
    *("sh", "text", "python", "yaml"),
    *("toml scenario", "toml scenario part", "toml pipeline", "toml queues", "toml stack", "toml study"),
    *("toml workloads", "toml project", "toml clusters"),
}
#: The folders of the checkout that pages may name files of.
TOPS = ("src", "tests", "bench", "scenarios", "pipelines", "tasks", "docs", "examples")
INLINE = re.compile(r"^(?:\.venv/bin/)?stackyard ((?:[a-z][a-z-]* ?){1,3})(.*)")
#: What a part of a scenario needs around it to be one.
AROUND = """
[workloads.around]
workload = "detector-train"
parameters = { data = { sources = [{ path = "sessions.txt", format = "sequences" }] } }
"""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
BLOCKS = [block for page in PAGES for block in blocks(page)]


def of_kind(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind in kinds], ids=str)


def command_named(words: list[str]) -> Any:
    """The command or group of that name; ``None`` where there is none."""
    command = commands_page.command_line()
    for word in words:
        children = dict(commands_page.children(command))
        if not children:
            return command
        if word not in children:
            return None
        command = children[word]
    return command


# -- what they point at -----------------------------------------------------------------------------------------------


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@every_page
def test_commands_and_options_named_in_a_sentence_exist(page: Path) -> None:
    for code in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")):
        for words, rest in INLINE.findall(code):
            command = command_named(words.split())
            assert command is not None, code
            options = {o for p in command.params for o in [*p.opts, *p.secondary_opts]}
            ours = re.split(r"(?:^|\s)--\s", rest)[0]  # behind the -- stands somebody else's command
            for option in re.findall(r"(?<!\S)(--[a-z-]+)", ours):
                assert option in options | {"--help"}, code


@every_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    code = "\n".join([*re.findall(r"`([^`\n]+)`", text), *(b.text for b in blocks(page) if b.kind == "sh")])
    for name in re.findall(r"\bmake ([a-z][a-z-]*)", code):
        assert name in targets, f"make {name}"


@every_page
def test_files_of_the_source_exist(page: Path) -> None:
    """Python files, and whatever is named below a folder of the checkout; NAME and <name> stand for any."""
    files = [
        str(p.relative_to(ROOT))
        for top in TOPS
        for p in (ROOT / top).rglob("*")
        if "__pycache__" not in p.parts
    ]
    for name in re.findall(r"`([\w./-]+/[\w./-]*)`", page.read_text(encoding="utf-8")):
        top, plain = name.partition("/")[0], name.rstrip("/")
        if "NAME" not in name and (top in TOPS or name.endswith(".py")):
            assert any(file == plain or file.endswith(f"/{plain}") for file in [*files, *TOPS]), name


def test_the_page_of_commands_is_what_the_command_line_says() -> None:
    shown = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert shown == commands_page.rendered(), (
        "write it anew: python -m tests.commands_page > docs/commands.md"
    )


def test_sentences_of_symptoms_are_still_said() -> None:
    """What the page on troubleshooting quotes in its first column stands in the source, in the Makefile or in a log."""
    said = "\n".join(
        [path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py"))]
        + [
            (ROOT / "Makefile").read_text(encoding="utf-8"),
            (ROOT / "docs" / "faults.md").read_text(encoding="utf-8"),
        ]
    )
    said = re.sub(r'"\s*\n\s*f?"', "", said)
    symptoms = re.findall(
        r"^\| `([^`]+)`", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"), re.MULTILINE
    )
    assert symptoms
    kinds = {f"{kind}:" for kind in records.FAILURE_KINDS}
    assert [symptom for symptom in symptoms if symptom not in said and symptom not in kinds] == []


# -- their examples ---------------------------------------------------------------------------------------------------


def test_every_block_says_what_it_is() -> None:
    assert [f"{block}: {block.kind or 'no kind'}" for block in BLOCKS if block.kind not in KINDS] == []


@of_kind("sh")
def test_shell_calls_commands_as_they_can_be_called(block: Block) -> None:
    for words in commands(block.text):
        if words[0] in ("stackyard", ".venv/bin/stackyard"):
            command, arguments = command_named([]), words[1:]
            while dict(commands_page.children(command)) and arguments and not arguments[0].startswith("-"):
                children = dict(commands_page.children(command))
                assert arguments[0] in children, f"stackyard: no command {arguments[0]}"
                command = children[arguments.pop(0)]
            command.make_context(" ".join(words), arguments)
        elif words[:2] == ["python", "-m"]:
            place = ROOT.joinpath(*words[2].split("."))
            assert (
                place.with_suffix(".py").exists() or (place / "__main__.py").exists() or words[2] == "pytest"
            )


@of_kind("toml scenario")
def test_scenarios_load(block: Block, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "example.toml"
    file.write_text(block.text, encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    assert run(["scenario", "validate", str(file)]) == 0, capsys.readouterr().err


@of_kind("toml study")
def test_studies_load(block: Block, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "study.toml"
    file.write_text(block.text, encoding="utf-8")
    shutil.copy(ROOT / "examples" / "own-script" / "train.py", tmp_path)
    assert run(["tune", "run", str(file), "--dry-run"]) == 0, capsys.readouterr().err


def test_the_study_that_is_shown_is_the_one_that_the_commands_run() -> None:
    shown = [b.text for b in blocks(ROOT / "docs" / "tuning.md") if b.kind == "toml study"]
    file = ROOT / "examples" / "own-script" / "tune.toml"
    assert shown[0].strip() == file.read_text(encoding="utf-8").strip()


@of_kind("toml scenario part")
def test_parts_of_scenarios_load(block: Block, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "example.toml"
    file.write_text(f'name = "part"\n{block.text}{AROUND}', encoding="utf-8")
    shutil.copytree(
        ROOT / "examples" / "own-function", tmp_path, dirs_exist_ok=True
    )  # what an example may name
    for name in ("sessions.txt", "hdfs_train.gz", "requirements.txt", "eve.json", "eve-new.json"):
        (tmp_path / name).touch()
    assert run(["scenario", "validate", str(file)]) == 0, capsys.readouterr().err


@of_kind("toml project")
def test_parts_of_a_project_name_what_our_own_has(block: Block) -> None:
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    for group in tomllib.loads(block.text)["project"]["entry-points"]:
        assert group in ours


@of_kind("toml pipeline")
def test_pipelines_load(block: Block) -> None:
    known = workloads.load().declared
    pipeline = pipelines.read(
        block.text, str(block), stacks=stacks.load(), default_stack=stacks.DEFAULT, workloads=known
    )
    assert pipeline.steps


@of_kind("toml queues")
def test_queues_load(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "queues.toml"
    file.write_text(block.text, encoding="utf-8")
    assert queues.read(file).queues


@of_kind("toml stack")
def test_stacks_load(block: Block, tmp_path: Path) -> None:
    torch = tomllib.loads(block.text)["torch"]
    (tmp_path / "stack.toml").write_text(block.text, encoding="utf-8")
    (tmp_path / "requirements.lock").write_text(f"torch=={torch}\n", encoding="utf-8")
    assert definition.read(tmp_path).torch == torch


@of_kind("toml clusters")
def test_settings_of_clusters_load(block: Block, tmp_path: Path) -> None:
    (tmp_path / cluster_settings.FILE).write_text(block.text, encoding="utf-8")
    settings = Settings(home=tmp_path)
    plain = (cluster_settings.SlurmSettings(), cluster_settings.KubernetesSettings())
    assert (cluster_settings.slurm(settings), cluster_settings.kubernetes(settings)) != plain


@of_kind("toml workloads")
def test_declarations_of_workloads_load(block: Block, tmp_path: Path) -> None:
    file = tmp_path / declarations.FILE
    file.write_text(block.text, encoding="utf-8")
    assert declarations.read(file)


@of_kind("python")
def test_python_runs(block: Block, tmp_path: Path) -> None:
    """As a reader would run it: a file of its own, in a folder that has a finished matrix in runs/quickstart."""
    write_study(tmp_path / "runs" / "quickstart")
    (tmp_path / "example.py").write_text(block.text, encoding="utf-8")
    # no server is known here: the SDK then writes into a folder
    environment = {**os.environ, "CLEARML_OFFLINE_MODE": "1", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# -- their words ------------------------------------------------------------------------------------------------------


@every_page
def test_sentences_are_short(page: Path) -> None:
    long = [
        f"line {line}, {len(words_of(sentence))} words: {sentence}"
        for line, sentence in [*sentences(page), *cells(page)]
        if len(words_of(sentence)) >= TOO_LONG
    ]
    assert not long, "\n".join(long)


@every_page
def test_one_word_for_one_thing(page: Path) -> None:
    """No page uses a word that the glossary's last table replaces by another."""
    rows = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").partition("| we say | and not |")[2]
    instead = re.findall(r"^\| (.+?) \| (.+?) \|$", rows, re.MULTILINE)
    assert instead
    said = [*sentences(page), *cells(page)] if page.name != "glossary.md" else [*sentences(page)]
    prose = " ".join(sentence for _, sentence in said).lower()
    for word, others in instead:
        for other in others.split(", "):
            assert not re.search(rf"\b{other}s?\b", prose), f"{other}: say {word}"


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
