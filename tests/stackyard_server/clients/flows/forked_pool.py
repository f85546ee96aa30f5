"""A script whose work is done by a pool of processes, each of which reports."""

import multiprocessing
import sys

from clearml import Task

COUNT = 24


def work(number: int) -> int:
    print(f"line {number:03d}")
    Task.current_task().get_logger().report_scalar("loss", "train", number * 0.5, iteration=number)
    assert Task.get_task(task_id=Task.current_task().id).name == sys.argv[1]
    return number


if __name__ == "__main__":
    task = Task.init(project_name="Forked", task_name=sys.argv[1], reuse_last_task_id=False)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert pool.map(work, range(COUNT), chunksize=1) == list(range(COUNT))
    for number in range(COUNT):
        task.set_parameter(f"General/step_{number}", number)
    task.close()
    print("OK", task.id)
