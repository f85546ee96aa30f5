"""A task recorded without a server, brought in afterwards."""

import sys

from clearml import Task

if sys.argv[1] == "record":
    Task.set_offline(offline_mode=True)
    task = Task.init(project_name="flows/offline", task_name="recorded", auto_resource_monitoring=False)
    task.connect({"depth": 3})
    for i in range(5):
        task.get_logger().report_scalar("loss", "train", 5.0 - i, i)
    task.get_logger().report_single_value("score", 7.0)
    task.close()
    print("SESSION", task.get_offline_mode_folder())
else:
    id = Task.import_offline_session(sys.argv[2])
    brought = Task.get_task(task_id=id)
    assert brought.get_parameters()["General/depth"] == "3", brought.get_parameters()
    assert brought.get_reported_scalars()["loss"]["train"]["y"] == [5.0, 4.0, 3.0, 2.0, 1.0]
    print("OK", id)
