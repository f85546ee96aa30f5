"""The tables, as migrations that only go forward. A released migration is never edited again.

Instants are whole milliseconds since 1970 (UTC); lists and embedded documents are JSON text. Documents keep one
column per top-level field of ClearML's form, so that one field is changed without rewriting the others.
"""

from __future__ import annotations

import sqlite3

V1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Who may come in. One company a server.
CREATE TABLE user (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, name TEXT NOT NULL, login TEXT UNIQUE,
    given_name TEXT, family_name TEXT, email TEXT, role TEXT NOT NULL, password TEXT, created INTEGER,
    created_in_version TEXT, preferences TEXT, disabled INTEGER NOT NULL DEFAULT 0,
    -- Counts up whenever all of the user's sessions end; a token carries the number it was made under.
    generation INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE credential (
    access_key TEXT PRIMARY KEY, secret_digest TEXT NOT NULL, user TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE,
    label TEXT, last_used INTEGER, last_used_from TEXT
) WITHOUT ROWID;
-- Sessions that were ended before their tokens expire, until they do.
CREATE TABLE revoked_session (session TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE project (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, user TEXT, name TEXT NOT NULL UNIQUE,
    basename TEXT, description TEXT, created INTEGER, tags TEXT, system_tags TEXT, default_output_destination TEXT,
    last_update INTEGER, featured INTEGER, parent TEXT, path TEXT
);
CREATE INDEX project_parent ON project(parent);

CREATE TABLE task (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, user TEXT, name TEXT, type TEXT, status TEXT,
    status_reason TEXT, status_message TEXT, status_changed INTEGER, comment TEXT, report TEXT, report_assets TEXT,
    created INTEGER, started INTEGER, completed INTEGER, published INTEGER, active_duration INTEGER, parent TEXT,
    project TEXT, output TEXT, execution TEXT, tags TEXT, system_tags TEXT, last_update INTEGER, last_change INTEGER,
    last_changed_by TEXT, last_worker TEXT, last_worker_report INTEGER, last_iteration INTEGER, hyperparams TEXT,
    runtime TEXT, models TEXT, container TEXT, enqueue_status TEXT, metric_stats TEXT, script TEXT, configuration TEXT
);
CREATE INDEX task_project ON task(project, last_update);
CREATE INDEX task_parent ON task(parent) WHERE parent IS NOT NULL;
CREATE INDEX task_status ON task(status, last_update);
CREATE INDEX task_last_update ON task(last_update);
CREATE INDEX task_name ON task(name);
CREATE INDEX task_created ON task(created);
CREATE INDEX task_started ON task(started);
-- What a list of projects counts, and who made tasks, without reading the tasks themselves.
CREATE INDEX task_figures ON task(project, status, type, system_tags, started, completed);
CREATE INDEX task_user ON task(user, project);

CREATE TABLE model (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, user TEXT, name TEXT, created INTEGER, task TEXT,
    project TEXT, parent TEXT, comment TEXT, tags TEXT, system_tags TEXT, uri TEXT, framework TEXT, design TEXT,
    labels TEXT, ready INTEGER, ui_cache TEXT, last_update INTEGER, last_change INTEGER, last_changed_by TEXT,
    metadata TEXT, last_iteration INTEGER, metric_stats TEXT
);
CREATE INDEX model_project ON model(project, last_update);
CREATE INDEX model_task ON model(task);
CREATE INDEX model_uri ON model(uri);
CREATE INDEX model_last_update ON model(last_update);
CREATE INDEX model_created ON model(created);
-- Which tasks name a model, kept in step with task.models: deleting a model must not read every task.
CREATE TABLE task_model (
    model TEXT NOT NULL, kind TEXT NOT NULL, task TEXT NOT NULL, PRIMARY KEY (model, kind, task)
) WITHOUT ROWID;
CREATE INDEX task_model_task ON task_model(task);
CREATE TRIGGER task_model_new AFTER INSERT ON task WHEN instr(NEW.models, '"model"') > 0 BEGIN
    INSERT OR IGNORE INTO task_model(model, kind, task)
        SELECT json_extract(NEW.models, entry.fullkey || '.model') AS named, kind.key, NEW.id
        FROM json_each(NEW.models) AS kind, json_each(NEW.models, kind.fullkey) AS entry WHERE named IS NOT NULL;
END;
CREATE TRIGGER task_model_changed AFTER UPDATE OF models ON task WHEN NEW.models IS NOT OLD.models BEGIN
    DELETE FROM task_model WHERE task = OLD.id;
    INSERT OR IGNORE INTO task_model(model, kind, task)
        SELECT json_extract(NEW.models, entry.fullkey || '.model') AS named, kind.key, NEW.id
        FROM json_each(NEW.models) AS kind, json_each(NEW.models, kind.fullkey) AS entry WHERE named IS NOT NULL;
END;
CREATE TRIGGER task_model_gone AFTER DELETE ON task BEGIN
    DELETE FROM task_model WHERE task = OLD.id;
END;

CREATE TABLE queue (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, user TEXT, name TEXT NOT NULL UNIQUE,
    display_name TEXT, created INTEGER, tags TEXT, system_tags TEXT, last_update INTEGER, metadata TEXT,
    -- How many entries it has and the sum of their added, kept by the triggers below: depth and mean wait.
    waiting INTEGER NOT NULL DEFAULT 0, added_sum INTEGER NOT NULL DEFAULT 0
);
-- The order of a queue is that of position; a task waits in one queue at most.
CREATE TABLE queue_entry (
    queue INTEGER NOT NULL REFERENCES queue(number) ON DELETE CASCADE, position REAL NOT NULL,
    task TEXT NOT NULL, added INTEGER NOT NULL, PRIMARY KEY (queue, position)
) WITHOUT ROWID;
CREATE TRIGGER queue_entry_comes AFTER INSERT ON queue_entry BEGIN
    UPDATE queue SET waiting=waiting+1, added_sum=added_sum+NEW.added WHERE number=NEW.queue;
END;
CREATE TRIGGER queue_entry_goes AFTER DELETE ON queue_entry BEGIN
    UPDATE queue SET waiting=waiting-1, added_sum=added_sum-OLD.added WHERE number=OLD.queue;
END;
-- A queue's depth whenever a task came (taken NULL) or went (taken: when that one had come; counted before it went).
CREATE TABLE queue_sample (
    queue INTEGER NOT NULL REFERENCES queue(number) ON DELETE CASCADE, at INTEGER NOT NULL, waiting INTEGER NOT NULL,
    added_sum INTEGER NOT NULL, taken INTEGER
);
CREATE INDEX queue_sample_at ON queue_sample(queue, at);
-- To whom a task was handed out last (at: NULL while it waits again). session and header are the puller's (header:
-- X-ClearML-Worker), workers the ids it had registered, former those of earlier runs (both JSON lists). requeued is
-- NULL until the task is queued again after it was handed out: from then on it has a fence. lost counts how often the
-- watchdog put it back since a user queued it. unstarted: the puller has not said tasks.started yet.
CREATE TABLE hand_out (
    task TEXT PRIMARY KEY, at INTEGER, session TEXT NOT NULL, header TEXT NOT NULL, workers TEXT NOT NULL,
    former TEXT NOT NULL DEFAULT '[]', requeued INTEGER, lost INTEGER NOT NULL DEFAULT 0,
    unstarted INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX hand_out_unstarted ON hand_out(at) WHERE unstarted=1;
CREATE INDEX hand_out_fence ON hand_out(task) WHERE requeued IS NOT NULL;
-- Sessions that started a handed-out task; fenced ones did so before it was queued again.
CREATE TABLE run_session (
    task TEXT NOT NULL, session TEXT NOT NULL, fenced INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (task, session)
) WITHOUT ROWID;

-- Agents that reported lately. One worker id may be used by several users.
CREATE TABLE worker (
    user TEXT NOT NULL, id TEXT NOT NULL, address TEXT NOT NULL, session TEXT NOT NULL, registered INTEGER NOT NULL,
    timeout_seconds INTEGER NOT NULL, last_active INTEGER NOT NULL, last_report INTEGER, task TEXT, queue TEXT,
    queues TEXT NOT NULL, tags TEXT NOT NULL, registered_tags TEXT NOT NULL, system_tags TEXT NOT NULL,
    PRIMARY KEY (user, id)
) WITHOUT ROWID;
-- What the machines of workers measured; stats is a JSON object of numbers and lists of numbers (one per device).
CREATE TABLE worker_sample (
    at INTEGER NOT NULL, user TEXT NOT NULL, worker TEXT NOT NULL, task TEXT, stats TEXT NOT NULL
);
CREATE INDEX worker_sample_at ON worker_sample(at);
CREATE UNIQUE INDEX queue_entry_task ON queue_entry(task);

-- A scalar series of a task or model and the newest of it: what last_metrics shows. owner is the document's id; number
-- is that of its points. value and its like are NULL where what was reported is no finite number. total is the sum of
-- the finite values of all points, finite their number.
CREATE TABLE metric (
    number INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, metric_hash TEXT NOT NULL,
    variant_hash TEXT NOT NULL, metric TEXT NOT NULL, variant TEXT NOT NULL, value REAL, min_value REAL,
    min_value_iteration INTEGER, max_value REAL, max_value_iteration INTEGER, first_value REAL,
    first_value_iteration INTEGER, count INTEGER NOT NULL, mean_value REAL, total REAL NOT NULL,
    finite INTEGER NOT NULL, x_axis_label TEXT, UNIQUE (owner, metric_hash, variant_hash)
);
CREATE INDEX metric_value ON metric(metric_hash, variant_hash, value);

-- The points of the series. delay is how long after its timestamp a point arrived, milliseconds; form what else its
-- event carried.
CREATE TABLE scalar (
    series INTEGER NOT NULL, iter INTEGER NOT NULL, value REAL, timestamp INTEGER NOT NULL, delay INTEGER NOT NULL,
    form INTEGER NOT NULL, PRIMARY KEY (series, iter)
) WITHOUT ROWID;
-- Worker and further fields (JSON) that many points share.
CREATE TABLE scalar_form (
    number INTEGER PRIMARY KEY, worker TEXT NOT NULL, extra TEXT NOT NULL, UNIQUE (worker, extra)
);

-- Plots, images and vectors: one per identity, a later report replaces the earlier. body is the plot's text
-- (zlib above a size), the image's URL, the vector's values (JSON).
CREATE TABLE sample (
    number INTEGER PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, metric TEXT NOT NULL, variant TEXT NOT NULL,
    iter INTEGER NOT NULL, key TEXT NOT NULL, timestamp INTEGER NOT NULL, received INTEGER NOT NULL,
    worker TEXT NOT NULL, length INTEGER, extra TEXT NOT NULL, body BLOB,
    UNIQUE (owner, kind, metric, variant, iter, key)
);

-- Console lines, in the order of timestamp, then of arrival.
CREATE TABLE log (
    number INTEGER PRIMARY KEY, owner TEXT NOT NULL, timestamp INTEGER NOT NULL, received INTEGER NOT NULL,
    worker TEXT NOT NULL, level TEXT, msg TEXT, extra TEXT NOT NULL
);
CREATE INDEX log_order ON log(owner, timestamp);
-- Batches with console lines that were answered lately: the same bytes again are a repeated request.
CREATE TABLE log_batch (digest BLOB PRIMARY KEY, at INTEGER NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX log_batch_at ON log_batch(at);

-- What the file server keeps. The path is a key, never a name on disk: the content lies in files/<2 digits>/<blob>.
-- owner is the task or model id found in the path; user is who uploaded.
CREATE TABLE file (
    path TEXT PRIMARY KEY, blob TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
    created INTEGER NOT NULL, owner TEXT, user TEXT
) WITHOUT ROWID;
CREATE INDEX file_owner ON file(owner) WHERE owner IS NOT NULL;
-- How much that is, kept by the triggers: the disk budget is checked on every upload.
CREATE TABLE file_usage (one INTEGER PRIMARY KEY CHECK (one = 1), files INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO file_usage VALUES (1, 0, 0);
CREATE TRIGGER file_added AFTER INSERT ON file
    BEGIN UPDATE file_usage SET files = files + 1, bytes = bytes + new.bytes; END;
CREATE TRIGGER file_removed AFTER DELETE ON file
    BEGIN UPDATE file_usage SET files = files - 1, bytes = bytes - old.bytes; END;
CREATE TRIGGER file_replaced AFTER UPDATE OF bytes ON file
    BEGIN UPDATE file_usage SET bytes = bytes + new.bytes - old.bytes; END;
-- Whose files may go: ids of removed tasks and models, addresses that removed models named; at is when, full seconds.
-- upkeep.freeing empties it: a client that was told the addresses may remove the files first.
CREATE TABLE freed (what TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER task_gone AFTER DELETE ON task WHEN EXISTS (SELECT 1 FROM file WHERE owner = old.id)
    BEGIN INSERT OR REPLACE INTO freed VALUES (old.id, strftime('%s', 'now') * 1000); END;
CREATE TRIGGER model_gone AFTER DELETE ON model WHEN EXISTS (SELECT 1 FROM file WHERE owner = old.id)
    BEGIN INSERT OR REPLACE INTO freed VALUES (old.id, strftime('%s', 'now') * 1000); END;
CREATE TRIGGER model_file_gone AFTER DELETE ON model WHEN old.uri LIKE 'http%'
    BEGIN INSERT OR REPLACE INTO freed VALUES (old.uri, strftime('%s', 'now') * 1000); END;
"""

V2 = """
-- Before this instant an entry is passed over: a task that lost its worker waits longer each time. NULL: at once.
ALTER TABLE queue_entry ADD COLUMN not_before INTEGER;
"""

V3 = """
-- Whose agent the task was given to: that user may say that it was lost. How often it was is the task's own to say.
ALTER TABLE hand_out ADD COLUMN user TEXT NOT NULL DEFAULT '';
ALTER TABLE hand_out DROP COLUMN lost;
"""

V4 = """
-- Which database this is and how many commits it has had. The folder of contents says the same (mark), so that a start
-- notices contents of another database and a database that lost something.
CREATE TABLE lineage (
    one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL, commits INTEGER NOT NULL
);
INSERT INTO lineage VALUES (1, lower(hex(randomblob(16))), 0);
-- Contents that no file has any more, since when (milliseconds): they alone may be removed, some time later.
CREATE TABLE doomed (blob TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER file_doomed AFTER DELETE ON file
    BEGIN INSERT OR REPLACE INTO doomed VALUES (old.blob, strftime('%s', 'now') * 1000); END;
CREATE TRIGGER file_content_doomed AFTER UPDATE OF blob ON file WHEN new.blob <> old.blob
    BEGIN INSERT OR REPLACE INTO doomed VALUES (old.blob, strftime('%s', 'now') * 1000); END;
"""

V5 = """
-- Lists of many tasks: what they are often narrowed by stands beside what they are walked by or looked up by, so that a
-- row is read only where it is shown.
DROP INDEX task_last_update;
CREATE INDEX task_last_update ON task(last_update, status, system_tags, type, project);
DROP INDEX task_project;
CREATE INDEX task_project ON task(project, last_update, status, system_tags, type);
CREATE INDEX task_seen ON task(id, status, system_tags, type, project);
DROP INDEX metric_value;
CREATE INDEX metric_value ON metric(metric_hash, variant_hash, value, owner);
CREATE INDEX metric_least ON metric(metric_hash, variant_hash, min_value, owner);
CREATE INDEX metric_greatest ON metric(metric_hash, variant_hash, max_value, owner);
-- A search for words reads these few besides names and ids.
CREATE INDEX task_told ON task(id) WHERE ifnull(comment, '') <> '' OR ifnull(report, '') <> '';
-- Of these tasks the lines up to a number are gone: nobody finds them any more, and they are removed some at a time.
CREATE TABLE log_gone (owner TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
-- Parameters (JSON paths below hyperparams) that lists are sorted or filtered by. Tasks up to the number "last" were
-- there when one came in; those up to "filled" have their values (-1: its values go). Whatever is written later has
-- its own by the triggers.
CREATE TABLE parameter (
    number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, filled INTEGER NOT NULL DEFAULT 0, last INTEGER NOT NULL
);
-- Their values as they are, of a text the first characters; number: what stands in front of it, where that is a number.
-- A task without the parameter has no row, or one with NULL: it was written while the values were taken in.
CREATE TABLE parameter_value (
    parameter INTEGER NOT NULL, task INTEGER NOT NULL, number REAL, value, PRIMARY KEY (parameter, task)
) WITHOUT ROWID;
CREATE INDEX parameter_value_order ON parameter_value(parameter, number, value);
CREATE TRIGGER parameter_value_new AFTER INSERT ON task BEGIN
    INSERT OR REPLACE INTO parameter_value
        SELECT number, NEW.number, CASE WHEN typeof(v) IN ('integer', 'real') OR v GLOB '[0-9]*'
            OR v GLOB '[-+.][0-9]*' OR v GLOB '-.[0-9]*' THEN CAST(v AS REAL) END,
            CASE typeof(v) WHEN 'text' THEN substr(v, 1, 200) ELSE v END
        FROM (SELECT number, json_extract(NEW.hyperparams, path) AS v FROM parameter WHERE filled >= 0);
END;
CREATE TRIGGER parameter_value_changed AFTER UPDATE OF hyperparams ON task
WHEN NEW.hyperparams IS NOT OLD.hyperparams BEGIN
    INSERT OR REPLACE INTO parameter_value
        SELECT number, NEW.number, CASE WHEN typeof(v) IN ('integer', 'real') OR v GLOB '[0-9]*'
            OR v GLOB '[-+.][0-9]*' OR v GLOB '-.[0-9]*' THEN CAST(v AS REAL) END,
            CASE typeof(v) WHEN 'text' THEN substr(v, 1, 200) ELSE v END
        FROM (SELECT number, json_extract(NEW.hyperparams, path) AS v FROM parameter WHERE filled >= 0);
END;
CREATE TRIGGER parameter_value_gone AFTER DELETE ON task BEGIN
    DELETE FROM parameter_value WHERE task = OLD.number AND parameter IN (SELECT number FROM parameter);
END;
"""

#: The first version whose databases know which one they are.
WITH_LINEAGE = 4
#: One script per schema version, oldest first.
MIGRATIONS = [V1, V2, V3, V4, V5]


class TooNew(Exception):
    """The database was written by a newer release."""


def newer(version: int) -> TooNew:
    """What is said of a database of that later version."""
    return TooNew(
        f"The data folder was written by a newer release (schema {version}, "
        f"this one knows {len(MIGRATIONS)}): use that release, or restore a backup made by this one."
    )


def version_of(connection: sqlite3.Connection) -> int:
    """The version of a database; 0 of a new one."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the database to the newest version, each step in a transaction of its own.

    Returns:
        The version now.

    Raises:
        TooNew: The database is of a later version than this release knows.
    """
    version = version_of(connection)
    if version > len(MIGRATIONS):
        raise newer(version)
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version={number};\nCOMMIT;")
    return len(MIGRATIONS)
