"""A task with artifacts, images and a model on the file server, under names that need quoting; prints its id."""

import pathlib
import sys

import numpy
from clearml import Dataset, OutputModel, Task

CONTENT = b"x" * 3_000_000

task = Task.init(
    project_name="lab/files é#1",
    task_name="run with 100% ; spaces & 'q'",
    auto_connect_frameworks=False,
    auto_resource_monitoring=False,
)
path = pathlib.Path("some file.bin")
path.write_bytes(CONTENT)
task.upload_artifact("settings", {"a": 1})
task.upload_artifact("a/b file", str(path))
for iteration in range(3):
    task.get_logger().report_image(
        "img", "v", iteration=iteration, image=numpy.zeros((8, 8, 3), dtype=numpy.uint8)
    )
model = OutputModel(task=task, name="my model")
model.update_weights(str(path), auto_delete_file=False, upload_uri=sys.argv[1])
task.flush(wait_for_uploads=True)
task.close()
data = Dataset.create(dataset_project="lab", dataset_name="my data")
data.add_files(str(path))
data.upload()
data.finalize()
print(f"IDS {task.id} {data.id}")
