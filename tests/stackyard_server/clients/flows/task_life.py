"""A task found, copied, changed, failed, reset, archived, published and deleted by calls of the SDK."""

from clearml import Task

task = Task.init(project_name="flows/life", task_name="lives", auto_resource_monitoring=False, tags=["kept"])
task.connect({"rate": 0.1}, name="Model")
task.get_logger().report_scalar("loss", "train", 1.0, 3)
task.close()

# found
assert Task.get_task(project_name="flows/life", task_name="lives").id == task.id
assert Task.get_tasks(project_name="flows/life", task_name="^lives$", tags=["kept"])[0].id == task.id
assert Task.query_tasks(project_name="flows/life", tags=["kept"]) == [task.id]
assert Task.query_tasks(project_name="flows/life", tags=["-kept"]) == []
(row,) = Task.query_tasks(
    project_name="flows/life", additional_return_fields=["status", "last_iteration"], tags=["kept"]
)
assert (str(row["status"]), row["last_iteration"]) == ("completed", 3), row
assert "flows/life" in {p.name for p in Task.get_projects()}
assert Task.get_project_id("flows/life") == task.project

# copied
copy = Task.clone(source_task=task.id, name="the copy", comment="copied")
assert (copy.name, copy.status, copy.parent) == ("the copy", "created", task.id)
copy.set_parameter("Model/rate", 0.5)
copy.set_parameters_as_dict({"Model": {"rate": 0.6, "new": 1}})
copy.delete_parameter("Model/new")
assert Task.get_task(task_id=copy.id).get_parameters() == {"Model/rate": "0.6"}
copy.rename("renamed")
copy.move_to_project(new_project_name="flows/life/elsewhere")
moved = Task.get_task(task_id=copy.id)
assert (moved.name, moved.get_project_name()) == ("renamed", "flows/life/elsewhere")

# through its states
copy.mark_started()
assert copy.get_status() == "in_progress"
copy.mark_failed(status_reason="a reason", status_message="a message")
assert copy.get_status() == "failed"
assert Task.get_task(task_id=copy.id).data.status_reason == "a reason"
copy.reset(force=True)
assert copy.get_status() == "created"
copy.mark_started(force=True)
copy.mark_stopped(status_message="enough")
assert copy.get_status() == "stopped"
copy.set_archived(True)
assert Task.get_task(task_id=copy.id).get_archived()
assert Task.get_tasks(project_name="flows/life/elsewhere", task_filter={"system_tags": ["-archived"]}) == []
copy.set_archived(False)
copy.mark_completed(force=True, ignore_errors=False)
copy.publish()
assert Task.get_task(task_id=copy.id).status == "published"

# deleted, with what it reported
task.set_system_tags(["archived"])
assert task.delete(delete_artifacts_and_models=True)
assert Task.query_tasks(project_name="flows/life", tags=["kept"]) == []
print("OK", copy.id)
