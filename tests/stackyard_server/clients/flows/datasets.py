"""Data sets: versions, parents, lineage, squash, listing, deletion."""

from pathlib import Path

from clearml import Dataset

folder = Path("data")
folder.mkdir(exist_ok=True)
(folder / "a.txt").write_text("a" * 1000)
(folder / "b.txt").write_text("b")
first = Dataset.create(dataset_name="logs", dataset_project="flows/data", dataset_version="1.0.0")
first.add_files(str(folder))
first.upload(show_progress=False)
first.finalize()

second = Dataset.create(
    dataset_name="logs", dataset_project="flows/data", dataset_version="1.1.0", parent_datasets=[first.id]
)
(folder / "c.txt").write_text("c")
second.add_files(str(folder / "c.txt"))
second.remove_files("b.txt")
second.set_metadata({"rows": 3}, metadata_name="facts")
second.upload(show_progress=False)
second.finalize()

latest = Dataset.get(dataset_name="logs", dataset_project="flows/data")
assert latest.id == second.id
assert sorted(latest.list_files()) == ["a.txt", "c.txt"]
copy = Path(latest.get_local_copy())
assert sorted(p.name for p in copy.iterdir()) == ["a.txt", "c.txt"]
assert (copy / "a.txt").read_text() == "a" * 1000
assert Dataset.get(dataset_name="logs", dataset_project="flows/data", dataset_version="1.0.0").id == first.id
assert [p.id for p in [Dataset.get(dataset_id=i) for i in latest.get_dependency_graph()[latest.id]]] == [
    first.id
]
assert {d["id"] for d in Dataset.list_datasets(dataset_project="flows/data")} >= {second.id}
assert first.verify_dataset_hash() == []
squashed = Dataset.squash(dataset_name="logs flat", dataset_ids=[second.id])
assert sorted(squashed.list_files()) == ["a.txt", "c.txt"]
squashed.publish()
Dataset.rename(new_dataset_name="lines", dataset_project="flows/data", dataset_name="logs")
renamed = Dataset.get(dataset_name="lines", dataset_project="flows/data")
assert (renamed.id, renamed.name, renamed.version) == (second.id, "lines", "1.1.0")
assert sorted(renamed.list_files()) == ["a.txt", "c.txt"]
third = Dataset.create(dataset_name="lines", dataset_project="flows/data", parent_datasets=[renamed.id])
assert third.version == "1.1.1"
Dataset.delete(dataset_id=third.id, force=True)
Dataset.delete(dataset_id=first.id, force=True)
print("OK", second.id)
