"""A task with parameters, configuration, every kind of report, artifacts; read back by another handle."""

from pathlib import Path

import numpy as np
from clearml import Task

task = Task.init(
    project_name="flows/basics", task_name="everything", output_uri=True, auto_resource_monitoring=False
)
parameters = task.connect({"rate": 0.1, "layers": [1, 2], "name.with/dots": "x"}, name="Model")
task.connect_configuration({"a": {"b": 1}}, name="plan")
task.set_user_properties(owner="ada")
task.add_tags(["one", "two"])
logger = task.get_logger()
for i in range(30):
    logger.report_scalar("loss", "train", 1.0 / (i + 1), i)
logger.report_single_value("F1", 0.93)
logger.report_text("a line of text")
logger.report_histogram("weights", "layer", np.arange(10), iteration=1)
logger.report_table("table", "pairs", iteration=1, table_plot=[["a", "b"], [1, 2]])
logger.report_scatter2d("scatter", "points", [[0, 1], [2, 3]], iteration=1)
logger.report_confusion_matrix("confusion", "all", np.eye(3), iteration=1)
logger.report_image("images", "grey", iteration=1, image=np.zeros((8, 8, 3), dtype=np.uint8))
task.upload_artifact("numbers", {"answer": 42}, wait_on_upload=True)
task.upload_artifact("array", np.arange(5), wait_on_upload=True)
task.flush(wait_for_uploads=True)
task.close()

again = Task.get_task(task_id=task.id)
assert again.status == "completed", again.status
assert again.get_parameters()["Model/rate"] == "0.1"
assert again.get_parameters()["Model/name.with/dots"] == "x"
assert again.get_configuration_object_as_dict("plan") == {"a": {"b": 1}}
assert again.get_user_properties(value_only=True) == {"owner": "ada"}
assert sorted(again.get_tags()) == ["one", "two"]
assert again.get_last_scalar_metrics()["loss"]["train"]["min"] < 0.04
assert again.get_reported_scalars()["loss"]["train"]["x"] == list(range(30))
assert abs(again.get_reported_single_value("F1") - 0.93) < 1e-6
assert any("a line of text" in line for line in again.get_reported_console_output(number_of_reports=20))
assert {p["metric"] for p in again.get_reported_plots()} >= {"weights", "table", "scatter", "confusion"}
assert again.get_debug_samples("images", "grey")
assert again.artifacts["numbers"].get() == {"answer": 42}
# NumPy files may hold pickles: the generated configuration lets them be fetched, not loaded.
assert Path(again.artifacts["array"].get_local_copy()).stat().st_size > 100
assert Task.get_tasks(project_name="flows/basics", task_name="^everything$", tags=["one"])[0].id == task.id
copy = Task.clone(source_task=task.id, name="the copy")
copy.set_parameter("Model/rate", 0.5)
assert Task.get_task(task_id=copy.id).get_parameters()["Model/rate"] == "0.5"
assert copy.delete()
again.mark_stopped(force=True)
again.reset(force=True)
assert Task.get_task(task_id=task.id).status == "created"
print("OK", task.id)
