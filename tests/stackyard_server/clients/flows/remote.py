"""Remote execution: the script enqueues itself and leaves; what an agent runs later continues after the call."""

import sys

from clearml import Task

task = Task.init(project_name="flows/remote", task_name="goes away", auto_resource_monitoring=False)
parameters = task.connect({"depth": 3})
task.execute_remotely(queue_name=sys.argv[1] if sys.argv[1:] else "", clone=False, exit_process=True)
print("RAN REMOTELY at depth", parameters["depth"])
