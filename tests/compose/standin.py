#!/usr/bin/python3
"""Stands in for the programs of the official images: one file, called by the names of those programs.

Each answers on its real port and ends with a sentence where a secret it needs is missing, short, or not the one that
the store it talks to was started with. Redis, nginx, Prometheus, curl and wget in the stand-in image are real.
"""

import base64
import http.server
import itertools
import json
import os
import re
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.request

SECURE = [
    "HTTP__SESSION_SECRET__APISERVER",
    "AUTH__TOKEN_SECRET",
    *(
        f"CREDENTIALS__{who}__USER_{what}"
        for who in ("APISERVER", "FILESERVER", "WEBSERVER", "TESTS")
        for what in ("KEY", "SECRET")
    ),
]
FILES_NEED = [name for name in SECURE if name.startswith(("HTTP", "AUTH")) or "__FILESERVER__" in name]


def refuse(reason):
    sys.exit(f"stand-in {os.path.basename(sys.argv[0])}: {reason}")


def secret(name):
    """A variable of the environment that must hold something that was generated."""
    value = os.environ.get(name, "")
    if len(value) < 30 or not value.isalnum():
        refuse(f"{name} is missing or no generated secret")
    return value


def secret_file(path, least=30):
    try:
        with open(path, encoding="utf-8") as file:
            value = file.read().strip()
    except OSError as error:
        refuse(f"{path}: {error.strerror}")
    if len(value) < least:
        refuse(f"{path} holds no generated secret")
    return value


def secure(names):
    values = [secret(f"CLEARML__SECURE__{name}") for name in names]
    if len(set(values)) != len(values):
        refuse("two secrets are the same")


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def serve(port, answer, tls=None):
    """HTTP until told to end; ``answer(method, path, headers, body)`` -> (status, object)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, value = answer(self.command, self.path, self.headers, body)
            data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 401:
                self.send_header("WWW-Authenticate", "Basic realm=stand-in")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    print(f"answers on {port}", flush=True)
    server.serve_forever()


# --- data stores ---


def elasticsearch():
    password = secret_file(os.environ.get("ELASTIC_PASSWORD_FILE", "/nowhere"))
    for name, expected in (("xpack.security.enabled", "true"), ("discovery.type", "single-node")):
        if os.environ.get(name) != expected:
            refuse(f"{name} is {os.environ.get(name)!r}, not {expected!r}")
    heap = re.fullmatch(r"-Xms(\d+)m -Xmx\1m", os.environ.get("ES_JAVA_OPTS", ""))
    if not heap:
        refuse("the heap has no one size")
    for folder in ("/usr/share/elasticsearch/data", os.environ["path.repo"]):  # noqa: SIM112
        if not os.access(folder, os.W_OK):
            refuse(f"{folder} cannot be written")

    def answer(method, path, headers, body):
        if headers.get("Authorization") != basic("elastic", password):
            return 401, {"error": "missing authentication credentials", "status": 401}
        if path.startswith("/_snapshot") and method == "PUT":
            given = json.loads(body or b"{}")
            if "settings" in given:
                elasticsearch.location = given["settings"]["location"]
                os.makedirs(elasticsearch.location, exist_ok=True)
                return 200, {"acknowledged": True}
            with open(os.path.join(elasticsearch.location, "index-0"), "w", encoding="utf-8") as file:
                file.write("a snapshot of the stand-in\n")
            return 200, {"snapshot": {"state": "SUCCESS", "failures": []}}
        if path.startswith("/_snapshot") and path.partition("?")[0].endswith("_restore"):
            found = os.path.exists(os.path.join(elasticsearch.location, "index-0"))
            return (200 if found else 404), {"snapshot": {"shards": {"failed": 0, "total": 1}}}
        return 200, {"status": "green", "acknowledged": True}

    serve(9200, answer)


def mongod():
    """Speaks one JSON line for another instead of MongoDB's protocol; knows the two users of the real thing."""
    users = {
        os.environ["MONGO_INITDB_ROOT_USERNAME"]: secret_file(os.environ["MONGO_INITDB_ROOT_PASSWORD_FILE"]),
    }
    with open("/docker-entrypoint-initdb.d/create-user.js", encoding="utf-8") as file:
        if 'user: "clearml"' not in file.read():
            refuse("the script that makes the user clearml is not there")
    users["clearml"] = secret_file(os.environ["CLEARML_PASSWORD_FILE"])
    for folder in ("/data/db", "/data/configdb"):
        if not os.access(folder, os.W_OK):
            refuse(f"{folder} cannot be written")
    listener = socket.create_server(("0.0.0.0", 27017))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("answers on 27017", flush=True)

    def talk(connection):
        with connection, connection.makefile("rw") as stream:
            given = json.loads(stream.readline() or "{}")
            right = bool(given.get("password")) and users.get(given.get("user")) == given.get("password")
            stream.write(json.dumps({"ok": int(right)}) + "\n")

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=talk, args=(connection,), daemon=True).start()


def mongo_knows(host, user, password):
    with (
        socket.create_connection((host, 27017), timeout=5) as connection,
        connection.makefile("rw") as stream,
    ):
        stream.write(json.dumps({"user": user, "password": password}) + "\n")
        stream.flush()
        return json.loads(stream.readline())["ok"] == 1


def options():
    """--name value and --name=value of the command line; values of a --config file (YAML lines) too."""
    found, arguments = {}, sys.argv[1:]
    while arguments:
        name, _, value = arguments.pop(0).partition("=")
        if not value and arguments and not arguments[0].startswith("--"):
            value = arguments.pop(0)
        found[name.lstrip("-")] = value
    if "config" in found:
        with open(found["config"], encoding="utf-8") as file:
            for line in file:
                name, _, value = line.partition(":")
                found[name.strip()] = value.strip()
    return found


def mongosh():
    said = options()["eval"]
    file = re.search(r"readFileSync\(process\.env\.(\w+)", said)
    asked = re.search(
        r'connect\("mongodb://(\w+):" \+ encodeURIComponent\(\w+\) \+ "@(\w+):27017/admin"\)', said
    )
    with open(os.environ[file[1]], encoding="utf-8") as password:
        if not mongo_knows(asked[2], asked[1], password.read().strip()):
            sys.exit("MongoServerError: Authentication failed.")
    print(1)


def mongodump():
    given = options()
    if not mongo_knows("127.0.0.1", given["username"], given["password"]):
        sys.exit("Failed: can't create session: Authentication failed.")
    sys.stdout.write("an archive of the stand-in\n")


def mongorestore():
    given = options()
    if not mongo_knows("127.0.0.1", given["username"], given["password"]):
        sys.exit("Failed: can't create session: Authentication failed.")
    if sys.stdin.read() != "an archive of the stand-in\n":
        sys.exit("Failed: stream or file does not appear to be a mongodump archive")


def redis_knows(host, port, password):
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        said = b""
        while said.count(b"\r\n") < 2:
            piece = connection.recv(200)
            if not piece:
                break
            said += piece
        return said == b"+OK\r\n+PONG\r\n"


# --- ClearML ---


def need_redis():
    host, port = os.environ["CLEARML_REDIS_SERVICE_HOST"], os.environ["CLEARML_REDIS_SERVICE_PORT"]
    if not redis_knows(host, port, secret("CLEARML_REDIS_SERVICE_PASSWORD")):
        refuse("Redis does not take the password")


def need_elastic(url, user, password):
    asked = urllib.request.Request(url, headers={"Authorization": basic(user, password)})
    try:
        urllib.request.urlopen(asked, timeout=5).close()
    except OSError as error:
        refuse(f"Elasticsearch: {error}")


def apiserver():
    secure(SECURE)
    need_redis()
    url = f"http://{os.environ['CLEARML_ELASTIC_SERVICE_HOST']}:{os.environ['CLEARML_ELASTIC_SERVICE_PORT']}"
    need_elastic(
        url, os.environ["CLEARML_ELASTIC_SERVICE_USERNAME"], secret("CLEARML_ELASTIC_SERVICE_PASSWORD")
    )
    said = os.environ["CLEARML_MONGODB_SERVICE_CONNECTION_STRING"]
    found = re.fullmatch(r"mongodb://(\w+):(\w+)@(\w+):27017/\?authSource=admin", said)
    if not found or not mongo_knows(found[3], found[1], found[2]):
        refuse("MongoDB does not take the connection string")
    with open("/opt/clearml/config/apiserver.conf", encoding="utf-8") as file:
        conf = file.read()
    for line in ("pass_hashed: true", "enabled: true", "secure: true", "username:"):
        if line not in conf:
            refuse(f"apiserver.conf lacks {line!r}: everybody could come in")
    with open("/opt/clearml/config/services.conf", encoding="utf-8"):
        pass
    with open("/var/log/clearml/apiserver.log", "a", encoding="utf-8") as log:
        log.write("started\n")
    workers = []
    numbers = itertools.count(1)

    def answer(method, path, headers, body):
        name = path.strip("/").split("/")[-1]
        data = {}
        if name == "workers.register":
            workers[:] = [{"id": json.loads(body)["worker"]}]
        elif name == "workers.get_all":
            data = {"workers": workers}
        elif name == "auth.login":  # a stand-in takes anybody
            data = {"token": "a token of the stand-in"}
        elif name == "auth.create_credentials":
            data = {"credentials": {"access_key": f"KEY{next(numbers):017d}", "secret_key": "s" * 40}}
        elif name == "auth.revoke_credentials":
            data = {"revoked": 1}
        meta = {"result_code": 200, "result_subcode": 0, "result_msg": "OK", "endpoint": {"name": name}}
        return 200, {"meta": meta, "data": data, "seen": {"method": method, "bytes": len(body)}}

    serve(8008, answer)


def fileserver():
    secure(FILES_NEED)
    need_redis()
    if not os.access("/mnt/fileserver", os.W_OK):
        refuse("/mnt/fileserver cannot be written")

    def answer(method, path, headers, body):
        if method == "GET" and path == "/":
            return 405, "method not allowed"
        if method == "POST":
            with open("/mnt/fileserver/upload", "wb") as file:
                file.write(body)
            return 200, ["upload"]
        if path == "/page.html":
            return 200, "<script>alert(1)</script>"
        return 401, {"error": "no token"}

    serve(8081, answer)


def webserver():
    serve(
        80,
        lambda method, path, headers, body: (200, "{}" if path == "/configuration.json" else "<html>ClearML"),
    )


# --- profiles ---


def elasticsearch_exporter():
    need_elastic(options()["es.uri"], os.environ["ES_USERNAME"], secret("ES_PASSWORD"))
    serve(9114, lambda *_: (200, "elasticsearch_up 1\n"))


def redis_exporter():
    host, port = os.environ["REDIS_ADDR"].split("//")[1].split(":")
    if not redis_knows(host, port, secret("REDIS_PASSWORD")):
        refuse("Redis does not take the password")
    serve(9121, lambda *_: (200, "ok"))


def clearml_agent():
    import pyhocon

    api = pyhocon.ConfigFactory.parse_file(os.environ["CLEARML_CONFIG_FILE"])["api"]
    context = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
    key = basic(api["credentials"]["access_key"], api["credentials"]["secret_key"])
    while True:
        asked = urllib.request.Request(
            api["api_server"] + "/workers.register",
            json.dumps({"worker": os.environ["CLEARML_WORKER_ID"]}).encode(),
            {"Authorization": key, "Content-Type": "application/json"},
        )
        try:
            urllib.request.urlopen(asked, timeout=10, context=context).close()
        except OSError as error:  # the server restarts; an agent waits for it
            print(error, flush=True)
        time.sleep(1)


if __name__ == "__main__":
    globals()[os.path.basename(sys.argv[0]).replace("-", "_")]()
