"""Write the stored database of the present schema version: a little of everything, through the API."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from stackyard_server.store import schema

from ..running import Running, running_server
from . import HERE, dump


def fill(server: Running) -> None:
    """A little of everything a server holds."""
    project = server.call("projects.create", name="stored/project", description="kept")["id"]
    done = server.call("tasks.create", name="done task", type="training", project=project, tags=["kept"])[
        "id"
    ]
    waiting = [
        server.call("tasks.create", name=f"waiting {n}", type="testing", project=project)["id"]
        for n in (1, 2)
    ]
    queue = server.call("queues.create", name="stored queue")["id"]
    for task in reversed(waiting):
        server.call("tasks.enqueue", task=task, queue=queue)
    server.call("tasks.started", task=done)
    parameters = {"Args": {"lr": {"section": "Args", "name": "lr", "value": "0.1"}}}
    server.call("tasks.edit", task=done, hyperparams=parameters, comment="as it was", force=True)
    common: dict[str, Any] = {"task": done, "timestamp": 1_700_000_000_000}
    server.call_lines(
        "events.add_batch",
        [
            *(
                {
                    **common,
                    "type": "training_stats_scalar",
                    "metric": "loss",
                    "variant": "a",
                    "iter": i,
                    "value": i / 4,
                }
                for i in range(5)
            ),
            *({**common, "type": "log", "msg": f"line {i}", "level": "info"} for i in range(3)),
            {**common, "type": "plot", "metric": "p", "variant": "v", "iter": 0, "plot_str": '{"data": []}'},
            {
                **common,
                "type": "training_debug_image",
                "metric": "i",
                "variant": "v",
                "iter": 0,
                "url": "http://x/y.png",
            },
        ],
    )
    path = f"stored/done task.{done}/artifacts/a.txt"
    header = {"Authorization": f"Bearer {server.token}"}
    answer = server.client.post(
        f"{server.files}/", files={path: ("a.txt", b"stored content")}, headers=header
    )
    assert answer.status_code == 200
    uri = f"{server.files}/{path.replace(' ', '%20')}"
    server.call("models.create", name="stored model", uri=uri, task=done, project=project, ready=False)
    server.call("workers.register", worker="host:0", queues=[queue], timeout=60)
    server.call("tasks.completed", task=done)


def main() -> None:
    """Write it; refuse where there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replace", action="store_true", help="only as long as the version is not released")
    given = parser.parse_args()
    target = HERE / f"v{len(schema.MIGRATIONS)}.sql"
    if target.exists() and not given.replace:
        raise SystemExit(
            f"{target} is there: a stored database is not written again. Add a migration instead."
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        with running_server(folder=folder) as server:
            fill(server)
            with server.store.writing() as tx:  # no secret in the project, not even one nobody uses
                tx.run("UPDATE meta SET value='a key for tests, 32 bytes at least' WHERE key='token_key'")
                tx.run("DELETE FROM credential")
        target.write_text(dump(folder / "server.sqlite"), encoding="utf-8")
    print(f"wrote {target.name}, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
