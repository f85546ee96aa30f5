"""Requirements as a ClearML task keeps them: a text, with sentences for whoever wrote the task."""

from __future__ import annotations

import pytest

from stackyard.errors import BadInputError
from stackyard.stacks import requirements

#: As the SDK writes it, with its analysis behind.
OF_THE_SDK = """# Python 3.11.2 (main, Mar 13 2023, 12:18:29) [GCC 12.2.0]

Pillow == 10.0.0
clearml == 2.0.2
torch == 2.13.0+cpu
torchvision==0.28.0+cpu

# Detailed import analysis
# **************************

# IMPORT PACKAGE clearml
# train.py: 3

# Local modules found - skipping:
# helper == ../helper.py
"""


def lines(text: str) -> list[str]:
    return [one.text for one in requirements.read_text(text, python="3.11").wanted]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_what_the_sdk_writes_is_taken(ends: str) -> None:
    text = OF_THE_SDK.replace("\n", ends)
    assert lines(text) == ["Pillow==10.0.0", "clearml==2.0.2", "torch==2.13.0+cpu", "torchvision==0.28.0+cpu"]


def test_extras_conditions_comments_and_indexes_are_taken() -> None:
    asked = requirements.read_text(
        "--extra-index-url https://download.example/whl/cpu\n"
        "dask[array] == 2026.1.0 # what we need\n"
        'tomli==2.0 ; python_version < "3.11"\n'
        "numpy==1.26.4\nnumpy==1.26.4\nnumpy>=1.20\n",
        python="3.11",
    )
    assert asked.indexes == ("default", "https://download.example/whl/cpu")
    assert asked.files["requirements.txt"].splitlines() == [
        "--extra-index-url https://download.example/whl/cpu",
        "dask[array]==2026.1.0",
        "numpy==1.26.4",
        "numpy>=1.20",
        'tomli==2.0; python_version < "3.11"',
    ]
    assert asked.wanted[0].where == "the task's requirements, line 2"


@pytest.mark.parametrize("text", ["", "\r\n", "# Python 3.11.2 [GCC 12.2.0]\n\n# only this\n", "\ufeff"])
def test_a_task_may_need_nothing(text: str) -> None:
    assert lines(text) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "-e git+https://joe:s3cret@example.org/own.git@main#egg=own",
            "an editable folder cannot be pinned by",
        ),
        (
            "git+https://s3cret@example.org/own.git",
            "a path or an address cannot be pinned by version and hash; keep",
        ),
        (
            "own @ file:///srv/s3cret/own",
            "own from a path or an address cannot be pinned by version and hash; keep",
        ),
        ("own @ git+ssh://git@example.org/s3cret", "own from a path or an address cannot be pinned"),
        (
            "./own",
            "keep your code in the task's repository, or write NAME==VERSION of a package that an index has",
        ),
        (
            "--extra-index-url https://joe:s3cret@example.org",
            "leave the line away; whoever runs the agent can put",
        ),
        (
            "--index-url https://${s3cret}@example.org",
            "an index with a login is never kept; leave the line away",
        ),
        ("--index-url https://${S3CRET}@example.org", "write it out, or leave the line away"),
        ("--find-links /srv/wheels", "--find-links is not kept; leave the line away"),
        ("--trusted-host example.org", "--trusted-host is not read here; leave the line away"),
        ("a==1 --no-cache-dir", "--no-cache-dir is not read here; leave the line away"),
        ("-r requirements.txt", "names a file, and none lies beside it; list the packages themselves"),
        ("-c /etc/passwd", "names a file, and none lies beside it"),
        ("numpy==1.25.0", "line 2 asks for numpy==1.25.0, but line 1 for numpy==1.26.4; keep one of them"),
        ("NumPy == 2", "line 2 asks for numpy==2, but line 1 for numpy==1.26.4"),
        ("a==" + "9" * 5000, "is not a requirement such as"),
        ("a ; python_version ~= 'x'", "a has a condition that compares no versions"),
        ("a;" + "(" * 3000, "is not a requirement such as"),
        ("-" * 5000, "too long for an option"),
        ("pip install x", "is not a requirement such as"),
    ],
)
def test_what_cannot_be_kept_is_refused_for_the_tasks_author(line: str, said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        lines(f"numpy == 1.26.4\n{line}\n")
    text = str(caught.value)
    assert text.startswith("the task's requirements, line 2")
    assert said in text
    assert "s3cret" not in text
    assert "--wheels" not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "text",
    [
        "torch==2.13.0\ntorch==2.13.0+cpu",
        "numpy==1.26.4\nnumpy==1.26.*",
        'a==1; python_version < "3"\na==2',
        "numpy==1.26.4\nnumpy==1.26.4.0",
    ],
)
def test_the_same_package_twice_is_no_fault_where_one_version_is_both(text: str) -> None:
    assert len(lines(text)) == 2


def test_what_is_no_list_is_refused_early() -> None:
    for text, said in (
        ("#" * (requirements.MOST_TEXT_BYTES + 1), "longer than 1024 KiB"),
        ("a\n" * 20_001, "more than 20000 lines"),
        ("".join(f"a{n}\n" for n in range(1001)), "more than 1000 packages"),
        ("a; os_name == '\ud800'", "not a text that can be kept"),
    ):
        with pytest.raises(BadInputError, match=f"the task's requirements: .*{said}"):
            lines(text)


def test_who_else_may_be_named_in_its_place() -> None:
    with pytest.raises(BadInputError, match="the template's packages, line 1"):
        requirements.read_text("./own", "the template's packages", python="3.11")


def test_what_a_caller_adds_stands_back_behind_the_list() -> None:
    asked = requirements.read_text('ClearML==2.0.0\nold ; python_version < "3"', python="3.11")
    more = requirements.with_also(asked, ["clearml==2.0.2", "old==1", "psutil"], "the agent", "3.11")
    assert [(one.text, one.where) for one in more.wanted[2:]] == [
        ("old==1", "the agent"),
        ("psutil", "the agent"),
    ]
    assert asked.wanted == more.wanted[:2]
