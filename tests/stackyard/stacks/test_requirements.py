"""Files of requirements: what is taken in, and what is refused in one sentence that shows no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.stacks import requirements, wanted

HASH = "sha256:" + "a" * 64


def read(folder: Path, text: str, name: str = "requirements.txt") -> wanted.Requirements:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return requirements.read(path, "3.11")


def test_lines_comments_markers_and_hashes_are_taken_in(tmp_path: Path) -> None:
    asked = read(
        tmp_path,
        "\ufeff# what we need\n"
        "scikit-learn >= 1.5   # trees\n"
        f"pandas==2.2.0 \\\n    --hash={HASH} \\\n    --hash=sha256:{'b' * 64}\n"
        'tomli ; python_version < "3.11"\n'
        "dask[array,distributed]\n"
        "--pre\n--only-binary=:all:\n",
    )
    assert [one.text for one in asked.wanted] == [
        "scikit-learn>=1.5",
        "pandas==2.2.0",
        'tomli; python_version < "3.11"',
        "dask[array,distributed]",
    ]
    assert asked.wanted[1].hashes == (HASH, "sha256:" + "b" * 64)
    assert asked.wanted[1].where == f"{tmp_path}/requirements.txt line 3"
    assert asked.options == ("--pre", "--only-binary=:all:")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_that_windows_wrote_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "requirements.txt").write_bytes("one==1\r\ntwo\r\n".encode(encoding))
    found = requirements.read(tmp_path / "requirements.txt", "3.11")
    assert [one.text for one in found.wanted] == ["one==1", "two"]


def test_files_that_a_file_names_are_read_beside_it(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("-r ../last.txt\njoblib\n")
    (tmp_path / "last.txt").write_text("numpy\n")
    (tmp_path / "pins.txt").write_text("scipy<2\n")
    asked = read(tmp_path, "-r more/base.txt\n--constraint=pins.txt\nscipy\n")
    assert [one.text for one in asked.wanted] == ["numpy", "joblib", "scipy"]
    assert [one.text for one in asked.constraints] == ["scipy<2"]


def test_what_is_kept_reads_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "pins.txt").write_text("scipy<2\n")
    asked = read(
        tmp_path,
        "-c pins.txt\n--index-url https://one.example/simple\n--extra-index-url https://two.example/x\n"
        f"--pre\nb==1 --hash={HASH}\na\n",
    )
    assert asked.indexes == ("https://one.example/simple", "https://two.example/x")
    kept = tmp_path / "kept"
    kept.mkdir()
    for name, text in asked.files.items():
        (kept / name).write_text(text)
    again = requirements.read(kept / "requirements.txt", "3.11")
    assert again.files == asked.files
    assert again.indexes == asked.indexes


def test_comments_and_order_do_not_change_what_is_kept(tmp_path: Path) -> None:
    one = read(tmp_path, "b\na>=1 # why\n")
    assert one.files == read(tmp_path, "# other\na >= 1\nb\n", "other.txt").files


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--index-url https://joe:s3cret@example.org/simple", "an index with a login is never kept"),
        ("--extra-index-url=https://s3cret@example.org/simple", "an index with a login is never kept"),
        ("-i https://example.org/simple?token=s3cret", "an index with a login is never kept"),
        ("--extra-index-url https://${s3cret}@example.org", "an index with a login is never kept"),
        ("--index-url https://${S3CRET}@example.org", "takes a part from a variable"),
        ("--index-url /srv/index", "an index is an address that begins with https://"),
        ("-e .", "an editable folder cannot be pinned"),
        ("--editable=./own", "an editable folder cannot be pinned"),
        ("./own", "a path or an address cannot be pinned"),
        ("../own-1.0.whl", "a path or an address cannot be pinned"),
        ("own-1.0-py3-none-any.whl", "a path or an address cannot be pinned"),
        ("git+https://joe:s3cret@example.org/own.git", "a path or an address cannot be pinned"),
        ("own @ git+ssh://s3cret@example.org/own", "own from a path or an address cannot be pinned"),
        ("own @ file:///srv/own", "own from a path or an address cannot be pinned"),
        ("--find-links wheels", "--find-links is not kept; give a folder of wheels with --wheels"),
        ("--no-index", "--no-index is not kept"),
        (
            "--trusted-host example.org",
            "--trusted-host is not read here; put it into pip's own configuration",
        ),
        ("-r https://example.org/base.txt", "names a file at an address; fetch it"),
        ("-r missing.txt", "missing.txt: cannot be read (No such file or directory)"),
        ("-r requirements.txt", "does one of them name itself?"),
        ("a==1 --hash=md5:12", "a hash that is no sha256"),
        ("a==1 --global-option=x", "--global-option is not read here"),
        ("own@https:/joe:s3cret@x y", "requirements.txt line 2: is not a requirement"),
        ("a = 1", "'a = 1' is not a requirement"),
        (".", "a path or an address cannot be pinned"),
        (".[dev]", "a path or an address cannot be pinned"),
        ("a=1.2", "that is conda's form, pip's is NAME==VERSION"),
        ("a==1.2=pyhd8ed1ab_0", "that is conda's form, pip's is NAME==VERSION"),
        ("python>=3.8", "Python is the stack's, and no package"),
        ("pkg-resources==0.0.0", "Debian's pip writes that line"),
        ("--no-cache-dir", "--no-cache-dir is not read here; put it into pip's own configuration"),
        ("a==1 --index-url https://example.org", "--index-url holds for the whole file"),
        ("pip install pandas", "is not a requirement such as"),
        ("--require-hashes", "--require-hashes stands in the file, good has none"),
        ("-r", "-r takes one value on its line"),
        ("--pre yes", "--pre takes nothing on its line"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_line_and_without_a_secret(
    tmp_path: Path, line: str, said: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        read(tmp_path, f"good\n{line}\n")
    text = str(caught.value)
    assert said in text
    assert "s3cret" not in text
    assert "\n" not in text
    if "cannot be read" not in said and "name itself" not in said:
        assert "requirements.txt line " in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("environment.yml", "conda's own packages are not pip's"),
        ("Pipfile", "pipenv requirements --hash"),
        ("Pipfile.lock", "pipenv requirements --hash"),
        ("poetry.lock", "poetry export"),
        ("pyproject.toml", "uv pip compile pyproject.toml"),
        ("setup.py", "install_requires"),
        ("packages.json", "files that end in .json are not"),
    ],
)
def test_other_tools_files_get_a_sentence_that_names_the_way(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(
        BadInputError, match=r"requirements\.txt, pylock\.toml and uv\.lock are read"
    ) as caught:
        read(tmp_path, "x\n", name)
    assert said in str(caught.value)


def test_what_is_no_list_of_requirements_is_refused_early(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="asks for no package"):
        read(tmp_path, "# nothing\n")
    with pytest.raises(BadInputError, match="more than 20000 lines"):
        read(tmp_path, "a\n" * 20_001)
    with pytest.raises(BadInputError, match="more than 1000 packages"):
        read(tmp_path, "".join(f"a{n}\n" for n in range(1001)))
    with pytest.raises(BadInputError, match="longer than"):
        read(tmp_path, "#" * (wanted.MOST_BYTES + 1))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInputError, match="not a UTF-8 text"):
        requirements.read(tmp_path / "binary.txt", "3.11")
    with pytest.raises(BadInputError, match="No such file"):
        requirements.read(tmp_path / "none.txt", "3.11")
    with pytest.raises(BadInputError, match="cannot be read"):
        requirements.read(tmp_path, "3.11")
