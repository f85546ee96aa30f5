"""``tasks.*`` as clients see it: what a call changes, what it answers, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..running import Running, running_server
from .asking import Clock, create, queue, read, refusal, waiting

MINUTE = 60


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def server(clock: Clock) -> Iterator[Running]:
    with running_server(clock=clock) as running:
        yield running


# Drafts


def test_a_new_task_has_every_part_clients_read(server: Running) -> None:
    task = read(server, create(server))
    assert task["status"] == "created"
    assert task["execution"] == {
        "test_split": 0,
        "parameters": {},
        "model_desc": {},
        "model_labels": {},
        "artifacts": [],
    }
    assert task["script"] == {"binary": "python", "repository": "", "entry_point": "", "requirements": {}}
    for name in (
        "hyperparams",
        "configuration",
        "runtime",
        "container",
        "output",
        "last_metrics",
        "metric_stats",
    ):
        assert task[name] == {}
    assert task["models"] == {"input": [], "output": []}
    assert (task["last_iteration"], task["unique_metrics"], task["report_assets"]) == (0, [], [])
    assert task["created"].endswith("+00:00")
    assert "started" not in task


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        ({"name": "ab"}, (400, 800), "name=String value is too short"),
        ({"name": "  ab  "}, (400, 800), "name=String value is too short"),
        ({"type": "nonsense"}, (400, 12), "error for field 'type': value 'nonsense' is not a valid choice.."),
        ({"project": "nope"}, (400, 16), "(expecting Project id): id=nope, field=project"),
        ({"parent": "nope"}, (400, 16), "(expecting Task id): id=nope, field=parent"),
        ({"models": {"input": [{"name": "m", "model": "nope"}]}}, (400, 16), "expecting Model id"),
        ({"hyperparams": {"A": {"x": {"value": 5}}}}, (400, 12), 'expected type "str"\', 5)'),
        ({"runtime": [1]}, (400, 12), "error for field 'runtime': ('value is wrong, expected type \"dict\"'"),
    ],
)
def test_a_task_that_cannot_be_is_refused_with_field_and_value(
    server: Running, sent: dict[str, Any], code: tuple[int, int], words: str
) -> None:
    for call in ("tasks.create", "tasks.validate"):
        *codes, message = refusal(server, call, **{"name": "a task", "type": "training", **sent})
        assert tuple(codes) == code
        assert words in message


def test_what_is_nested_too_deep_to_be_shown_is_refused(server: Running) -> None:
    id, deep = create(server), {}
    for _ in range(200):
        deep = {"a": deep}
    for call in ("tasks.edit", "tasks.edit_runtime"):
        code, subcode, message = refusal(server, call, task=id, runtime=deep)
        assert (code, subcode) == (400, 12)
        assert "nested" in message
    assert read(server, id)["runtime"] == {}


def test_a_client_that_knows_no_container_reads_a_docker_command(server: Running) -> None:
    id = create(server, container={"image": "python:3.11", "arguments": "--network host"})
    old = server.call("v2.5/tasks.get_by_id", task=id)["task"]
    assert old["execution"]["docker_cmd"] == "python:3.11 --network host"
    assert "docker_cmd" not in read(server, id)["execution"]


# Edits


def test_an_edit_merges_the_script_and_replaces_the_rest(server: Running) -> None:
    id = create(
        server,
        script={"repository": "r", "branch": "main"},
        container={"image": "i", "arguments": "-e A=1"},
        tags=["a", "b"],
    )
    answer = server.call(
        "tasks.edit", task=id, script={"branch": "dev"}, container={"image": "other"}, tags=["only"]
    )
    assert answer["updated"] == 1
    assert answer["fields"]["script"]["repository"] == "r"
    task = read(server, id)
    assert task["script"]["branch"] == "dev"
    assert task["container"] == {"image": "other"}
    assert task["tags"] == ["only"]


def test_an_empty_project_takes_the_task_out_of_it(server: Running) -> None:
    project = server.call("projects.create", name="edits of place")["id"]
    id = create(server, project=project)
    assert refusal(server, "tasks.edit", task=id, project="nope")[:2] == (400, 16)
    assert refusal(server, "tasks.update", task=id, project="nope")[:2] == (400, 16)
    assert read(server, id)["project"] == project
    server.call("tasks.edit", task=id, project="")
    assert "project" not in read(server, id)


def test_a_label_is_no_sign_of_life_but_content_is(server: Running, clock: Clock) -> None:
    id = create(server)
    before = read(server, id)
    clock.seconds += 5
    answer = server.call("tasks.edit", task=id, name="another name", comment="c")
    assert set(answer["fields"]) == {"name", "comment", "last_change", "last_changed_by"}
    labelled = read(server, id)
    assert labelled["last_update"] == before["last_update"]
    assert labelled["last_change"] > before["last_change"]
    server.call("tasks.edit", task=id, runtime={"a": 1})
    assert read(server, id)["last_update"] > before["last_update"]


def test_only_a_draft_is_edited_unless_forced_and_a_status_is_set_as_sent(server: Running) -> None:
    id = create(server)
    server.call("tasks.started", task=id)
    assert refusal(server, "tasks.edit", task=id, name="new name") == (
        400,
        110,
        "Invalid task status: expected=created, status=in_progress",
    )
    server.call("tasks.edit", task=id, name="new name", status="completed", force=True)
    task = read(server, id)
    assert (task["name"], task["status"]) == ("new name", "completed")


def test_user_properties_are_open_in_any_status_other_parameters_are_not(server: Running) -> None:
    id = create(server)
    server.call("tasks.started", task=id)
    server.call("tasks.completed", task=id)
    note = {"section": "properties", "name": "owner", "value": "me"}
    server.call("tasks.edit_hyper_params", task=id, hyperparams=[note])
    other = {"section": "Args", "name": "lr", "value": "1"}
    assert refusal(server, "tasks.edit_hyper_params", task=id, hyperparams=[note, other])[:2] == (400, 110)
    assert read(server, id)["hyperparams"] == {"properties": {"owner": note}}


@pytest.mark.promise("whole-or-not-at-all")
def test_a_batch_of_updates_is_taken_whole_or_not_at_all(server: Running) -> None:
    first, second = create(server), create(server)

    def batch(*lines: str) -> int:
        headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json-lines"}
        url = f"{server.api}/tasks.update_batch"
        return server.client.post(url, content="\n".join(lines), headers=headers).status_code

    good = [f'{{"task": "{id}", "name": "by batch"}}' for id in (first, second)]
    assert batch(good[0], '{"name": "no task"}') == 400
    assert batch(good[0], '{"task": "nope", "name": "unknown"}') == 400
    assert read(server, first)["name"] == "a task"
    assert batch(*good) == 200
    assert read(server, second)["name"] == "by batch"


# Running and stopping


def test_starting_again_keeps_the_first_start_and_a_new_run_forgets_the_end(
    server: Running, clock: Clock
) -> None:
    id = create(server)
    assert "started" in server.call("tasks.started", task=id)["fields"]
    began = read(server, id)["started"]
    clock.seconds += 7
    assert "started" not in server.call("tasks.started", task=id, status_message="step 2")["fields"]
    server.call("tasks.ping", task=id)
    task = read(server, id)
    assert (task["started"], task["status_message"], task["active_duration"]) == (began, "step 2", 7)
    server.call("tasks.completed", task=id)
    server.call("tasks.started", task=id)
    again = read(server, id)
    assert again["started"] > began
    assert "completed" not in again
    assert "active_duration" not in again


@pytest.mark.parametrize(
    ("end", "reason", "status"),
    [
        ("tasks.stopped", "task was stopped by tasks.stop", "stopped"),
        ("tasks.failed", "time_limit: ran 9 s, its own limit is 8 s", "failed"),
    ],
)
@pytest.mark.promise("echo-of-an-end")
def test_what_dies_of_a_run_that_was_ended_on_request_does_not_start_it_again(
    server: Running, clock: Clock, end: str, reason: str, status: str
) -> None:
    id = create(server)
    server.call("tasks.started", task=id)
    server.call(end, task=id, status_reason=reason)
    clock.seconds += 2
    said = server.call("tasks.started", task=id, force=True, status_reason="worker started execution")
    assert said == {"fields": {}, "started": 0, "updated": 0}
    assert read(server, id)["status"] == status
    assert read(server, id)["status_reason"] == reason
    clock.seconds += 9
    server.call("tasks.started", task=id, force=True)
    assert read(server, id)["status"] == "in_progress", "whoever starts it later means it"


@pytest.mark.parametrize("end", ["tasks.stopped", "tasks.failed", "tasks.completed"])
def test_a_task_that_ended_by_itself_may_be_started_at_once(server: Running, end: str) -> None:
    id = create(server)
    server.call("tasks.started", task=id)
    server.call(end, task=id, status_reason="its own")
    server.call("tasks.started", task=id, force=True)
    assert read(server, id)["status"] == "in_progress"


def test_a_task_with_a_live_worker_is_told_to_stop_and_one_with_a_silent_worker_is_stopped(
    server: Running, clock: Clock
) -> None:
    def run_by_a_worker(**more: Any) -> str:
        id = create(server, **more)
        server.call("tasks.started", task=id)
        server.call("workers.status_report", worker="host:0", timestamp=int(clock() * 1000), task=id)
        return id

    id = run_by_a_worker()
    told = server.call("tasks.stop", task=id, status_reason="enough")["fields"]
    assert (told["status"], told["status_message"], told["status_reason"]) == (
        "in_progress",
        "stopping",
        "enough",
    )
    # the next step of the agent's preparations must not make that forgotten
    server.call("tasks.started", task=id, status_message="launch by agent", force=True)
    assert (read(server, id)["status_message"], read(server, id)["status_reason"]) == ("stopping", "enough")
    server.call("tasks.dequeue", task=id, new_status="in_progress")
    assert read(server, id)["status_message"] == "stopping"
    clock.seconds += 10 * MINUTE
    assert server.call("tasks.stop", task=id)["fields"]["status_message"] == "Stopped by tester"
    assert read(server, id)["status"] == "stopped"
    by_hand = run_by_a_worker(system_tags=["development"])
    assert server.call("tasks.stop", task=by_hand)["fields"]["status"] == "stopped"


def test_stopping_and_archiving_a_pipeline_takes_its_steps_along_when_asked(server: Running) -> None:
    controller = create(server, type="controller", system_tags=["pipeline"])
    step = create(server, parent=controller)
    for id in (controller, step):
        server.call("tasks.started", task=id)
    server.call("tasks.stop", task=controller)
    assert read(server, step)["status"] == "in_progress"
    server.call("tasks.started", task=controller)
    server.call("tasks.stop", task=controller, include_pipeline_steps=True)
    assert read(server, step)["status"] == "stopped"
    server.call("tasks.archive_many", ids=[controller], include_pipeline_steps=True)
    assert read(server, step)["system_tags"] == ["archived"]
    server.call("tasks.unarchive_many", ids=[controller], include_pipeline_steps=True)
    assert read(server, step)["system_tags"] == []


# Queues


@pytest.mark.promise("waits-in-one-queue")
def test_a_queue_that_is_named_is_made_and_a_task_waits_in_one_at_most(server: Running) -> None:
    id = create(server, system_tags=["development", "kept"])
    fields = server.call("tasks.enqueue", task=id, queue_name="made by name")["fields"]
    made = queue(server, "made by name")
    assert (fields["enqueue_status"], fields["execution.queue"]) == ("created", made)
    task = read(server, id)
    assert task["system_tags"] == ["kept"]
    assert task["execution"]["queue"] == made
    assert refusal(server, "tasks.enqueue", task=id, queue=made)[:2] == (400, 706)
    other = queue(server, "another queue")
    server.call("tasks.enqueue", task=id, queue=other)
    assert waiting(server, made) == []
    assert waiting(server, other) == [id]


@pytest.mark.promise("waits-in-one-queue")
def test_a_task_leaves_its_queue_as_what_it_was(server: Running) -> None:
    id = create(server)
    server.call("tasks.started", task=id)
    server.call("tasks.stopped", task=id)
    place = queue(server, "leaving")
    server.call("tasks.enqueue", task=id, queue=place)
    answer = server.call("tasks.dequeue", task=id)
    assert (answer["dequeued"], answer["updated"]) == (1, 1)
    assert (answer["fields"]["status"], answer["fields"]["enqueue_status"]) == ("stopped", None)
    assert waiting(server, place) == []
    assert server.call("tasks.dequeue", task=id) == {"dequeued": 1, "fields": {}, "updated": 0}
    assert server.call("tasks.dequeue", task="nope")["updated"] == 0


@pytest.mark.parametrize("call", ["stopped", "failed", "completed", "close", "publish", "stop"])
@pytest.mark.promise("waits-in-one-queue")
def test_a_task_that_ends_does_not_wait_any_more(server: Running, call: str) -> None:
    place = queue(server, "ending")
    id = create(server)
    server.call("tasks.enqueue", task=id, queue=place)
    server.call(f"tasks.{call}", task=id, force=True)
    assert waiting(server, place) == []


def test_one_refusal_among_many_undoes_nothing_but_itself(server: Running) -> None:
    place = queue(server, "bulk queue")
    there, fresh, running = create(server), create(server), create(server)
    server.call("tasks.enqueue", task=there, queue=place)
    server.call("tasks.started", task=running)
    answer = server.call("tasks.enqueue_many", ids=[there, fresh, running, "nope"], queue=place)
    assert [(f["id"], f["error"]["codes"]) for f in answer["failed"]] == [
        (there, [400, 706]),
        (running, [400, 110]),
        ("nope", [400, 101]),
    ]
    assert answer["failed"][1]["error"]["data"] == {"current_status": "in_progress", "new_status": "queued"}
    assert [s["id"] for s in answer["succeeded"]] == [fresh]
    assert waiting(server, place) == [there, fresh]
    assert read(server, running)["status"] == "in_progress"


def test_a_task_taken_from_a_queue_that_goes_before_it_was_started_is_a_draft_again(server: Running) -> None:
    place = queue(server, "going away")
    taken, elsewhere = create(server), create(server)
    for id in (taken, elsewhere):
        server.call("tasks.enqueue", task=id, queue=place)
    assert server.call("queues.get_next_task", queue=place)["entry"]["task"] == taken
    server.call("tasks.enqueue", task=elsewhere, queue=queue(server, "staying"))
    server.call("queues.delete", queue=place)
    assert read(server, taken)["status"] == "created"
    assert read(server, elsewhere)["status"] == "queued"


def test_a_worker_that_listens_is_seen_when_asked_for(server: Running, clock: Clock) -> None:
    place = queue(server, "watched queue")
    first, second = create(server), create(server)
    answer = server.call("tasks.enqueue", task=first, queue=place, verify_watched_queue=True)
    assert answer["queue_watched"] is False
    server.call("workers.register", worker="listener", queues=[place], timeout=60)
    answer = server.call("tasks.enqueue_many", ids=[second], queue=place, verify_watched_queue=True)
    assert answer["queue_watched"] is True


def test_publishing_publishes_the_newest_output_model_and_is_for_good(server: Running) -> None:
    id = create(server)
    models = [
        server.call("models.create", name=f"model {n}", uri=f"http://x/{n}", task=id, ready=False)["id"]
        for n in range(2)
    ]
    for model in models:
        server.call("tasks.add_or_update_model", task=id, name=model, model=model, type="output")
    server.call("tasks.started", task=id)
    answer = server.call("tasks.completed", task=id, publish=True)
    assert answer["published"] == 1
    task = read(server, id)
    assert task["status"] == "published"
    assert "published" in task
    ready = [server.call("models.get_by_id", model=m)["model"]["ready"] for m in models]
    assert ready == [False, True]
    assert refusal(server, "tasks.publish", task=id)[:2] == (400, 110)
    assert refusal(server, "tasks.reset", task=id) == (
        400,
        110,
        f"Invalid task status: task_id={id}, status=published",
    )


def test_a_clone_is_a_draft_of_what_was_asked_for_not_of_what_came_out(server: Running) -> None:
    id = create(
        server,
        comment="why",
        tags=["t"],
        system_tags=["development", "archived", "hidden"],
        output_dest="http://files",
        configuration={"c": {"value": "v"}},
        execution={
            "queue": "q",
            "artifacts": [
                {"key": "in", "type": "t", "mode": "input"},
                {"key": "out", "type": "t", "mode": "output"},
            ],
        },
    )
    server.call("tasks.edit", task=id, runtime={"r": 1})
    answer = server.call("tasks.clone", task=id, new_project_name="clones/of tasks", new_task_comment="")
    assert answer["new_project"]["name"] == "clones/of tasks"
    copy = read(server, answer["id"])
    assert (copy["status"], copy["comment"], copy["tags"], copy["runtime"]) == ("created", "why", ["t"], {})
    assert copy["system_tags"] == ["hidden"]
    assert copy["parent"] == id
    assert copy["output"] == {"destination": "http://files"}
    assert copy["configuration"]["c"]["value"] == "v"
    assert [a["key"] for a in copy["execution"]["artifacts"]] == ["in"]
    assert "queue" not in copy["execution"]
    again = server.call("tasks.clone", task=answer["id"], new_project_name="clones/of tasks")
    assert "new_project" not in again
    assert read(server, again["id"])["parent"] == id
    assert refusal(server, "tasks.clone", task=id, new_task_project="nope") == (
        400,
        401,
        "Invalid project id: id=nope",
    )


# Who may


def test_a_reader_reads_and_changes_nothing() -> None:
    with running_server(role="readonly") as server:
        assert server.call("tasks.get_all") == {"tasks": []}
        assert refusal(server, "tasks.create", name="a task", type="training")[:2] == (403, 20)
        assert refusal(server, "tasks.delete", task="x", force=True)[:2] == (403, 20)


def test_one_value_stands_for_a_list_of_one(server: Running) -> None:
    project = server.call("projects.create", name="of one value")["id"]
    id = create(server, project=project)
    headers = {"Authorization": f"Bearer {server.token}"}
    for call in ("tasks.get_all", "tasks.get_all_ex"):
        found = server.call(call, id=id, project=project, only_fields="name", page_size=1.0, page=0.0)[
            "tasks"
        ]
        assert [task["name"] for task in found] == ["a task"]
        asked = f"{server.api}/{call}?id={id}&only_fields=status"
        tasks = server.client.get(asked, headers=headers).json()["data"]["tasks"]
        assert [task["status"] for task in tasks] == ["created"]


def test_the_input_model_of_older_clients_is_one_of_the_models(server: Running) -> None:
    first, second = (server.call("models.create", name=n, uri=f"http://x/{n}")["id"] for n in ("one", "two"))
    id = create(server, execution={"model": first})
    assert [(m["name"], m["model"]) for m in read(server, id)["models"]["input"]] == [("Input Model", first)]
    server.call("tasks.add_or_update_model", task=id, name="out", model=first, type="output")
    server.call("tasks.edit", task=id, execution={"model": second})
    models = read(server, id)["models"]
    assert [m["model"] for m in models["input"]] == [second]
    assert [m["model"] for m in models["output"]] == [first]
    headers = {"Authorization": f"Bearer {server.token}"}
    old = server.client.get(f"{server.api}/v2.5/tasks.get_by_id?task={id}", headers=headers).json()
    assert old["data"]["task"]["execution"]["model"] == second
    assert "model" not in read(server, id)["execution"]
    assert refusal(server, "tasks.create", name="a task", type="training", execution={"model": "x"})[:2] == (
        400,
        16,
    )


def test_no_queue_is_made_for_tasks_that_are_all_refused(server: Running) -> None:
    running = create(server)
    server.call("tasks.started", task=running)
    named = {"queue_name": "made by many"}
    answer = server.call("tasks.enqueue_many", ids=[running, "nope"], **named)
    assert (len(answer["failed"]), answer["succeeded"]) == (2, [])
    assert server.call("queues.get_all", name="^made by many$")["queues"] == []
    fresh = create(server)
    assert server.call("tasks.enqueue_many", ids=[running, fresh], **named)["succeeded"][0]["id"] == fresh
    assert len(server.call("queues.get_all", name="^made by many$")["queues"]) == 1
