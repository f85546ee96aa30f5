"""What is tuned: reports the value of its parameter."""

from clearml import Task

task = Task.init(project_name="flows/tuning", task_name="base", auto_resource_monitoring=False)
parameters = task.connect({"x": 0})
task.get_logger().report_scalar("objective", "value", float(parameters["x"]), 1)
task.flush(wait_for_uploads=True)
task.close()
print("OK", task.id)
