"""The fields of requests that are known and change nothing, and why each cannot. ``docs/clearml-api.md`` shows them.

None of them narrows what is found or taken away: such a field is obeyed, or the call is refused.
"""

from __future__ import annotations

AVATARS = "no page of ours shows pictures of people"
DATASETS = "hyper-datasets belong to the paid edition"
ONE_COMPANY = "there is one company"
ONE_LOGIN = "nobody signs in elsewhere: there is no single sign-on"
FRESH = "every answer is read anew"
OPEN = "the contents of an open task may be changed without it"
ALWAYS_CHECKED = "what a request names is always checked"
GONE = "nothing is left to say it of"
NO_TRASH = "no call reads what was put into the trash"
ONE_QUEUE = "a task waits in one queue at most"
NOT_ALLOWED = "nobody may make this call: the people who work here are added by the command line"
RETIRED = "the endpoint is retired, and says so"

#: endpoint -> field -> why it changes nothing
IGNORED: dict[str, dict[str, str]] = {
    "auth.create_user": {"avatar": AVATARS, "company": ONE_COMPANY},
    "auth.get_token_for_user": dict.fromkeys(("company", "expiration_sec", "user"), NOT_ALLOWED),
    "events.get_debug_image_sample": {"refresh": FRESH},
    "events.get_multi_task_plots": {
        "last_iters_per_task_metric": "the newest iterations are those of each task, metric and variant anyway"
    },
    "events.get_plot_sample": {"refresh": FRESH},
    "events.get_task_plots": {"no_scroll": "a scroll id is answered only where there is more"},
    "login.logout": {"redirect_url": ONE_LOGIN},
    "login.supported_modes": {"callback_url_prefix": ONE_LOGIN, "state": ONE_LOGIN},
    "models.create": {
        "_public": "the web app means public, and sends both",
        "id": "the server names what it makes",
    },
    "models.get_by_task_id": {"task": RETIRED},
    "models.update": {"created": "a model was made when it was made"},
    "models.update_for_task": dict.fromkeys(
        ("comment", "iteration", "name", "override_model_id", "system_tags", "tags", "task", "uri"), RETIRED
    ),
    "organization.get_entities_count": {
        "dataviews": DATASETS,
        "limit": "counts are exact, whatever their size",
    },
    "organization.prepare_download_for_get_all": {
        "download_type": "CSV is the only kind, and others are refused",
        "only_fields": "the columns are those of `field_mappings`",
    },
    "projects.get_all_ex": {"permission_roots_only": "projects have no permissions of their own"},
    "queues.get_all_ex": {
        "allow_pool_queues": "pools of resources belong to the paid edition",
        "count_task_entries": "the entries themselves are answered",
        "only_fields": "everything is answered",
    },
    "queues.get_queue_metrics": {"refresh": "every change is noted when it happens"},
    "reports.create": {"projectName": "the web app makes the project itself, and sends its id as `project`"},
    "reports.unarchive": dict.fromkeys(("comment", "message"), "the status message stays what it was"),
    "server.report_stats_option": {"enabled": "nothing is reported to anybody"},
    "serving.container_status_report": {"machine_stats": "no page and no call of ours shows it"},
    "tasks.add_or_update_artifacts": {"force": OPEN},
    "tasks.add_or_update_model": {"force": OPEN},
    "tasks.create": {"input": DATASETS},
    "tasks.edit": {"input": DATASETS},
    "tasks.validate": {"input": DATASETS},
    "tasks.clone": {"validate_references": ALWAYS_CHECKED},
    "tasks.delete": {"move_to_trash": NO_TRASH, "status_message": GONE, "status_reason": GONE},
    "tasks.delete_artifacts": {"force": OPEN},
    "tasks.delete_many": {"move_to_trash": NO_TRASH},
    "tasks.delete_models": {"force": OPEN},
    "tasks.dequeue": {"remove_from_all_queues": ONE_QUEUE},
    "tasks.dequeue_many": {"remove_from_all_queues": ONE_QUEUE},
    "tasks.edit_runtime": {"force": OPEN},
    "tasks.enqueue_many": {"validate_tasks": ALWAYS_CHECKED},
    "tasks.set_requirements": {"force": "requirements may be changed in any status"},
    "tasks.update": {"created": "a task was made when it was made"},
    "users.create": {"avatar": AVATARS, "company": ONE_COMPANY},
    "users.get_current_user": {"get_supported_features": "all features are the basic ones"},
    "users.update": {"avatar": AVATARS},
    "workers.status_report": {
        "is_daemon": "agents are told apart by their names",
        "timestamp": "the server's clock counts",
    },
    "workers.unregister": {"queues": "a worker that leaves listens on none"},
}
