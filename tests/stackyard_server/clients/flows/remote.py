"""Remote execution: the script enqueues itself and leaves; what an agent runs later continues after the call."""

from clearml import Task

task = Task.init(project_name="flows/remote", task_name="goes away", auto_resource_monitoring=False)
task.execute_remotely(queue_name="remote", clone=False, exit_process=True)
print("RAN REMOTELY")
