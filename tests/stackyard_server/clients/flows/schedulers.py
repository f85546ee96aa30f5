"""Both schedulers: by time and by trigger, each making a task in a queue."""

import sys
import time

from clearml import Task
from clearml.automation import TaskScheduler, TriggerScheduler

template = Task.create(project_name="flows/schedule", task_name="template", task_type="training")


def waiting():
    return Task.query_tasks(
        project_name="flows/schedule", task_name=sys.argv[1], task_filter={"status": ["queued"]}
    )


if sys.argv[1] == "by time":
    scheduler = TaskScheduler(sync_frequency_minutes=0.02)
    scheduler.add_task(
        schedule_task_id=template.id,
        queue="scheduled",
        name="by time",
        minute=1,
        recurring=True,
        execute_immediately=True,
    )
    assert [t.name for t in scheduler.get_scheduled_tasks()] == ["by time"]
    scheduler._Scheduler__step() if hasattr(scheduler, "_Scheduler__step") else scheduler._step()
else:
    scheduler = TriggerScheduler(pooling_frequency_minutes=0.02)
    scheduler.add_task_trigger(
        schedule_task_id=template.id,
        schedule_queue="scheduled",
        name="by trigger",
        trigger_project="flows/watched",
        trigger_on_status=["completed"],
    )
    scheduler._step()
    watched = Task.create(project_name="flows/watched", task_name="watched", task_type="training")
    watched.mark_started(force=True)
    watched.mark_completed()
    scheduler._step()
for _ in range(50):
    if waiting():
        break
    scheduler._step()
    time.sleep(0.2)
assert waiting(), "nothing was scheduled"
print("OK")
