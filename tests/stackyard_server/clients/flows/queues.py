"""Tasks in a queue: put in, moved, counted, taken out."""

from clearml import Task
from clearml.backend_api.session.client import APIClient

client = APIClient()
queue = client.queues.create(name="flows queue")
first, second = (
    Task.create(project_name="flows/queues", task_name=name, task_type="testing")
    for name in ("first", "second")
)
for task in (first, second):
    Task.enqueue(task, queue_name="flows queue")
assert first.get_status() == "queued"


def waiting():
    return [e.task for e in client.queues.get_by_id(queue=queue.id).entries]


assert waiting() == [first.id, second.id], waiting()
assert client.queues.get_num_entries(queue=queue.id).num == 2
client.queues.move_task_to_front(queue=queue.id, task=second.id)
assert waiting() == [second.id, first.id], waiting()
Task.dequeue(second)
assert second.get_status() == "created"
assert waiting() == [first.id]
assert client.queues.get_next_task(queue=queue.id).entry.task == first.id
assert waiting() == []
refused = ""
try:
    Task.enqueue(second, queue_name="no such queue")
except ValueError as fault:
    refused = str(fault)
assert "no such queue" in refused
print("OK", queue.id)
