"""A task with parameters, configuration, every kind of report, artifacts; read back by another handle."""

import json
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
task.set_comment("a comment")
task.set_base_docker("python:3.11-slim", docker_arguments="--network host")
task.set_progress(50)
logger = task.get_logger()
for i in range(30):
    logger.report_scalar("loss", "train", 1.0 / (i + 1), i)
logger.report_single_value("F1", 0.93)
logger.report_text("a line of text")
print("a line of stdout")
logger.report_histogram("weights", "layer", np.arange(10), iteration=1)
logger.report_table("table", "pairs", iteration=1, table_plot=[["a", "b"], [1, 2]])
logger.report_scatter2d("scatter", "points", [[0, 1], [2, 3]], iteration=1)
logger.report_scatter3d("scatter 3d", "points", [[0, 1, 2], [2, 3, 4]], iteration=1)
logger.report_surface("surface", "s", np.eye(3), iteration=1)
logger.report_confusion_matrix("confusion", "all", np.eye(3), iteration=1)
logger.report_plotly("plotly", "bars", {"data": [{"type": "bar", "y": [3, 1]}], "layout": {}}, iteration=1)
for i in range(3):
    logger.report_image("images", "grey", iteration=i, image=np.full((8, 8, 3), i, dtype=np.uint8))
Path("page.html").write_text("<h1>a page</h1>")
logger.report_media("media", "page", iteration=1, local_path="page.html")
task.upload_artifact("numbers", {"answer": 42}, wait_on_upload=True)
task.upload_artifact("array", np.arange(5), wait_on_upload=True)
task.upload_artifact("file", "page.html", wait_on_upload=True)
task.flush(wait_for_uploads=True)
task.close()

again = Task.get_task(task_id=task.id)
assert again.status == "completed", again.status
assert again.get_parameters()["Model/rate"] == "0.1"
assert again.get_parameters()["Model/name.with/dots"] == "x"
assert again.get_parameters(cast=True)["Model/layers"] == [1, 2]
assert again.get_configuration_object_as_dict("plan") == {"a": {"b": 1}}
assert again.get_user_properties(value_only=True) == {"owner": "ada"}
assert sorted(again.get_tags()) == ["one", "two"]
assert again.comment == "a comment"
assert again.get_base_docker() == "python:3.11-slim --network host", again.get_base_docker()
assert again.get_progress() in (50, 100), again.get_progress()
assert again.get_last_iteration() == 29, again.get_last_iteration()
assert again.get_last_scalar_metrics()["loss"]["train"]["min"] < 0.04
assert again.get_reported_scalars()["loss"]["train"]["x"] == list(range(30))
assert len(again.get_all_reported_scalars()["loss"]["train"]["y"]) == 30
assert abs(again.get_reported_single_value("F1") - 0.93) < 1e-6
# one report is what the SDK had when it sent: it may end before its line's break
console = "\n".join(again.get_reported_console_output(number_of_reports=20))
assert {"a line of text", "a line of stdout"} <= set(console.splitlines()), console
plots = again.get_reported_plots()
assert {p["metric"] for p in plots} == {
    "weights",
    "table",
    "scatter",
    "scatter 3d",
    "surface",
    "confusion",
    "plotly",
}, [p["metric"] for p in plots]
assert all(json.loads(p["plot_str"])["data"] for p in plots)
samples = again.get_debug_samples("images", "grey")
assert sorted(s["iter"] for s in samples) == [0, 1, 2], samples
assert again.get_debug_samples("media", "page")
assert again.artifacts["numbers"].get() == {"answer": 42}
assert Path(again.artifacts["file"].get_local_copy()).read_text() == "<h1>a page</h1>"
# NumPy files may hold pickles: the generated configuration lets them be fetched, not loaded.
assert Path(again.artifacts["array"].get_local_copy()).stat().st_size > 100
assert again.data.script.diff.startswith('"""A task with parameters'), "the script is recorded"
assert again.data.script.requirements["pip"], "what it imports is recorded"
print("OK", task.id)
