"""pylock.toml and uv.lock: what they lock for one Python, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.stacks import requirements

A, B = "a" * 64, "b" * 64

PYLOCK = f"""
lock-version = "1.0"
requires-python = ">=3.9"
default-groups = ["plots"]
created-by = "tool"

[[packages]]
name = "Small_Thing"
version = "1.0"
index = "https://example.org/simple"
wheels = [{{ name = "small_thing-1.0-py3-none-any.whl", hashes = {{ sha256 = "{A}" }} }}]
[packages.sdist]
name = "small_thing-1.0.tar.gz"
url = "https://example.org/s.tar.gz"
hashes = {{ sha256 = "{B}" }}

[[packages]]
name = "old"
version = "2.0"
marker = "python_version < '3.10'"
wheels = []

[[packages]]
name = "study"
directory = {{ path = ".", editable = true }}

[[packages]]
name = "tests-only"
version = "2.0"
marker = "'tests' in dependency_groups"
wheels = []

[[packages]]
name = "plots-only"
version = "2.0"
marker = "'plots' in dependency_groups and 'fast' not in extras"
wheels = []
"""

UV = f"""
version = 1
revision = 3
requires-python = ">=3.10"

[[package]]
name = "study"
version = "0.1.0"
source = {{ virtual = "." }}
dependencies = [
    {{ name = "small" }},
    {{ name = "torch" }},
    {{ name = "fast", extra = ["io"], marker = "python_full_version >= '3.11'" }},
    {{ name = "winonly", marker = "sys_platform == 'win32'" }},
]
[package.dev-dependencies]
dev = [{{ name = "checker" }}]

[[package]]
name = "small"
version = "1.0"
source = {{ registry = "https://example.org/simple" }}
sdist = {{ url = "https://example.org/s.tar.gz", hash = "sha256:{B}", size = 1 }}
wheels = [{{ url = "https://example.org/s.whl", hash = "sha256:{A}", size = 1 }}]

[[package]]
name = "torch"
version = "2.0"
source = {{ registry = "https://example.org/simple" }}
dependencies = [{{ name = "nvidia-thing" }}]

[[package]]
name = "nvidia-thing"
version = "12"
source = {{ registry = "https://example.org/simple" }}

[[package]]
name = "fast"
version = "3.0"
source = {{ registry = "https://example.org/simple" }}
[package.optional-dependencies]
io = [{{ name = "files" }}]
net = [{{ name = "sockets" }}]

[[package]]
name = "files"
version = "0.9"
source = {{ registry = "https://example.org/simple" }}
resolution-markers = ["python_full_version < '3.11'"]

[[package]]
name = "files"
version = "1.9"
source = {{ registry = "https://example.org/simple" }}
resolution-markers = ["python_full_version >= '3.11'"]

[[package]]
name = "sockets"
version = "1"
source = {{ registry = "https://example.org/simple" }}

[[package]]
name = "checker"
version = "1"
source = {{ registry = "https://example.org/simple" }}

[[package]]
name = "winonly"
version = "1"
source = {{ registry = "https://example.org/simple" }}
"""


def read(folder: Path, name: str, text: str, python: str = "3.11", pinned: tuple[str, ...] = ()) -> list[str]:
    path = folder / name
    path.write_text(text)
    asked = requirements.read(path, python, pinned)
    return sorted(one.line for one in asked.wanted)


def test_a_pylock_gives_what_holds_here_with_the_hashes_of_all_its_files(tmp_path: Path) -> None:
    small = f"small-thing==1.0 --hash=sha256:{A} --hash=sha256:{B}"
    assert read(tmp_path, "pylock.toml", PYLOCK) == ["plots-only==2.0", small]
    assert read(tmp_path, "pylock.study.toml", PYLOCK, "3.9") == ["old==2.0", "plots-only==2.0", small]


def test_a_uv_lock_gives_what_the_project_needs_here(tmp_path: Path) -> None:
    small = f"small==1.0 --hash=sha256:{A} --hash=sha256:{B}"
    assert read(tmp_path, "uv.lock", UV) == [
        "fast==3.0",
        "files==1.9",
        "nvidia-thing==12",
        small,
        "torch==2.0",
    ]
    assert read(tmp_path, "uv.lock", UV, "3.10") == ["nvidia-thing==12", small, "torch==2.0"]


def test_what_only_a_pinned_package_needs_is_left_out(tmp_path: Path) -> None:
    assert "nvidia-thing==12" not in read(tmp_path, "uv.lock", UV, pinned=("torch",))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "pylock.toml",
            PYLOCK.replace('"1.0"\nrequires', '"2.0"\nrequires'),
            "lock-version is '2.0', 1.x is read",
        ),
        ("pylock.toml", PYLOCK.replace(">=3.9", ">=3.13"), "is for Python >=3.13, the base has 3.11"),
        (
            "pylock.toml",
            PYLOCK.replace('version = "2.0"\nmarker = "\'plots', "marker = \"'plots"),
            "a path or an address",
        ),
        (
            "pylock.toml",
            PYLOCK.replace("created-by", "environments = [\"sys_platform == 'win32'\"]\ncreated-by"),
            "was not locked for Python 3.11 on this machine",
        ),
        ("pylock.toml", 'lock-version = "1.0"\n', "is not as its tool writes it (KeyError: 'packages')"),
        ("pylock.toml", 'lock-version = "1.0"\npackages = []\n', "locks no package for this machine"),
        ("pylock.toml", "= 3", "not TOML"),
        ("uv.lock", UV.replace("version = 1\n", "version = 9\n", 1), "version is 9, 1 is read"),
        ("uv.lock", UV.replace(">=3.10", ">=3.12"), "is for Python >=3.12, the base has 3.11"),
        (
            "uv.lock",
            UV.replace('{ virtual = "." }', '{ virtual = "a" }').replace(
                '[[package]]\nname = "small"',
                '[[package]]\nname = "other"\nversion = "1"\nsource = { virtual = "b" }\n\n[[package]]\nname = "small"',
            ),
            "is not of one project (study, other)",
        ),
        (
            "uv.lock",
            UV.replace(
                'name = "small"\nversion = "1.0"\nsource = { registry = "https://example.org/simple" }',
                'name = "small"\nversion = "1.0"\nsource = { git = "https://joe:s3cret@example.org/x" }',
            ),
            "(small): a path or an address cannot be pinned",
        ),
        ("uv.lock", UV.replace('name = "small" },', 'name = "gone" },'), "is not as its tool writes it"),
        ("uv.lock", "version = 1\npackage = 3\n", "is not as its tool writes it"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        read(tmp_path, name, text)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
