"""What the store refuses, as the errors that ClearML's clients know: the one place where either becomes the other.

``dispatch`` and ``bulk`` translate. Below them a docstring names the error that a client gets in the end ("ApiError:
400/701"), whether its own function or the store finds the fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..protocol.error_table import ApiError, error
from ..store.refusals import (
    AlreadyQueued,
    AnswerTooLarge,
    BadPattern,
    DocumentTooLarge,
    NotQueued,
    ProjectExists,
    ProjectTooDeep,
    QueueNameTaken,
    QueueNameTooShort,
    ReadEnded,
    Refusal,
    UnknownProject,
    UnknownQueue,
)


@contextmanager
def told() -> Iterator[None]:
    """Inside, what the store refuses is raised as an answer.

    Raises:
        ApiError: In place of a ``Refusal``.
    """
    try:
        yield
    except Refusal as refusal:
        raise api_error(refusal) from refusal


def api_error(refusal: Refusal) -> ApiError:
    """The answer that says what was refused."""
    match refusal:
        case ReadEnded():
            return error("read_ended")
        case AnswerTooLarge():
            return error("answer_too_large", bytes=refusal.most)
        case DocumentTooLarge():
            return error("document_too_large", bytes=refusal.most_bytes, values=refusal.most_values)
        case BadPattern():
            return error("bad_regex", err=refusal, extra_info=None)
        case UnknownProject():
            return error("invalid_project_id", id=refusal.id)
        case ProjectExists():
            return error("project_exists", name=refusal.name)
        case ProjectTooDeep():
            return error("project_depth", max_depth=refusal.most)
        case UnknownQueue():
            return error("invalid_queue_id", id=refusal.id, company=refusal.company)
        case QueueNameTaken():
            return error(
                "duplicate",
                "unique field already contains this value",
                err="Tried to save duplicate unique keys (E11000 Duplicate Key Error)",
            )
        case QueueNameTooShort():
            return error("data_validation", name="String value is too short")
        case AlreadyQueued():
            return error("already_queued", task=refusal.task)
        case NotQueued():
            return error("not_in_queue", task=refusal.task, id=refusal.queue, company=refusal.company)
    raise refusal
