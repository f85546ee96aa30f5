"""What a run is made of: everything that decides it changes the digest, and nothing else does."""

from __future__ import annotations

from pathlib import Path

from stackyard import workloads
from stackyard.clearml import pipelines
from stackyard.clearml.pipelines import changes
from stackyard.clearml.pipelines.changes import MadeOf, differences
from stackyard.workloads import folder

FILE = """
name = "chain"
[steps.train]
workload = "detector-train"
parameters = { data = "data:raw", epochs = 2 }
[steps.other]
workload = "detector-train"
parameters = { data = "data:kept" }
[data.raw]
sources = [{ path = "raw.txt", format = "sequences" }]
[data.kept]
sources = [{ path = "clearml-dataset:logs/ssh//x.csv", format = "sequences" }]
"""


def made_of(
    folder: Path, text: str = FILE, code: str = "c1", stack: str = "s1", version: str = "v1"
) -> MadeOf:
    pipeline = pipelines.read(
        text, "p.toml", stacks=["new"], default_stack="new", workloads=workloads.load().declared
    )
    return changes.made_of(
        pipeline,
        code=code,
        stacks={"new": stack},
        file_of=lambda key, text: folder / text if changes.is_path(key, text) else None,
        dataset_id=lambda name: version,
    )


def test_nothing_changed_is_the_same_digest(tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text("a b c\n")
    first = made_of(tmp_path)
    commented = made_of(tmp_path, FILE.replace("[steps.other]", "# a remark\n[steps.other]"))
    assert first.digest == commented.digest
    assert differences(first, commented) == []
    assert MadeOf.from_json(first.to_json()) == first
    assert MadeOf.from_json({"code": 1}) is None


def test_each_thing_that_changes_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text("a b c\n")
    first = made_of(tmp_path)
    assert differences(first, made_of(tmp_path, code="c2")) == ["code (c1 -> c2)"]
    assert differences(first, made_of(tmp_path, stack="s2")) == ["stack new"]
    assert differences(first, made_of(tmp_path, version="v2")) == ["data logs/ssh//x.csv"]
    assert differences(first, made_of(tmp_path, FILE.replace("2", "3"))) == ["the pipeline's definition"]
    (tmp_path / "raw.txt").write_text("a b d\n")
    assert differences(first, made_of(tmp_path, code="c2")) == ["code (c1 -> c2)", "data raw.txt"]


def test_a_commands_words_inputs_and_folder_are_part_of_it(tmp_path: Path) -> None:
    text = """
name = "own"
[steps.train]
command = ["python", "train.py", "{inputs.data}"]
code = "."
inputs = { data = "data.txt" }
"""

    def now(text: str = text) -> MadeOf:
        pipeline = pipelines.read(text, "p.toml", stacks=["new"], default_stack="new", workloads={})
        return changes.made_of(
            pipeline,
            code="c1",
            stacks={"new": "s1"},
            file_of=lambda key, text: tmp_path / text if changes.is_path(key, text) else None,
            dataset_id=lambda name: "v1",
            folders={"train": folder.looked_at(tmp_path, leave_out=[tmp_path / "data.txt"])},
        )

    for name in ("train.py", "data.txt"):
        (tmp_path / name).write_text(name)
    first = now()
    assert MadeOf.from_json(first.to_json()) == first
    assert differences(first, now(text.replace("python", "python3"))) == ["the pipeline's definition"]
    (tmp_path / "data.txt").write_text("other")
    assert differences(first, now()) == ["data data.txt"]
    (tmp_path / "data.txt").write_text("data.txt")
    (tmp_path / "train.py").chmod(0o755)
    assert differences(first, now()) == ["code of train (changed: train.py)"]
    for number in range(9):
        (tmp_path / f"{number}.py").touch()
    (said,) = differences(first, now())
    assert said.endswith("new: 4.py; and 5 more)")


def test_a_folder_changes_with_its_files_and_their_names(tmp_path: Path) -> None:
    text = FILE.replace("raw.txt", "raw")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "one").write_text("a")
    first = made_of(tmp_path, text)
    (tmp_path / "raw" / "one").rename(tmp_path / "raw" / "two")
    assert differences(first, made_of(tmp_path, text)) == ["data raw"]
