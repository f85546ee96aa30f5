"""A scenario of two stacks whose workload does what its parameters say."""

from __future__ import annotations

from typing import Any

ENTRY = "work_for_tests:work"


def scenario(yard: Any, do: str = "nothing", top: str = "", more: str = "", parameters: str = "") -> str:
    return f"""
name = "test"
repeats = 2
seed = 5
{top}
[axes]
stack = ["old", "new"]
[workloads.w]
workload = "{ENTRY}"
parameters = {{ do = "{do}", log = "{yard.log}"{parameters} }}
{more}
"""
