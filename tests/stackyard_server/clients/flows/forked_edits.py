"""A training script as people write them: it sets parameters while the SDK reports from its forked process."""

import sys

from clearml import Task

COUNT = 40

task = Task.init(project_name="Forked", task_name=sys.argv[1], reuse_last_task_id=False)
settings = task.connect({"rate": 0.1, "layers": 2})
for number in range(COUNT):
    task.set_parameter(f"General/step_{number}", number)
    print(f"line {number:03d}")
    task.get_logger().report_scalar("loss", "train", 1 / (number + 1), iteration=number)
    if number % 10 == 0:
        assert Task.get_task(task_id=task.id).name == sys.argv[1]
task.close()
print("OK", task.id)
