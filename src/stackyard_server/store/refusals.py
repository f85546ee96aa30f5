"""What the store refuses, and what of. Whoever asked turns it into an answer: ``calls.refusals``."""

from __future__ import annotations


class Refusal(Exception):
    """Something that is not done; nothing was written for it."""


class BadPattern(Refusal, ValueError):
    """A regular expression that is malformed, too long, or that cannot run in linear time; the message says which."""


class ReadEnded(Refusal):
    """A read was ended before it was done: it took too long, its client went, or the server stops."""


class AnswerTooLarge(Refusal):
    """What was asked for has more bytes than one answer may have."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class DocumentTooLarge(Refusal):
    """With what is to be written a document would have more bytes, or more values, than one may have."""

    def __init__(self, most_bytes: int, most_values: int) -> None:
        super().__init__(most_bytes, most_values)
        self.most_bytes, self.most_values = most_bytes, most_values


class UnknownProject(Refusal):
    """No project has that id."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


class ProjectExists(Refusal):
    """Another project has that whole name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class ProjectTooDeep(Refusal):
    """A project's name would have more than so many parts."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class UnknownQueue(Refusal):
    """No queue of the company has that id."""

    def __init__(self, id: str, company: str) -> None:
        super().__init__(id)
        self.id, self.company = id, company


class QueueNameTaken(Refusal):
    """Another queue has that name."""


class QueueNameTooShort(Refusal):
    """A queue's name has too few characters."""


class AlreadyQueued(Refusal):
    """The task waits in a queue already."""

    def __init__(self, task: str) -> None:
        super().__init__(task)
        self.task = task


class NotQueued(Refusal):
    """The task does not wait in that queue of the company."""

    def __init__(self, task: str, queue: str, company: str) -> None:
        super().__init__(task)
        self.task, self.queue, self.company = task, queue, company
