"""A pipeline whose steps are copies of tasks, with parameters overridden by what an earlier step was."""

import sys

from clearml import PipelineController, Task

template = sys.argv[1]
pipe = PipelineController(name="copies", project="flows/pipes", version="2.0", add_pipeline_tags=False)
pipe.set_default_execution_queue("work")
pipe.add_step(name="first", base_task_id=template, parameter_override={"General/x": 7})
pipe.add_step(
    name="second",
    base_task_id=template,
    parents=["first"],
    parameter_override={"General/x": "${first.parameters.General/x}", "General/of": "${first.id}"},
)
pipe._pool_frequency = 0.6
pipe.start_locally()
assert pipe.is_successful(), pipe.get_running_nodes()
first, second = (Task.get_task(task_id=pipe._nodes[name].executed) for name in ("first", "second"))
assert (first.parent, second.parent) == (pipe.task.id, pipe.task.id)
assert second.get_parameters()["General/x"] == "7"
assert second.get_parameters()["General/of"] == first.id
assert second.get_last_scalar_metrics()["objective"]["value"]["last"] == 7.0
print("OK", pipe.task.id)
pipe.stop()
