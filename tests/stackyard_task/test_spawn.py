"""The child's environment: what it inherits, what a task adds, and what a task cannot take away."""

from __future__ import annotations

import os
from pathlib import Path

import stackyard_task
from stackyard_task import spawn

CODE = str(Path(stackyard_task.__file__).resolve().parent.parent)


def test_python_path_is_joined_never_replaced() -> None:
    inherited = {"PYTHONPATH": os.pathsep.join(["/inherited", CODE])}
    variables = spawn.child_variables(inherited, {"PYTHONPATH": "/the/tasks"}, threads=1)
    assert variables["PYTHONPATH"].split(os.pathsep) == [CODE, "/inherited", "/the/tasks"]
    assert spawn.child_variables({}, {}, threads=1)["PYTHONPATH"] == CODE


def test_threads_are_told_and_a_task_may_say_otherwise() -> None:
    variables = spawn.child_variables({"OMP_NUM_THREADS": "64"}, {"MKL_NUM_THREADS": "3"}, threads=2)
    assert (variables["OMP_NUM_THREADS"], variables["MKL_NUM_THREADS"]) == ("2", "3")
