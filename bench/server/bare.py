"""The ceiling: SQLite behind bare ASGI, no identity, no semantics. ``python -m bench.server.bare FILE PORT``."""

from __future__ import annotations

import sqlite3
import sys
from typing import Any

import orjson
import uvicorn


def main() -> None:
    """Serve until killed."""
    file, port = sys.argv[1], int(sys.argv[2])
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY, metric TEXT, variant TEXT, iter INT, value REAL)"
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        rows = [orjson.loads(line) for line in body.splitlines()]
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO row(metric, variant, iter, value) VALUES (?, ?, ?, ?)",
            [(r["metric"], r["variant"], r["iter"], r["value"]) for r in rows],
        )
        connection.execute("COMMIT")
        answer = b'{"added":%d}' % len(rows)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="off", access_log=False)


if __name__ == "__main__":
    main()
