BEGIN TRANSACTION;
CREATE TABLE credential (
    access_key TEXT PRIMARY KEY, secret_digest TEXT NOT NULL, user TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE,
    label TEXT, last_used INTEGER, last_used_from TEXT
) WITHOUT ROWID;
CREATE TABLE doomed (blob TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE file (
    path TEXT PRIMARY KEY, blob TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
    created INTEGER NOT NULL, owner TEXT, user TEXT
) WITHOUT ROWID;
INSERT INTO "file" VALUES('stored/done task.92c75e074ab3e2083898c32c5bcd4c64/artifacts/a.txt','a91b0b5c44acb5d2c509ce22c90b11fb',14,'daf8009462e487c6ea994bc64b1668db4aa5c6b5141fcd2f92d9ae4834e46d0a',1796020112354,'92c75e074ab3e2083898c32c5bcd4c64','e53c7ee19a477c81be4588d341e34b77');
CREATE TABLE file_usage (one INTEGER PRIMARY KEY CHECK (one = 1), files INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO "file_usage" VALUES(1,1,14);
CREATE TABLE freed (what TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE hand_out (
    task TEXT PRIMARY KEY, at INTEGER, session TEXT NOT NULL, header TEXT NOT NULL, workers TEXT NOT NULL,
    former TEXT NOT NULL DEFAULT '[]', requeued INTEGER, unstarted INTEGER NOT NULL DEFAULT 0
, user TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE lineage (
    one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL, commits INTEGER NOT NULL
);
INSERT INTO "lineage" VALUES(1,'d2afc2d1c290ca5cbbe9523d83202341',19);
CREATE TABLE log (
    number INTEGER PRIMARY KEY, owner TEXT NOT NULL, timestamp INTEGER NOT NULL, received INTEGER NOT NULL,
    worker TEXT NOT NULL, level TEXT, msg TEXT, extra TEXT NOT NULL
);
INSERT INTO "log" VALUES(1,'92c75e074ab3e2083898c32c5bcd4c64',1700000000000,1796020112348,'<unknown>','info','line 0','{}');
INSERT INTO "log" VALUES(2,'92c75e074ab3e2083898c32c5bcd4c64',1700000000000,1796020112348,'<unknown>','info','line 1','{}');
INSERT INTO "log" VALUES(3,'92c75e074ab3e2083898c32c5bcd4c64',1700000000000,1796020112348,'<unknown>','info','line 2','{}');
CREATE TABLE log_batch (digest BLOB PRIMARY KEY, at INTEGER NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "log_batch" VALUES(X'92913C5D850171C2F151466BEFC0E395',1796020112348,'{"added":10,"errors":0,"errors_info":{}}');
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('company','13402f4637385af71f653a34a62040df');
INSERT INTO "meta" VALUES('company_name','stackyard');
INSERT INTO "meta" VALUES('created','1796020112274');
INSERT INTO "meta" VALUES('files_urls','["http://127.0.0.1:33439"]');
INSERT INTO "meta" VALUES('token_key','a key for tests, 32 bytes at least');
CREATE TABLE metric (
    number INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, metric_hash TEXT NOT NULL,
    variant_hash TEXT NOT NULL, metric TEXT NOT NULL, variant TEXT NOT NULL, value REAL, min_value REAL,
    min_value_iteration INTEGER, max_value REAL, max_value_iteration INTEGER, first_value REAL,
    first_value_iteration INTEGER, count INTEGER NOT NULL, mean_value REAL, total REAL NOT NULL,
    finite INTEGER NOT NULL, x_axis_label TEXT, UNIQUE (owner, metric_hash, variant_hash)
);
INSERT INTO "metric" VALUES(1,'92c75e074ab3e2083898c32c5bcd4c64','81513effdf5790b79549208838404407','0cc175b9c0f1b6a831c399e269772661','loss','a',1.0,0.0,0,1.0,4,0.0,0,5,0.5,2.5,5,NULL);
CREATE TABLE model (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, user TEXT, name TEXT, created INTEGER, task TEXT,
    project TEXT, parent TEXT, comment TEXT, tags TEXT, system_tags TEXT, uri TEXT, framework TEXT, design TEXT,
    labels TEXT, ready INTEGER, ui_cache TEXT, last_update INTEGER, last_change INTEGER, last_changed_by TEXT,
    metadata TEXT, last_iteration INTEGER, metric_stats TEXT
);
INSERT INTO "model" VALUES(1,'618ea254f00a15434f1b06940f8e4828','13402f4637385af71f653a34a62040df','e53c7ee19a477c81be4588d341e34b77','stored model',1796020112356,'92c75e074ab3e2083898c32c5bcd4c64','4c14bcd6e8d9c8ea70bdc2287258351f',NULL,NULL,'[]','[]','http://127.0.0.1:33439/stored/done%20task.92c75e074ab3e2083898c32c5bcd4c64/artifacts/a.txt',NULL,'{}','{}',0,NULL,1796020112356,1796020112356,'e53c7ee19a477c81be4588d341e34b77','{}',0,NULL);
CREATE TABLE project (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, user TEXT, name TEXT NOT NULL UNIQUE,
    basename TEXT, description TEXT, created INTEGER, tags TEXT, system_tags TEXT, default_output_destination TEXT,
    last_update INTEGER, featured INTEGER, parent TEXT, path TEXT
);
INSERT INTO "project" VALUES(1,'ff025aa8443c1a3e6eeae132124be6bb','13402f4637385af71f653a34a62040df','e53c7ee19a477c81be4588d341e34b77','stored','stored','',1796020112336,'[]','[]',NULL,1796020112336,9999,NULL,'[]');
INSERT INTO "project" VALUES(2,'4c14bcd6e8d9c8ea70bdc2287258351f','13402f4637385af71f653a34a62040df','e53c7ee19a477c81be4588d341e34b77','stored/project','project','kept',1796020112336,'[]','[]',NULL,1796020112358,9999,'ff025aa8443c1a3e6eeae132124be6bb','["ff025aa8443c1a3e6eeae132124be6bb"]');
CREATE TABLE queue (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, user TEXT, name TEXT NOT NULL UNIQUE,
    display_name TEXT, created INTEGER, tags TEXT, system_tags TEXT, last_update INTEGER, metadata TEXT,
    -- How many entries it has and the sum of their added, kept by the triggers below: depth and mean wait.
    waiting INTEGER NOT NULL DEFAULT 0, added_sum INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "queue" VALUES(1,'1ea837521336dfe2edeffd411b5d068a','13402f4637385af71f653a34a62040df',NULL,'default',NULL,1796020112274,'[]','["default"]',1796020112274,'{}',0,0);
INSERT INTO "queue" VALUES(2,'236244a7dcc680e43a9c5ff3cb1edd9f','13402f4637385af71f653a34a62040df','e53c7ee19a477c81be4588d341e34b77','stored queue',NULL,1796020112342,'[]','[]',1796020112345,'{}',2,3592040224688);
CREATE TABLE queue_entry (
    queue INTEGER NOT NULL REFERENCES queue(number) ON DELETE CASCADE, position REAL NOT NULL,
    task TEXT NOT NULL, added INTEGER NOT NULL, not_before INTEGER, PRIMARY KEY (queue, position)
) WITHOUT ROWID;
INSERT INTO "queue_entry" VALUES(2,0.0,'83837032d4c0fc9e6e2ecbb6e6a9cde8',1796020112343,NULL);
INSERT INTO "queue_entry" VALUES(2,1.0,'b1f8f5d7aad4ecb38a8add260c93c39e',1796020112345,NULL);
CREATE TABLE queue_sample (
    queue INTEGER NOT NULL REFERENCES queue(number) ON DELETE CASCADE, at INTEGER NOT NULL, waiting INTEGER NOT NULL,
    added_sum INTEGER NOT NULL, taken INTEGER
);
INSERT INTO "queue_sample" VALUES(2,1796020112343,1,1796020112343,NULL);
INSERT INTO "queue_sample" VALUES(2,1796020112345,2,3592040224688,NULL);
CREATE TABLE revoked_session (session TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE run_session (
    task TEXT NOT NULL, session TEXT NOT NULL, fenced INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (task, session)
) WITHOUT ROWID;
CREATE TABLE sample (
    number INTEGER PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, metric TEXT NOT NULL, variant TEXT NOT NULL,
    iter INTEGER NOT NULL, key TEXT NOT NULL, timestamp INTEGER NOT NULL, received INTEGER NOT NULL,
    worker TEXT NOT NULL, length INTEGER, extra TEXT NOT NULL, body BLOB,
    UNIQUE (owner, kind, metric, variant, iter, key)
);
INSERT INTO "sample" VALUES(1,'92c75e074ab3e2083898c32c5bcd4c64','plot','p','v',0,'',1700000000000,1796020112348,'<unknown>',12,'{}','{"data": []}');
INSERT INTO "sample" VALUES(2,'92c75e074ab3e2083898c32c5bcd4c64','training_debug_image','i','v',0,'',1700000000000,1796020112348,'<unknown>',NULL,'{}','http://x/y.png');
CREATE TABLE scalar (
    series INTEGER NOT NULL, iter INTEGER NOT NULL, value REAL, timestamp INTEGER NOT NULL, delay INTEGER NOT NULL,
    form INTEGER NOT NULL, PRIMARY KEY (series, iter)
) WITHOUT ROWID;
INSERT INTO "scalar" VALUES(1,0,0.0,1700000000000,96020112348,1);
INSERT INTO "scalar" VALUES(1,1,0.25,1700000000000,96020112348,1);
INSERT INTO "scalar" VALUES(1,2,0.5,1700000000000,96020112348,1);
INSERT INTO "scalar" VALUES(1,3,0.75,1700000000000,96020112348,1);
INSERT INTO "scalar" VALUES(1,4,1.0,1700000000000,96020112348,1);
CREATE TABLE scalar_form (
    number INTEGER PRIMARY KEY, worker TEXT NOT NULL, extra TEXT NOT NULL, UNIQUE (worker, extra)
);
INSERT INTO "scalar_form" VALUES(1,'<unknown>','{}');
CREATE TABLE task (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, user TEXT, name TEXT, type TEXT, status TEXT,
    status_reason TEXT, status_message TEXT, status_changed INTEGER, comment TEXT, report TEXT, report_assets TEXT,
    created INTEGER, started INTEGER, completed INTEGER, published INTEGER, active_duration INTEGER, parent TEXT,
    project TEXT, output TEXT, execution TEXT, tags TEXT, system_tags TEXT, last_update INTEGER, last_change INTEGER,
    last_changed_by TEXT, last_worker TEXT, last_worker_report INTEGER, last_iteration INTEGER, hyperparams TEXT,
    runtime TEXT, models TEXT, container TEXT, enqueue_status TEXT, metric_stats TEXT, script TEXT, configuration TEXT
);
INSERT INTO "task" VALUES(1,'92c75e074ab3e2083898c32c5bcd4c64','13402f4637385af71f653a34a62040df','e53c7ee19a477c81be4588d341e34b77','done task','training','completed','','',1796020112358,'as it was',NULL,'[]',1796020112338,1796020112346,1796020112358,NULL,0,NULL,'4c14bcd6e8d9c8ea70bdc2287258351f','{}','{"test_split":0,"parameters":{},"model_desc":{},"model_labels":{},"artifacts":[]}','["kept"]','[]',1796020112358,1796020112358,'e53c7ee19a477c81be4588d341e34b77',NULL,NULL,4,'{"Args":{"lr":{"section":"Args","name":"lr","value":"0.1"}}}','{}','{"input":[],"output":[]}','{}',NULL,'{"d41d8cd98f00b204e9800998ecf8427e":{"metric":"","event_stats_by_type":{"log":{"last_update":1700000000000}}},"83878c91171338902e0fe0fb97a8c47a":{"metric":"p","event_stats_by_type":{"plot":{"last_update":1700000000000}}},"865c0c0b4ab0e063e5caa3387c1a8741":{"metric":"i","event_stats_by_type":{"training_debug_image":{"last_update":1700000000000}}},"81513effdf5790b79549208838404407":{"metric":"loss","event_stats_by_type":{"training_stats_scalar":{"last_update":1700000000000}}}}','{"binary":"python","repository":"","entry_point":"","requirements":{}}','{}');
INSERT INTO "task" VALUES(2,'b1f8f5d7aad4ecb38a8add260c93c39e','13402f4637385af71f653a34a62040df','e53c7ee19a477c81be4588d341e34b77','waiting 1','testing','queued','','',1796020112345,NULL,NULL,'[]',1796020112339,NULL,NULL,NULL,NULL,NULL,'4c14bcd6e8d9c8ea70bdc2287258351f','{}','{"test_split":0,"parameters":{},"model_desc":{},"model_labels":{},"artifacts":[],"queue":"236244a7dcc680e43a9c5ff3cb1edd9f"}','[]','[]',1796020112345,1796020112345,'e53c7ee19a477c81be4588d341e34b77',NULL,NULL,0,'{}','{}','{"input":[],"output":[]}','{}','created','{}','{"binary":"python","repository":"","entry_point":"","requirements":{}}','{}');
INSERT INTO "task" VALUES(3,'83837032d4c0fc9e6e2ecbb6e6a9cde8','13402f4637385af71f653a34a62040df','e53c7ee19a477c81be4588d341e34b77','waiting 2','testing','queued','','',1796020112343,NULL,NULL,'[]',1796020112341,NULL,NULL,NULL,NULL,NULL,'4c14bcd6e8d9c8ea70bdc2287258351f','{}','{"test_split":0,"parameters":{},"model_desc":{},"model_labels":{},"artifacts":[],"queue":"236244a7dcc680e43a9c5ff3cb1edd9f"}','[]','[]',1796020112343,1796020112343,'e53c7ee19a477c81be4588d341e34b77',NULL,NULL,0,'{}','{}','{"input":[],"output":[]}','{}','created','{}','{"binary":"python","repository":"","entry_point":"","requirements":{}}','{}');
CREATE TABLE task_model (
    model TEXT NOT NULL, kind TEXT NOT NULL, task TEXT NOT NULL, PRIMARY KEY (model, kind, task)
) WITHOUT ROWID;
CREATE TABLE user (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, name TEXT NOT NULL, login TEXT UNIQUE,
    given_name TEXT, family_name TEXT, email TEXT, role TEXT NOT NULL, password TEXT, created INTEGER,
    created_in_version TEXT, preferences TEXT, disabled INTEGER NOT NULL DEFAULT 0,
    -- Counts up whenever all of the user's sessions end; a token carries the number it was made under.
    generation INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "user" VALUES(1,'e53c7ee19a477c81be4588d341e34b77','13402f4637385af71f653a34a62040df','tester',NULL,NULL,NULL,NULL,'user',NULL,1796020112309,'2.3.0',NULL,0,0);
CREATE TABLE worker (
    user TEXT NOT NULL, id TEXT NOT NULL, address TEXT NOT NULL, session TEXT NOT NULL, registered INTEGER NOT NULL,
    timeout_seconds INTEGER NOT NULL, last_active INTEGER NOT NULL, last_report INTEGER, task TEXT, queue TEXT,
    queues TEXT NOT NULL, tags TEXT NOT NULL, registered_tags TEXT NOT NULL, system_tags TEXT NOT NULL,
    PRIMARY KEY (user, id)
) WITHOUT ROWID;
INSERT INTO "worker" VALUES('e53c7ee19a477c81be4588d341e34b77','host:0','127.0.0.1','96bc78548a803039fdc79c07d24a32a6',1796020112357,60,1796020112357,NULL,NULL,NULL,'["236244a7dcc680e43a9c5ff3cb1edd9f"]','[]','[]','[]');
CREATE TABLE worker_sample (
    at INTEGER NOT NULL, user TEXT NOT NULL, worker TEXT NOT NULL, task TEXT, stats TEXT NOT NULL
);
CREATE INDEX project_parent ON project(parent);
CREATE INDEX task_project ON task(project, last_update);
CREATE INDEX task_parent ON task(parent) WHERE parent IS NOT NULL;
CREATE INDEX task_status ON task(status, last_update);
CREATE INDEX task_last_update ON task(last_update);
CREATE INDEX task_name ON task(name);
CREATE INDEX task_created ON task(created);
CREATE INDEX task_started ON task(started);
CREATE INDEX task_figures ON task(project, status, type, system_tags, started, completed);
CREATE INDEX task_user ON task(user, project);
CREATE INDEX model_project ON model(project, last_update);
CREATE INDEX model_task ON model(task);
CREATE INDEX model_uri ON model(uri);
CREATE INDEX model_last_update ON model(last_update);
CREATE INDEX model_created ON model(created);
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
CREATE TRIGGER queue_entry_comes AFTER INSERT ON queue_entry BEGIN
    UPDATE queue SET waiting=waiting+1, added_sum=added_sum+NEW.added WHERE number=NEW.queue;
END;
CREATE TRIGGER queue_entry_goes AFTER DELETE ON queue_entry BEGIN
    UPDATE queue SET waiting=waiting-1, added_sum=added_sum-OLD.added WHERE number=OLD.queue;
END;
CREATE INDEX queue_sample_at ON queue_sample(queue, at);
CREATE INDEX hand_out_unstarted ON hand_out(at) WHERE unstarted=1;
CREATE INDEX hand_out_fence ON hand_out(task) WHERE requeued IS NOT NULL;
CREATE INDEX worker_sample_at ON worker_sample(at);
CREATE UNIQUE INDEX queue_entry_task ON queue_entry(task);
CREATE INDEX metric_value ON metric(metric_hash, variant_hash, value);
CREATE INDEX log_order ON log(owner, timestamp);
CREATE INDEX log_batch_at ON log_batch(at);
CREATE INDEX file_owner ON file(owner) WHERE owner IS NOT NULL;
CREATE TRIGGER file_added AFTER INSERT ON file
    BEGIN UPDATE file_usage SET files = files + 1, bytes = bytes + new.bytes; END;
CREATE TRIGGER file_removed AFTER DELETE ON file
    BEGIN UPDATE file_usage SET files = files - 1, bytes = bytes - old.bytes; END;
CREATE TRIGGER file_replaced AFTER UPDATE OF bytes ON file
    BEGIN UPDATE file_usage SET bytes = bytes + new.bytes - old.bytes; END;
CREATE TRIGGER task_gone AFTER DELETE ON task WHEN EXISTS (SELECT 1 FROM file WHERE owner = old.id)
    BEGIN INSERT OR REPLACE INTO freed VALUES (old.id, strftime('%s', 'now') * 1000); END;
CREATE TRIGGER model_gone AFTER DELETE ON model WHEN EXISTS (SELECT 1 FROM file WHERE owner = old.id)
    BEGIN INSERT OR REPLACE INTO freed VALUES (old.id, strftime('%s', 'now') * 1000); END;
CREATE TRIGGER model_file_gone AFTER DELETE ON model WHEN old.uri LIKE 'http%'
    BEGIN INSERT OR REPLACE INTO freed VALUES (old.uri, strftime('%s', 'now') * 1000); END;
CREATE TRIGGER file_doomed AFTER DELETE ON file
    BEGIN INSERT OR REPLACE INTO doomed VALUES (old.blob, strftime('%s', 'now') * 1000); END;
CREATE TRIGGER file_content_doomed AFTER UPDATE OF blob ON file WHEN new.blob <> old.blob
    BEGIN INSERT OR REPLACE INTO doomed VALUES (old.blob, strftime('%s', 'now') * 1000); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('metric',1);
COMMIT;
PRAGMA user_version=4;
