"""The shapes around the environment of an ordinary task: what it wishes, what is settled here, which Python it gets.

Plain data; both sides of the seam import this module. Standard library only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Dict, List, Optional

from stackyard_task.records import StackPin

#: Names a JSON file of ``Settled``: how this agent's ordinary tasks are run.
SETTLED_VARIABLE = "STACKYARD_TASKS_FILE"
#: The folder, in a cache, of what was chosen for each wish.
CHOICES_FOLDER = "environments"
#: How ``Settled.environment`` says that the choice is made, and stands beside it.
GIVEN = "given"


@dataclass
class Repository:
    """Where the script of a task lies."""

    address: str
    #: The commit; else the head of a branch or a tag; else that of the repository.
    commit: str = ""
    branch: str = ""
    tag: str = ""
    #: The folder in it that the script is run from.
    folder: str = ""
    #: The task's uncommitted changes, as git writes them, where they may change what is read of it.
    changes: str = ""


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
    #: Where a file of requirements may lie that nobody has read yet; ``None``: nothing is to be read.
    repository: Optional[Repository] = None


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
    #: Id of the image that the Python is in; ``None``: it is on this host.
    image: Optional[str] = None


@dataclass
class Settled:
    """How the tasks of one agent are run."""

    #: Our side's Python, which chooses.
    python: str
    queue: Optional[str] = None
    #: "stack"; "agent": the environment that the agent itself made; GIVEN: as ``given`` says.
    environment: str = "stack"
    default_stack: Optional[str] = None
    #: Names of the stacks that the queue serves; ``None``: all.
    stacks: Optional[List[str]] = None
    #: Whether there is a GPU to run on.
    gpu: bool = False
    #: Where run folders are kept until they are delivered.
    runs: Optional[str] = None
    #: What of the operator's environment our side needs to make environments and to tune: its home, data, pip's own.
    variables: Dict[str, str] = field(default_factory=dict)
    #: Of a queue of containers: stack -> id of its image, of those that it allows; ``None``: tasks run on the host.
    images: Optional[Dict[str, str]] = None
    #: What was chosen before the container started.
    given: Optional[Choice] = None
    #: The socket of whoever watches the container from outside; ``None``: nobody does.
    witness: Optional[str] = None


def script_digest(repository: str, commit: str, diff: str, entry: str) -> str:
    """SHA-256 of what tells the code of an ordinary task from another's, as its document has it; "" is none."""
    said = "\0".join((repository, commit, diff, entry))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
