"""Every error the API answers, as data: code, subcode and the sentence. Nothing else lives here.

A message is ``Text (extra): key=value, key=(a, b)``, ClearML's form; clients show it and some read the codes.
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """What an endpoint raises to answer with an error; the transaction is rolled back."""

    def __init__(self, code: int, subcode: int, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.subcode = subcode
        self.message = message
        #: Response headers that go with the refusal, e.g. Retry-After.
        self.headers: list[tuple[str, str]] = []
        #: What the message names, as data; shown by the answers that hold one error per id.
        self.details = details or {}


#: name -> (code, subcode, text)
ERRORS: dict[str, tuple[int, int, str]] = {
    "bad_request": (400, 0, "The browser (or proxy) sent a request that this server could not understand."),
    "bad_path": (400, 0, "Invalid request path"),
    "retired": (301, 1, "This endpoint is no longer supported for the requested api version"),
    "impersonation": (400, 6, "Impersonation error"),
    "missing_field": (400, 11, "Missing required fields"),
    "validation": (400, 12, "Validation error"),
    "read_ended": (400, 12, "The read took too long and was ended: ask for less, or with fewer conditions"),
    "answer_too_large": (
        400,
        12,
        "The answer would be too large: ask for fewer (page_size, batch_size), or for less of each (only_fields)",
    ),
    "document_too_large": (400, 12, "It would have more in all than a document may have: keep less in it"),
    "lookup": (400, 14, "Lookup error (probably an invalid field name or unsupported nested field)"),
    "reference": (400, 16, "Invalid value for fields"),
    "empty_batch": (400, 17, "Batch request contains no items"),
    "bad_regex": (400, 21, "Malformed regular expression"),
    "fields_not_allowed": (400, 13, "Fields not allowed"),
    "invalid_task_id": (400, 101, "Invalid task id"),
    "invalid_task_status": (400, 110, "Invalid task status"),
    "task_changed": (400, 121, "Task status changed meanwhile"),
    "task_undeletable": (400, 123, "Task cannot be deleted"),
    "events_not_added": (400, 131, "Events not added"),
    "invalid_model_id": (400, 201, "Invalid model id"),
    "model_ready": (400, 203, "Model is ready"),
    "model_used": (400, 205, "Model is used by tasks"),
    "model_of_published": (400, 206, "Model was made by a published task"),
    "last_run": (400, 160, "At least one run of a pipeline must be left"),
    "invalid_user": (400, 300, "Invalid user"),
    "invalid_user_id": (400, 301, "Invalid user id"),
    "invalid_project_id": (400, 401, "Invalid project id"),
    "project_has_tasks": (400, 402, "Project has associated tasks"),
    "project_has_models": (400, 405, "Project has associated models"),
    "project_has_datasets": (400, 406, "Project has associated data sets"),
    "project_has_pipelines": (400, 413, "Project has associated pipelines"),
    "project_inside_itself": (400, 410, "Project cannot be moved or merged into itself or below itself"),
    "invalid_project_name": (400, 407, "Invalid project name"),
    "project_location": (400, 408, "Cannot update project location. use projects.move instead"),
    "project_depth": (400, 409, "Project path exceed the maximum allowed depth"),
    "invalid_queue_id": (400, 701, "Invalid queue id"),
    "queue_not_empty": (400, 702, "Queue is not empty"),
    "not_in_queue": (400, 703, "Invalid queue id or task not in queue"),
    "already_queued": (400, 706, "Failed adding task to queue since task is already queued"),
    "data_validation": (400, 800, "Data validation error"),
    "project_exists": (400, 801, "Project with the same name already exists"),
    "duplicate": (400, 801, "Value combination already exists"),
    "no_worker_stats": (400, 1005, "No data found for the requested workers"),
    "invalid_scroll_id": (400, 1104, "Invalid scroll id"),
    "auth_type": (401, 10, "Unauthorized (bad authentication header type)"),
    "no_credentials": (401, 20, "Unauthorized (missing credentials)"),
    "malformed_credentials": (401, 21, "Unauthorized (malformed credentials)"),
    "wrong_credentials": (401, 22, "Unauthorized (invalid credentials)"),
    "invalid_token": (401, 30, "Invalid token"),
    "cross_site": (403, 0, "Forbidden (request from another site)"),
    "role_not_allowed": (403, 20, "Forbidden (not allowed for role)"),
    "not_your_task": (403, 20, "Forbidden (only the user whose agent took the task, or an administrator)"),
    "unknown_endpoint": (404, 0, "Unable to find endpoint"),
    "method_not_allowed": (405, 0, "Method not allowed"),
    "too_large": (413, 0, "Request is too large"),
    "encoded_body": (415, 0, "Content encoding is not supported"),
    "too_many": (429, 0, "Too many attempts"),
    "disk_full": (507, 0, "No space left"),
    "internal": (500, 0, "Internal error"),
    "stopping": (503, 0, "The server is stopping"),
}


def shown(value: Any) -> str:
    """A value as ClearML's messages print it: a list as ``(a, b)``."""
    if isinstance(value, (list, tuple, set)):
        return f"({', '.join(map(str, value))})"
    return str(value)


def error(name: str, extra: str = "", /, **details: Any) -> ApiError:
    """The error of that name.

    Args:
        name: A row of ``ERRORS``.
        extra: What stands in brackets behind the text.
        details: What stands behind the colon, in this order.
    """
    code, subcode, text = ERRORS[name]
    if extra:
        text = f"{text} ({extra})"
    if details:
        text = f"{text}: {', '.join(f'{key}={shown(value)}' for key, value in details.items())}"
    return ApiError(code, subcode, text, details)


def field_error(field: str, why: str) -> ApiError:
    """400/12 for one field of a request."""
    return error("validation", f"error for field '{field}'{why}")
