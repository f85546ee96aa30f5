BEGIN TRANSACTION;
CREATE TABLE credential (
    access_key TEXT PRIMARY KEY, secret_digest TEXT NOT NULL, user TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE,
    label TEXT, last_used INTEGER, last_used_from TEXT
) WITHOUT ROWID;
CREATE TABLE file (
    path TEXT PRIMARY KEY, blob TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
    created INTEGER NOT NULL, owner TEXT, user TEXT
) WITHOUT ROWID;
INSERT INTO "file" VALUES('stored/done task.0960ca4e7a18f1e0a599a7076e9bea4b/artifacts/a.txt','054e2bc40d4ecd9768e2dce8c5917261',14,'daf8009462e487c6ea994bc64b1668db4aa5c6b5141fcd2f92d9ae4834e46d0a',1796005743809,'0960ca4e7a18f1e0a599a7076e9bea4b','6320df6a5322458a2578dfc945cfe99f');
CREATE TABLE file_usage (one INTEGER PRIMARY KEY CHECK (one = 1), files INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO "file_usage" VALUES(1,1,14);
CREATE TABLE freed (what TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE hand_out (
    task TEXT PRIMARY KEY, at INTEGER, session TEXT NOT NULL, header TEXT NOT NULL, workers TEXT NOT NULL,
    former TEXT NOT NULL DEFAULT '[]', requeued INTEGER, unstarted INTEGER NOT NULL DEFAULT 0
, user TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE log (
    number INTEGER PRIMARY KEY, owner TEXT NOT NULL, timestamp INTEGER NOT NULL, received INTEGER NOT NULL,
    worker TEXT NOT NULL, level TEXT, msg TEXT, extra TEXT NOT NULL
);
INSERT INTO "log" VALUES(1,'0960ca4e7a18f1e0a599a7076e9bea4b',1700000000000,1796005743797,'<unknown>','info','line 0','{}');
INSERT INTO "log" VALUES(2,'0960ca4e7a18f1e0a599a7076e9bea4b',1700000000000,1796005743797,'<unknown>','info','line 1','{}');
INSERT INTO "log" VALUES(3,'0960ca4e7a18f1e0a599a7076e9bea4b',1700000000000,1796005743797,'<unknown>','info','line 2','{}');
CREATE TABLE log_batch (digest BLOB PRIMARY KEY, at INTEGER NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "log_batch" VALUES(X'E296D7515275A50E807C6460D389BB2E',1796005743797,'{"added":10,"errors":0,"errors_info":{}}');
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('company','d8a3d36f38b7d443420200de4cd92fc7');
INSERT INTO "meta" VALUES('company_name','stackyard');
INSERT INTO "meta" VALUES('created','1796005743489');
INSERT INTO "meta" VALUES('files_urls','["http://127.0.0.1:45625"]');
INSERT INTO "meta" VALUES('token_key','a key for tests, 32 bytes at least');
CREATE TABLE metric (
    number INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, metric_hash TEXT NOT NULL,
    variant_hash TEXT NOT NULL, metric TEXT NOT NULL, variant TEXT NOT NULL, value REAL, min_value REAL,
    min_value_iteration INTEGER, max_value REAL, max_value_iteration INTEGER, first_value REAL,
    first_value_iteration INTEGER, count INTEGER NOT NULL, mean_value REAL, total REAL NOT NULL,
    finite INTEGER NOT NULL, x_axis_label TEXT, UNIQUE (owner, metric_hash, variant_hash)
);
INSERT INTO "metric" VALUES(1,'0960ca4e7a18f1e0a599a7076e9bea4b','81513effdf5790b79549208838404407','0cc175b9c0f1b6a831c399e269772661','loss','a',1.0,0.0,0,1.0,4,0.0,0,5,0.5,2.5,5,NULL);
CREATE TABLE model (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, user TEXT, name TEXT, created INTEGER, task TEXT,
    project TEXT, parent TEXT, comment TEXT, tags TEXT, system_tags TEXT, uri TEXT, framework TEXT, design TEXT,
    labels TEXT, ready INTEGER, ui_cache TEXT, last_update INTEGER, last_change INTEGER, last_changed_by TEXT,
    metadata TEXT, last_iteration INTEGER, metric_stats TEXT
);
INSERT INTO "model" VALUES(1,'c86a49e3fc6fdc7e2c6037a325649e59','d8a3d36f38b7d443420200de4cd92fc7','6320df6a5322458a2578dfc945cfe99f','stored model',1796005743816,'0960ca4e7a18f1e0a599a7076e9bea4b','e2cf23284e24f77f0d0f6f120a3b7d96',NULL,NULL,'[]','[]','http://127.0.0.1:45625/stored/done%20task.0960ca4e7a18f1e0a599a7076e9bea4b/artifacts/a.txt',NULL,'{}','{}',0,NULL,1796005743816,1796005743816,'6320df6a5322458a2578dfc945cfe99f','{}',0,NULL);
CREATE TABLE project (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, user TEXT, name TEXT NOT NULL UNIQUE,
    basename TEXT, description TEXT, created INTEGER, tags TEXT, system_tags TEXT, default_output_destination TEXT,
    last_update INTEGER, featured INTEGER, parent TEXT, path TEXT
);
INSERT INTO "project" VALUES(1,'2a1b06fad534f675254465ce0afe08ff','d8a3d36f38b7d443420200de4cd92fc7','6320df6a5322458a2578dfc945cfe99f','stored','stored','',1796005743757,'[]','[]',NULL,1796005743757,9999,NULL,'[]');
INSERT INTO "project" VALUES(2,'e2cf23284e24f77f0d0f6f120a3b7d96','d8a3d36f38b7d443420200de4cd92fc7','6320df6a5322458a2578dfc945cfe99f','stored/project','project','kept',1796005743757,'[]','[]',NULL,1796005743823,9999,'2a1b06fad534f675254465ce0afe08ff','["2a1b06fad534f675254465ce0afe08ff"]');
CREATE TABLE queue (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, company TEXT, user TEXT, name TEXT NOT NULL UNIQUE,
    display_name TEXT, created INTEGER, tags TEXT, system_tags TEXT, last_update INTEGER, metadata TEXT,
    -- How many entries it has and the sum of their added, kept by the triggers below: depth and mean wait.
    waiting INTEGER NOT NULL DEFAULT 0, added_sum INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "queue" VALUES(1,'057d1d5dcdf938ba7c8a209d9800cef3','d8a3d36f38b7d443420200de4cd92fc7',NULL,'default',NULL,1796005743489,'[]','["default"]',1796005743489,'{}',0,0);
INSERT INTO "queue" VALUES(2,'5188e54fead7f2b27fd42a7372e7cd84','d8a3d36f38b7d443420200de4cd92fc7','6320df6a5322458a2578dfc945cfe99f','stored queue',NULL,1796005743771,'[]','[]',1796005743781,'{}',2,3592011487556);
CREATE TABLE queue_entry (
    queue INTEGER NOT NULL REFERENCES queue(number) ON DELETE CASCADE, position REAL NOT NULL,
    task TEXT NOT NULL, added INTEGER NOT NULL, not_before INTEGER, PRIMARY KEY (queue, position)
) WITHOUT ROWID;
INSERT INTO "queue_entry" VALUES(2,0.0,'b2e663791b5fccb44f6dd54c1f15ffc5',1796005743775,NULL);
INSERT INTO "queue_entry" VALUES(2,1.0,'d25a4c3e47c1022b779b305cd14bed19',1796005743781,NULL);
CREATE TABLE queue_sample (
    queue INTEGER NOT NULL REFERENCES queue(number) ON DELETE CASCADE, at INTEGER NOT NULL, waiting INTEGER NOT NULL,
    added_sum INTEGER NOT NULL, taken INTEGER
);
INSERT INTO "queue_sample" VALUES(2,1796005743775,1,1796005743775,NULL);
INSERT INTO "queue_sample" VALUES(2,1796005743781,2,3592011487556,NULL);
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
INSERT INTO "sample" VALUES(1,'0960ca4e7a18f1e0a599a7076e9bea4b','plot','p','v',0,'',1700000000000,1796005743797,'<unknown>',12,'{}','{"data": []}');
INSERT INTO "sample" VALUES(2,'0960ca4e7a18f1e0a599a7076e9bea4b','training_debug_image','i','v',0,'',1700000000000,1796005743797,'<unknown>',NULL,'{}','http://x/y.png');
CREATE TABLE scalar (
    series INTEGER NOT NULL, iter INTEGER NOT NULL, value REAL, timestamp INTEGER NOT NULL, delay INTEGER NOT NULL,
    form INTEGER NOT NULL, PRIMARY KEY (series, iter)
) WITHOUT ROWID;
INSERT INTO "scalar" VALUES(1,0,0.0,1700000000000,96005743797,1);
INSERT INTO "scalar" VALUES(1,1,0.25,1700000000000,96005743797,1);
INSERT INTO "scalar" VALUES(1,2,0.5,1700000000000,96005743797,1);
INSERT INTO "scalar" VALUES(1,3,0.75,1700000000000,96005743797,1);
INSERT INTO "scalar" VALUES(1,4,1.0,1700000000000,96005743797,1);
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
INSERT INTO "task" VALUES(1,'0960ca4e7a18f1e0a599a7076e9bea4b','d8a3d36f38b7d443420200de4cd92fc7','6320df6a5322458a2578dfc945cfe99f','done task','training','completed','','',1796005743823,'as it was',NULL,'[]',1796005743762,1796005743787,1796005743823,NULL,0,NULL,'e2cf23284e24f77f0d0f6f120a3b7d96','{}','{"test_split":0,"parameters":{},"model_desc":{},"model_labels":{},"artifacts":[]}','["kept"]','[]',1796005743823,1796005743823,'6320df6a5322458a2578dfc945cfe99f',NULL,NULL,4,'{"Args":{"lr":{"section":"Args","name":"lr","value":"0.1"}}}','{}','{"input":[],"output":[]}','{}',NULL,'{"d41d8cd98f00b204e9800998ecf8427e":{"metric":"","event_stats_by_type":{"log":{"last_update":1700000000000}}},"83878c91171338902e0fe0fb97a8c47a":{"metric":"p","event_stats_by_type":{"plot":{"last_update":1700000000000}}},"865c0c0b4ab0e063e5caa3387c1a8741":{"metric":"i","event_stats_by_type":{"training_debug_image":{"last_update":1700000000000}}},"81513effdf5790b79549208838404407":{"metric":"loss","event_stats_by_type":{"training_stats_scalar":{"last_update":1700000000000}}}}','{"binary":"python","repository":"","entry_point":"","requirements":{}}','{}');
INSERT INTO "task" VALUES(2,'d25a4c3e47c1022b779b305cd14bed19','d8a3d36f38b7d443420200de4cd92fc7','6320df6a5322458a2578dfc945cfe99f','waiting 1','testing','queued','','',1796005743781,NULL,NULL,'[]',1796005743765,NULL,NULL,NULL,NULL,NULL,'e2cf23284e24f77f0d0f6f120a3b7d96','{}','{"test_split":0,"parameters":{},"model_desc":{},"model_labels":{},"artifacts":[],"queue":"5188e54fead7f2b27fd42a7372e7cd84"}','[]','[]',1796005743781,1796005743781,'6320df6a5322458a2578dfc945cfe99f',NULL,NULL,0,'{}','{}','{"input":[],"output":[]}','{}','created','{}','{"binary":"python","repository":"","entry_point":"","requirements":{}}','{}');
INSERT INTO "task" VALUES(3,'b2e663791b5fccb44f6dd54c1f15ffc5','d8a3d36f38b7d443420200de4cd92fc7','6320df6a5322458a2578dfc945cfe99f','waiting 2','testing','queued','','',1796005743775,NULL,NULL,'[]',1796005743768,NULL,NULL,NULL,NULL,NULL,'e2cf23284e24f77f0d0f6f120a3b7d96','{}','{"test_split":0,"parameters":{},"model_desc":{},"model_labels":{},"artifacts":[],"queue":"5188e54fead7f2b27fd42a7372e7cd84"}','[]','[]',1796005743775,1796005743775,'6320df6a5322458a2578dfc945cfe99f',NULL,NULL,0,'{}','{}','{"input":[],"output":[]}','{}','created','{}','{"binary":"python","repository":"","entry_point":"","requirements":{}}','{}');
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
INSERT INTO "user" VALUES(1,'6320df6a5322458a2578dfc945cfe99f','d8a3d36f38b7d443420200de4cd92fc7','tester',NULL,NULL,NULL,NULL,'user',NULL,1796005743669,'2.3.0',NULL,0,0);
CREATE TABLE worker (
    user TEXT NOT NULL, id TEXT NOT NULL, address TEXT NOT NULL, session TEXT NOT NULL, registered INTEGER NOT NULL,
    timeout_seconds INTEGER NOT NULL, last_active INTEGER NOT NULL, last_report INTEGER, task TEXT, queue TEXT,
    queues TEXT NOT NULL, tags TEXT NOT NULL, registered_tags TEXT NOT NULL, system_tags TEXT NOT NULL,
    PRIMARY KEY (user, id)
) WITHOUT ROWID;
INSERT INTO "worker" VALUES('6320df6a5322458a2578dfc945cfe99f','host:0','127.0.0.1','fcd9f35f3b1ef3a2444279170802b4ca',1796005743820,60,1796005743820,NULL,NULL,NULL,'["5188e54fead7f2b27fd42a7372e7cd84"]','[]','[]','[]');
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('metric',1);
COMMIT;
PRAGMA user_version=3;
