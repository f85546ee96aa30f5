"""A pipeline of functions with data passed between the steps: run here, on a queue, or with the controller on one too.

The steps hand on JSON: without a serialization function the SDK pickles, which the generated configuration blocks.
"""

import argparse

from clearml import PipelineController


def to_json(value):
    import json

    return json.dumps(value).encode()


def from_json(text):
    import json

    return json.loads(text)


def prepare(count: int):
    return list(range(int(count)))


def total(numbers):
    value = sum(numbers)
    print("total", value)
    return value


parser = argparse.ArgumentParser()
parser.add_argument("--where", choices=["here", "queue", "away"])
where = parser.parse_args().where
pipe = PipelineController(
    name=f"sums {where}",
    project="flows/pipes",
    version="1.0",
    add_pipeline_tags=True,
    artifact_serialization_function=to_json,
    artifact_deserialization_function=from_json,
)
pipe.add_parameter("count", default=5)
pipe.add_function_step(
    "prepare",
    prepare,
    function_kwargs={"count": "${pipeline.count}"},
    function_return=["numbers"],
    cache_executed_step=True,
)
pipe.add_function_step(
    "total",
    total,
    function_kwargs={"numbers": "${prepare.numbers}"},
    function_return=["value"],
    parents=["prepare"],
)
# how often the controller looks after its steps; 12 s by default
pipe._pool_frequency = 0.6
pipe.set_default_execution_queue("work")
if where == "away":
    pipe.start(queue="controllers")
else:
    pipe.start_locally(run_pipeline_steps_locally=where == "here")
states = {name: node.status for name, node in pipe._nodes.items()}
assert states["total"] == "completed", states
assert states["prepare"] in ("completed", "cached"), states
if where != "away":  # there the agent ends the controller's task
    assert pipe.task.status == "completed", pipe.task.status
    # to the SDK a pipeline is successful only if all of it ran
    assert pipe.is_successful() == (states["prepare"] == "completed")
total_task = pipe._nodes["total"].executed
print("OK", pipe.task.id, states["prepare"], total_task)
pipe.stop()
