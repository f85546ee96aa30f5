"""Everything ``files_store.py`` left, read back after the server moved; then the task is deleted with its files."""

import pathlib
import sys

from clearml import Dataset, StorageManager, Task

CONTENT = b"x" * 3_000_000

files, task_id, data_id = sys.argv[1:]
task = Task.get_task(task_id=task_id)
held = dict(task.artifacts)
assert set(held) == {"settings", "a/b file"}, held
assert all(artifact.url.startswith(files + "/") for artifact in held.values())
assert held["settings"].get() == {"a": 1}
assert pathlib.Path(held["a/b file"].get_local_copy()).read_bytes() == CONTENT
assert pathlib.Path(task.models["output"][0].get_local_copy()).read_bytes() == CONTENT
images = task.get_debug_samples("img", "v")
assert len(images) == 3, images
assert all(pathlib.Path(StorageManager.get_local_copy(image["url"])).read_bytes() for image in images)
folder = pathlib.Path(Dataset.get(dataset_id=data_id).get_local_copy())
assert [path.read_bytes() for path in folder.iterdir() if path.suffix == ".bin"] == [CONTENT]
assert task.delete(delete_artifacts_and_models=True, raise_on_error=True)
print("OK")
