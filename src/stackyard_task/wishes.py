"""The shapes around the environment of an ordinary task: what it wishes, what is settled here, which Python it gets.

Plain data; both sides of the seam import this module. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional

from stackyard_task.records import StackPin

#: Names a JSON file of ``Settled``: how this agent's ordinary tasks are run.
SETTLED_VARIABLE = "STACKYARD_TASKS_FILE"


@dataclass
class Settled:
    """How the tasks of one agent are run."""

    #: Our side's Python, which chooses.
    python: str
    queue: Optional[str] = None
    #: "stack", or "agent": the environment that the agent itself made.
    environment: str = "stack"
    default_stack: Optional[str] = None
    #: Names of the stacks that the queue serves; ``None``: all.
    stacks: Optional[List[str]] = None
    #: Whether there is a GPU to run on.
    gpu: bool = False
    #: Where run folders are kept until they are delivered.
    runs: Optional[str] = None
    #: What of the operator's environment our side needs to make environments: its home, pip's configuration.
    variables: Dict[str, str] = field(default_factory=dict)


@dataclass
class Wish:
    """What an ordinary task says of the environment that it wants."""

    #: Lines of requirements; ``None``: none anywhere.
    requirements: Optional[str] = None
    #: Where they stand, for sentences.
    requirements_from: str = "the task's requirements"
    stack: Optional[str] = None
    #: Where the stack is named: "Run/stack", "the user property stack".
    stack_from: str = ""
    #: "3.11"; ``None``: any.
    python: Optional[str] = None


@dataclass
class Choice:
    """The Python to run a task with, and why."""

    python: str
    stack: Optional[StackPin] = None
    #: Variables that the stack sets.
    variables: Dict[str, str] = field(default_factory=dict)
    #: What the environment has of the packages that the task lists: name -> version. Other loaded ones are a fault.
    pins: Dict[str, str] = field(default_factory=dict)
    #: Sentences: what was chosen and why, what is other than was asked for.
    said: List[str] = field(default_factory=list)
    #: Whether it was known before.
    known: bool = False
