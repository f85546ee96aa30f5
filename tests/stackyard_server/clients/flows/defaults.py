"""A short task with the configuration as it is generated: the SDK reports from a process it forks."""

from clearml import Task
from clearml.utilities.process.mp import BackgroundMonitor

task = Task.init(project_name="flows/defaults", task_name="as it comes")
for i in range(5):
    task.get_logger().report_scalar("loss", "train", 5.0 - i, i)
print("a line of stdout")
assert BackgroundMonitor.is_subprocess_enabled(task), "this is about the forked process"
task.close()
again = Task.get_task(task_id=task.id)
assert again.status == "completed"
assert again.get_reported_scalars()["loss"]["train"]["y"] == [5.0, 4.0, 3.0, 2.0, 1.0]
assert "a line of stdout" in "".join(again.get_reported_console_output(number_of_reports=10))
print("OK", task.id)
