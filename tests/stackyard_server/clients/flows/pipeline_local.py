"""A pipeline of functions, run in this process, with data passed between the steps."""

from clearml import PipelineController


def prepare(count: int):
    return list(range(int(count)))


def total(numbers):
    value = sum(int(n) for n in numbers)
    print("total", value)
    return value


pipe = PipelineController(name="sums", project="flows/pipes", version="1.0", add_pipeline_tags=True)
pipe.add_parameter("count", default=5)
pipe.add_function_step(
    "prepare",
    prepare,
    function_kwargs={"count": "${pipeline.count}"},
    function_return=["numbers"],
    cache_executed_step=False,
)
pipe.add_function_step(
    "total",
    total,
    function_kwargs={"numbers": "${prepare.numbers}"},
    function_return=["value"],
    parents=["prepare"],
)
pipe.start_locally(run_pipeline_steps_locally=True)
assert pipe.is_successful(), pipe.get_running_nodes()
states = {name: node.status for name, node in pipe._nodes.items()}
assert states == {"prepare": "completed", "total": "completed"}, states
print("OK", pipe.task.id)
pipe.stop()
