"""Whether Prometheus' web.yml has a user with the password on standard input ("check"), or have it so ("write")."""

import json
import os
import shutil
import sys

import bcrypt

what, user, path = sys.argv[1:]
password = sys.stdin.buffer.read()
try:
    with open(path) as file:
        # JSON is YAML, and needs no library
        users = json.load(file).get("basic_auth_users") or {}
except (OSError, ValueError):
    users = None
if password:
    fits = bool(users) and set(users) == {user} and bcrypt.checkpw(password, users[user].encode())
else:
    fits = users == {}
if what == "check":
    sys.exit(0 if fits else 1)
wanted = {}
if password:
    wanted = {"basic_auth_users": {user: bcrypt.hashpw(password, bcrypt.gensalt(10)).decode()}}
draft = path + ".new"
with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w") as file:
    json.dump(wanted, file)
shutil.chown(draft, "root", "prometheus")
os.replace(draft, path)
