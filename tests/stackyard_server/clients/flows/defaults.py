"""A short task with the configuration as it is generated: reports from a process the SDK forks; pickles stay closed."""

import os
from pathlib import Path

from clearml import Task
from clearml.utilities.process.mp import BackgroundMonitor

OPENED = Path("opened")


class Trap:
    """Its pickle says so where it is opened."""

    def __reduce__(self):
        return os.mkdir, (str(OPENED.absolute()),)


task = Task.init(project_name="flows/defaults", task_name="as it comes")
assert BackgroundMonitor.is_subprocess_enabled(task), "this is about the forked process"
for i in range(5):
    task.get_logger().report_scalar("loss", "train", 5.0 - i, i)
print("a line of stdout")
task.upload_artifact("trap", Trap(), auto_pickle=True, wait_on_upload=True)
task.upload_artifact("plan", {"a": 1}, wait_on_upload=True)
task.close()

again = Task.get_task(task_id=task.id)
assert again.status == "completed"
assert again.get_reported_scalars()["loss"]["train"]["y"] == [5.0, 4.0, 3.0, 2.0, 1.0]
assert "a line of stdout" in "".join(again.get_reported_console_output(number_of_reports=10))
assert again.artifacts["plan"].get() == {"a": 1}
assert again.artifacts["trap"].type == "pickle"
# the SDK warns, and gives the file's path instead of what is in it
assert Path(str(again.artifacts["trap"].get())).name.endswith("trap.pkl")
assert not OPENED.exists(), "the pickle was opened"
print("OK", task.id)
