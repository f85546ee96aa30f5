"""Both schedulers, as their own loops run them: by time and by trigger, each putting copies of a task into a queue."""

import sys
import threading
import time

from clearml import Dataset, OutputModel, Task
from clearml.automation import TaskScheduler, TriggerScheduler

how, template_id = sys.argv[1:]


def until_there(query):
    """The first task of that kind, once there is one."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if found := Task.query_tasks(task_filter={"parent": template_id, **query}):
            return Task.get_task(task_id=found[0])
        time.sleep(0.2)
    raise AssertionError(f"no task with {query}")


def start(scheduler):
    threading.Thread(target=scheduler.start, daemon=True).start()


if how == "by time":
    scheduler = TaskScheduler(sync_frequency_minutes=0.02, force_create_task_name="timer")
    scheduler.add_task(
        schedule_task_id=template_id,
        queue="work",
        name="every minute",
        minute=1,
        recurring=True,
        execute_immediately=True,
        single_instance=True,
        task_parameters={"General/x": 5},
    )
    assert [job.name for job in scheduler.get_scheduled_tasks()] == ["every minute"]
    start(scheduler)
    ran = until_there({"status": ["completed"]})
else:
    watched = Task.create(project_name="flows/watched", task_name="watched", task_type="training")
    model = OutputModel(task=watched, name="watched model")
    model.update_weights(register_uri="https://example.invalid/watched.bin")
    data = Dataset.create(dataset_name="watched", dataset_project="flows/watched")
    data.add_files(__file__)
    data.upload(show_progress=False)
    data.finalize()

    scheduler = TriggerScheduler(pooling_frequency_minutes=0.01, force_create_task_name="watcher")
    scheduler.add_task_trigger(
        schedule_task_id=template_id,
        schedule_queue="work",
        name="after a task",
        trigger_project="flows/watched",
        trigger_on_status=["completed"],
        task_parameters={"General/x": 5, "General/of": "${task.id}"},
    )
    scheduler.add_model_trigger(
        schedule_task_id=template_id,
        schedule_queue="not served",
        name="after a model",
        trigger_project="flows/watched",
        trigger_on_publish=True,
        task_parameters={"General/of": "${model.id}"},
    )
    scheduler.add_dataset_trigger(
        schedule_task_id=template_id,
        schedule_queue="not served",
        name="after a data set",
        trigger_project="flows/watched",
        trigger_on_publish=True,
        task_parameters={"General/of": "${dataset.id}"},
    )
    names = {trigger.name for trigger in scheduler.get_triggers()}
    assert names == {"after a task", "after a model", "after a data set"}, names
    start(scheduler)
    time.sleep(1.5)  # it watches for what changes from its first look on
    assert Task.query_tasks(task_filter={"parent": template_id}) == []
    model.publish()
    data.publish()
    watched.mark_started(force=True)
    watched.mark_completed()
    ran = until_there({"status": ["completed"], "tags": ["after a task"]})
    assert ran.get_parameters()["General/of"] == watched.id
    for tag, cause in (("after a model", model), ("after a data set", data)):
        made = until_there({"status": ["queued"], "tags": [tag]})
        assert made.get_parameters()["General/of"] == cause.id

assert ran.get_parameters()["General/x"] == "5", ran.get_parameters()
assert ran.get_last_scalar_metrics()["objective"]["value"]["last"] == 5.0
print("OK", ran.id)
