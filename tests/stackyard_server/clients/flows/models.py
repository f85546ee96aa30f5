"""Output and input models: registered, uploaded, tagged, published; then found and used by another task."""

import sys
from pathlib import Path

from clearml import InputModel, Model, OutputModel, Task

if sys.argv[1] == "make":
    task = Task.init(
        project_name="flows/models",
        task_name="makes a model",
        output_uri=True,
        auto_resource_monitoring=False,
    )
    weights = Path("weights.bin")
    weights.write_bytes(b"weights" * 100)
    model = OutputModel(
        task=task, name="net", framework="PyTorch", tags=["first"], label_enumeration={"cat": 1}
    )
    # before the weights: their upload, in a thread of the SDK, writes back the design it began with
    model.update_design(config_dict={"layers": 2})
    model.update_weights(weights_filename=str(weights), auto_delete_file=False)
    model.set_metadata("size", "700", "int")
    model.report_scalar("quality", "F1", 0.9, 1)
    task.flush(wait_for_uploads=True)
    task.close()
else:
    (model,) = Model.query_models(project_name="flows/models", model_name="net", tags=["first"])
    assert Model.query_models(project_name="flows/models", model_name="net", only_published=True) == []
    model.publish()
    assert Model(model.id).published
    (found,) = Model.query_models(project_name="flows/models", model_name="net", only_published=True)
    assert found.id == model.id
    assert found.get_metadata("size") == "700"
    assert found.get_all_metadata()["size"]["type"] == "int"
    assert Path(found.get_local_copy()).read_bytes() == b"weights" * 100
    assert found.labels == {"cat": 1}
    assert found.config_dict == {"layers": 2}, found.config_dict

    user = Task.init(project_name="flows/models", task_name="uses a model", auto_resource_monitoring=False)
    user.connect(InputModel(model_id=model.id))
    user.flush(wait_for_uploads=True)
    assert [m.id for m in Task.get_task(task_id=user.id).models["input"]] == [model.id]
    (maker,) = Task.get_tasks(project_name="flows/models", task_name="makes a model")
    assert maker.models["output"][-1].id == model.id
    spare = OutputModel(task=user, name="spare net", framework="PyTorch")
    spare.update_weights(register_uri="https://example.invalid/spare.bin")
    assert [m.id for m in Model.query_models(model_name="spare net")] == [spare.id]
    spare.archive()
    assert Model.query_models(model_name="spare net") == []
    assert len(Model.query_models(model_name="spare net", include_archived=True)) == 1
    assert Model.remove(spare.id, delete_weights_file=False)
    assert Model.query_models(model_name="spare net", include_archived=True) == []
print("OK", model.id)
