"""Output and input models: registered, uploaded, tagged, found, published, used."""

from pathlib import Path

from clearml import InputModel, Model, OutputModel, Task

task = Task.init(
    project_name="flows/models", task_name="makes a model", output_uri=True, auto_resource_monitoring=False
)
weights = Path("weights.bin")
weights.write_bytes(b"weights" * 100)
model = OutputModel(task=task, name="net", framework="PyTorch", tags=["first"], label_enumeration={"cat": 1})
uri = model.update_weights(weights_filename=str(weights), auto_delete_file=False)
model.set_metadata("size", "700", "int")
model.report_scalar("quality", "F1", 0.9, 1)
task.flush(wait_for_uploads=True)
model.publish()
task.close()

found = Model.query_models(project_name="flows/models", model_name="net", tags=["first"], only_published=True)
assert [m.id for m in found] == [model.id]
assert found[0].get_metadata("size") == "700"
assert Path(found[0].get_local_copy()).read_bytes() == weights.read_bytes()
assert found[0].labels == {"cat": 1}

user = Task.init(
    project_name="flows/models",
    task_name="uses a model",
    reuse_last_task_id=False,
    auto_resource_monitoring=False,
)
taken = InputModel(model_id=model.id)
user.connect(taken)
user.close()
assert [m.id for m in Task.get_task(task_id=user.id).models["input"]] == [model.id]
assert Task.get_task(task_id=task.id).models["output"][-1].id == model.id
print("OK", model.id)
