"""What is copied by tuning, schedulers and pipelines: reports the value of its parameter."""

from clearml import Task

task = Task.init(project_name="flows/tuning", task_name="base", auto_resource_monitoring=False)
parameters = task.connect({"x": 0, "of": ""})
task.get_logger().report_scalar("objective", "value", float(parameters["x"]), 1)
task.flush(wait_for_uploads=True)
print("BASE", task.id)
