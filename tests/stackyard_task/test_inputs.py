"""What parameters name: fetched once, checked on each use, never outside its place."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import Any, Dict

import pytest

from stackyard_task import inputs


class Store:
    """A file server and a cache in folders."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fetched = folder, 0
        self.files: Dict[str, bytes] = {}
        (folder / "drafts").mkdir()

    def put(self, url: str, content: bytes) -> str:
        self.files[url] = content
        return hashlib.sha256(content).hexdigest()

    def file(self, url: str, sha256: str) -> Path:
        def fetch() -> Path:
            self.fetched += 1
            draft = self.folder / "drafts" / str(self.fetched)
            draft.write_bytes(self.files[url])
            return draft

        return inputs.kept(self.folder / "cache", sha256, url.rsplit("/", 1)[-1], fetch)

    def dataset(self, name: str) -> Path:
        return self.folder / "dataset" if name in ("ab" * 16, "p/n@1") else self.folder / "none"

    def model(self, model_id: str) -> Path:
        return self.folder / model_id

    def artifact(self, task_id: str, name: str) -> Path:
        return self.folder / task_id / name


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_file_is_fetched_once(store: Store) -> None:
    digest = store.put("http://s/data.csv", b"a,b")
    value: Dict[str, Any] = {"sources": [f"clearml-file:{digest}:http://s/data.csv"], "n": 3, "word": "x:y"}
    first = inputs.resolved(value, store)
    assert Path(first["sources"][0]).read_bytes() == b"a,b"
    assert Path(first["sources"][0]).name == "data.csv"
    assert (first["n"], first["word"]) == (3, "x:y")
    assert inputs.resolved(value, store) == first
    assert store.fetched == 1


@pytest.mark.promise("container-cache")
def test_a_copy_that_a_task_changed_is_fetched_anew(store: Store) -> None:
    digest = store.put("http://s/data.csv", b"a,b")
    kept = store.file("http://s/data.csv", digest)
    assert not kept.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    kept.chmod(0o644)
    kept.write_bytes(b"poisoned")
    assert store.file("http://s/data.csv", digest).read_bytes() == b"a,b"
    assert store.fetched == 2


def test_what_was_changed_on_the_server_is_refused_and_not_kept(store: Store) -> None:
    digest = store.put("http://s/data.csv", b"a,b")
    store.files["http://s/data.csv"] = b"other"
    with pytest.raises(
        inputs.InputError, match=f"data.csv has SHA-256 .* but {digest} was asked for"
    ) as caught:
        store.file("http://s/data.csv", digest)
    assert caught.value.kind == "infrastructure"
    assert not (store.folder / "cache" / digest).exists()
    assert list((store.folder / "drafts").iterdir()) == []


def listed(store: Store, *paths: str) -> str:
    digest = store.put("http://s/one", b"one")
    files = [{"path": path, "sha256": digest, "url": "http://s/one"} for path in paths]
    content = json.dumps({"files": files}).encode()
    return "clearml-folder:{}:http://s/model.json".format(store.put("http://s/model.json", content))


def test_a_folder_is_put_together_for_one_run(store: Store, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    folder = Path(inputs.resolved({"model": listed(store, "a.txt", "deep/b.txt")}, store, scratch)["model"])
    assert folder.name == "model"
    assert scratch in folder.parents
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.txt")) == ["a.txt", "deep/b.txt"]
    assert (folder / "deep" / "b.txt").read_bytes() == b"one"
    assert store.fetched == 2  # the list, and the one content


@pytest.mark.parametrize("path", ["../a", "/etc/a", "a/../../b", "a\\..\\b", ""])
def test_a_folder_never_reaches_outside_itself(store: Store, tmp_path: Path, path: str) -> None:
    with pytest.raises(inputs.InputError, match="leads outside"):
        inputs.resolved(listed(store, path), store, tmp_path)


def test_a_list_that_is_none_is_one_sentence(store: Store, tmp_path: Path) -> None:
    digest = store.put("http://s/model.json", b"[]")
    with pytest.raises(inputs.InputError, match="is not a list of files"):
        inputs.resolved(f"clearml-folder:{digest}:http://s/model.json", store, tmp_path)


@pytest.mark.parametrize(
    "reference", ["clearml-file:short:http://s/x", "clearml-file:" + "a" * 64, "clearml-artifact:only-a-task"]
)
def test_a_malformed_reference_is_named(store: Store, reference: str) -> None:
    with pytest.raises(inputs.InputError, match="is not clearml-"):
        inputs.resolved(reference, store)


def test_a_path_inside_stays_inside(store: Store) -> None:
    (store.folder / "dataset").mkdir()
    (store.folder / "dataset" / "train.jsonl").write_text("{}")
    for name in ("ab" * 16 + "/", "p/n@1//"):
        found = inputs.resolved(f"clearml-dataset:{name}train.jsonl", store)
        assert Path(found).name == "train.jsonl"
    with pytest.raises(inputs.InputError, match="leads outside"):
        inputs.resolved("clearml-dataset:%s/../drafts" % ("ab" * 16), store)
    with pytest.raises(inputs.InputError, match="there is no 'other'"):
        inputs.resolved("clearml-dataset:%s/other" % ("ab" * 16), store)
