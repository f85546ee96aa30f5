"""A small study file for tests, and what exists around it."""

from __future__ import annotations

from stackyard.scenarios import Known
from stackyard.tuning import reading
from stackyard.tuning.study import Study

TEXT = """
name = "small"
[axes]
stack = ["none"]
[workloads.w]
command = ["python3", "-c", "print({lr}, {batch})"]
parameters = { epochs = 3 }
[space]
lr = { low = 0.001, high = 1.0, log = true }
batch = [30, 300, 3000]
[objectives]
accuracy = "maximise"
[limits]
max_ram = "400 MB"
[budget]
trials = 9
[search]
sampler = "random"
"""

KNOWN = Known(stacks=["new"], default_stack="new", deployments=["bare", "agent"], default_deployment="bare")


def study(text: str = TEXT) -> Study:
    """The study of a text."""
    return reading.read(text.replace("parameters = { epochs = 3 }\n", ""), "s.toml", KNOWN)
