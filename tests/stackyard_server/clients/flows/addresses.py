"""Everything of the SDK that prints an address of the web app: a task, a data set, a pipeline; each with its id."""

from clearml import Dataset, PipelineController, Task

task = Task.init(project_name="flows/addresses", task_name="printed", auto_resource_monitoring=False)
print("ID", task.id)
print("asked for", task.get_output_log_web_page())
print("without its project", Task.get_task_output_log_web_page(task.id))
task.close()
dataset = Dataset.create(dataset_name="printed", dataset_project="flows/addresses")
print("ID", dataset.id)
dataset.finalize()
pipeline = PipelineController(name="printed", project="flows/addresses", version="1.0")
print("ID", pipeline.task.id)
pipeline.task.close()
