"""One installation of the official server: ``.env``, the files of ``server/secrets/``, the data folders.

What is there is never overwritten: a second run only adds what is missing and can be added safely. Every secret is
drawn here, none has a default.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import string
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stackyard import extras
from stackyard.errors import BadInputError, StackyardError
from stackyard.official import certificates, sizing
from stackyard_task.records import RecordError, read_json

#: What ClearML's documentation recommends: 30 characters for keys, 50 to 60 for secrets.
KEY_LENGTH = 30
SECRET_LENGTH = 54
#: In ``.env``; Compose hands them to the containers that need them.
KEYS = ("CLEARML_APISERVER_KEY", "CLEARML_FILESERVER_KEY", "CLEARML_WEBSERVER_KEY", "CLEARML_TESTS_KEY")
SECRETS = (
    *("CLEARML_SESSION_SECRET", "CLEARML_TOKEN_SECRET", "CLEARML_APISERVER_SECRET"),
    *("CLEARML_FILESERVER_SECRET", "CLEARML_WEBSERVER_SECRET", "CLEARML_TESTS_SECRET"),
    *("ELASTIC_PASSWORD", "MONGO_CLEARML_PASSWORD", "REDIS_PASSWORD"),
)
#: Folders below the data folder; the containers make none.
FOLDERS = (
    *("data/elastic", "data/mongo/db", "data/mongo/configdb", "data/redis", "data/fileserver"),
    *("data/prometheus", "logs", "snapshots", "front", "agent", "backups"),
)
#: Folders whose content knows the passwords: with something in them, no password is drawn anew.
STORES = ("data/elastic", "data/mongo/db", "data/redis")
#: Who owns data and secret files when root installs: the user the official images are documented to run as.
IMAGE_UID = 1000
#: What Elasticsearch maps: ClearML's documentation.
MAP_COUNT = 524288
PORTS = {"WEB_PORT": 8080, "API_PORT": 8008, "FILES_PORT": 8081, "PROMETHEUS_PORT": 9090}
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_LOGIN = re.compile(r"[A-Za-z0-9._@-]{3,64}")


@dataclass(frozen=True)
class Wanted:
    """What the operator chose."""

    name: str = "localhost"
    bind: str = "127.0.0.1"
    data: Path = Path("/opt/clearml")
    #: MiB of the machine's memory the server may use.
    memory_mb: int = 0
    ports: dict[str, int] = field(default_factory=dict)
    admin: str = "admin"


@dataclass
class Outcome:
    """What an installation made and kept. ``password`` is the web login's, shown once and kept nowhere."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    warnings: list[str] = field(default_factory=list)


def draw(length: int) -> str:
    """A secret of letters and digits that starts with a letter: nothing a shell, YAML or a URL reads as its own,
    and never a number (ClearML reads its variables as JSON first)."""
    letters = string.ascii_letters
    return secrets.choice(letters) + "".join(
        secrets.choice(letters + string.digits) for _ in range(length - 1)
    )


def hash_password(password: str) -> str:
    """The form ClearML's ``pass_hashed`` reads: bcrypt, in base64."""
    if len(password.encode()) > 72:
        raise BadInputError("bcrypt reads 72 bytes of a password and ignores the rest: choose a shorter one")
    return base64.b64encode(_bcrypt(password)).decode()


def _bcrypt(password: str) -> bytes:
    extras.check("clearml", "no password can be hashed for the official server")
    import bcrypt

    return bcrypt.hashpw(password.encode(), bcrypt.gensalt())


def read_env(folder: Path) -> dict[str, str]:
    """The variables of an installation's ``.env``.

    Raises:
        BadInputError: there is none.
    """
    path = folder / ".env"
    if not path.is_file():
        raise BadInputError(f"{path} is missing: run `stackyard official init` first")
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def install(folder: Path, wanted: Wanted) -> Outcome:
    """Make what is missing of an installation.

    Args:
        folder: where docker-compose.yml and server/ are.
        wanted: names, addresses and sizes; a ``.env`` that is there goes before them.

    Raises:
        BadInputError: something given cannot be used, or files are there that do not belong together.
        NotRunnableError: too little memory, or no openssl.
    """
    templates, kept_in = folder / "server", folder / "server" / "secrets"
    if not (folder / "docker-compose.yml").is_file() or not (templates / "env.template").is_file():
        raise BadInputError(
            f"{folder} holds no docker-compose.yml with its server/ beside it: give a checkout with --folder"
        )
    outcome = Outcome()
    env_path = folder / ".env"
    fresh = not env_path.exists()
    owner = (IMAGE_UID, IMAGE_UID) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    if fresh:
        if kept_in.is_dir() and any(kept_in.iterdir()):
            raise BadInputError(
                f"{kept_in} holds secrets but {env_path} is missing: they belong together; put .env back, "
                "or move server/secrets away to begin anew"
            )
        values = _choose(wanted, owner)
    else:
        values = read_env(folder)
        missing = [name for name in (*KEYS, *SECRETS) if not values.get(name)]
        if missing:
            raise BadInputError(f"{env_path} lacks {', '.join(missing)}; put it back from a backup")
        values.setdefault("REDIS_MEMORY_MB", str(int(values["REDIS_LIMIT_MB"]) * 2 // 3))
        outcome.kept.append(".env")
    data = Path(values["CLEARML_FOLDER"])
    _make_folders(data, outcome, owner)
    _make_private(kept_in, owner)
    used = any(any((data / name).iterdir()) for name in STORES)
    texts = _files(templates, kept_in, values)
    unknown = "mongo_root_password"  # in no other place, so it cannot be made again
    if used and not (kept_in / unknown).exists():
        raise BadInputError(
            f"{kept_in / unknown} is missing but {data} holds databases that were made with it: "
            "put the file back from a backup, or give an empty folder with --data"
        )
    for name, text in texts.items():
        _write(kept_in / name, text, outcome, folder, owner)
    _make_users(kept_in, templates, values, wanted, outcome, folder, owner)
    _make_certificates(kept_in, values["SERVER_NAME"], outcome, folder, owner)
    if not (
        kept_in / "agent.conf"
    ).exists():  # Compose wants the file to be there; the command `credentials` fills it
        _write(kept_in / "agent.conf", "", outcome, folder, owner)
    if fresh:  # last: an installation without it is not one
        _write(env_path, fill(templates / "env.template", values), outcome, folder, None)
    outcome.warnings.extend(_warnings(values))
    return outcome


def set_user(folder: Path, login: str, password: str, name: str | None = None) -> bool:
    """Add a person to the web login, or give one another password; whether they are new.

    The API server reads it when it starts.
    """
    _check_login(login)
    values, kept_in = read_env(folder), folder / "server" / "secrets"
    path = kept_in / "users.json"
    users = _users(path)
    new = all(user["username"] != login for user in users)
    entry = {"username": login, "password": hash_password(password), "name": name or login}
    users = [user for user in users if user["username"] != login] + [entry]
    texts = {
        path: json.dumps(users, indent=1),
        kept_in / "apiserver.conf": _apiserver_conf(folder, values, users),
    }
    for target, text in texts.items():
        owner = target.stat()
        # In place: the container's mount is this very file.
        with target.open("r+", encoding="utf-8") as file:
            file.write(text)
            file.truncate()
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
    return new


def fill(template: Path, values: dict[str, str]) -> str:
    """A template's text with every ``@NAME@`` replaced.

    Raises:
        StackyardError: a name has no value.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise StackyardError(f"{template}: @{found[1]}@ has no value")
        return values[found[1]]

    return re.sub(r"@([A-Z_]+)@", value, template.read_text(encoding="utf-8"))


def _choose(wanted: Wanted, owner: tuple[int, int]) -> dict[str, str]:
    """Everything ``.env`` says, for a new installation."""
    if not _NAME.fullmatch(wanted.name):
        raise BadInputError(f"--host {wanted.name!r} is no host name or address")
    if re.search(r"[\s'\"$#]", str(wanted.data)) or not wanted.data.is_absolute():
        raise BadInputError(
            f"--data {str(wanted.data)!r}: expected an absolute path without spaces, quotes, $ and #"
        )
    _check_login(wanted.admin)
    memory_mb = wanted.memory_mb or sizing.memory_of_machine(
        Path("/proc/meminfo").read_text(encoding="utf-8")
    )
    ports = {**PORTS, **wanted.ports}
    if len(set(ports.values())) < len(ports):
        raise BadInputError("two of the ports are the same")
    values = {
        "SERVER_NAME": wanted.name,
        "BIND_ADDRESS": wanted.bind,
        "CLEARML_FOLDER": str(wanted.data),
        "SERVER_UID": str(owner[0]),
        "SERVER_GID": str(owner[1]),
        "MEMORY_MB": str(memory_mb),
        **{name: str(port) for name, port in ports.items()},
        **sizing.sizes(memory_mb),
    }
    values.update({name: draw(KEY_LENGTH) for name in KEYS})
    values.update({name: draw(SECRET_LENGTH) for name in SECRETS})
    return values


def _files(templates: Path, kept_in: Path, values: dict[str, str]) -> dict[str, str]:
    """The secret files that containers read, by name."""
    password = kept_in / "prometheus_password"
    monitor = password.read_text(encoding="utf-8") if password.exists() else draw(SECRET_LENGTH)
    hashed = _bcrypt(monitor).decode()
    return {
        "elastic_password": values["ELASTIC_PASSWORD"],
        "mongo_root_password": draw(SECRET_LENGTH),
        "mongo_clearml_password": values["MONGO_CLEARML_PASSWORD"],
        "redis_password": values["REDIS_PASSWORD"],
        "redis.conf": fill(templates / "redis.conf.template", values),
        "prometheus_password": monitor,
        "prometheus-web.yml": fill(
            templates / "prometheus" / "web.yml.template", {"PROMETHEUS_HASH": hashed}
        ),
    }


def _make_users(
    kept_in: Path,
    templates: Path,
    values: dict[str, str],
    wanted: Wanted,
    outcome: Outcome,
    folder: Path,
    owner: tuple[int, int],
) -> None:
    path = kept_in / "users.json"
    if not path.exists():
        outcome.login, outcome.password = wanted.admin, draw(20)
        users = [
            {"username": wanted.admin, "password": hash_password(outcome.password), "name": wanted.admin}
        ]
        _write(path, json.dumps(users, indent=1), outcome, folder, owner)
    users = _users(path)
    _write(
        kept_in / "apiserver.conf", _apiserver_conf(templates.parent, values, users), outcome, folder, owner
    )


def _users(path: Path) -> list[dict[str, str]]:
    """The people of the web login.

    Raises:
        BadInputError: the file is not the list that was written.
    """
    try:
        return [asdict(user) for user in read_json(list[_User], path)]
    except RecordError as error:
        raise BadInputError(f"{error}; restore it from a backup") from error


@dataclass(frozen=True)
class _User:
    username: str
    password: str
    name: str


def _apiserver_conf(folder: Path, values: dict[str, str], users: list[dict[str, str]]) -> str:
    lines = ",\n            ".join(
        "{"
        + ", ".join(f"{name}: {json.dumps(user[name])}" for name in ("username", "password", "name"))
        + "}"
        for user in users
    )
    web = f"https://{values['SERVER_NAME']}:{values['WEB_PORT']}"
    return fill(
        folder / "server" / "config" / "apiserver.conf.template", {"USERS": f"    {lines}", "WEB_URL": web}
    )


def _make_certificates(
    kept_in: Path, name: str, outcome: Outcome, folder: Path, owner: tuple[int, int]
) -> None:
    there = [file for file in ("tls.key", "tls.crt", "ca.crt") if (kept_in / file).exists()]
    if len(there) == 3:
        outcome.kept.extend(f"server/secrets/{file}" for file in there)
        return
    if there:
        raise BadInputError(
            f"{kept_in} holds {' and '.join(there)} but not all of tls.key, tls.crt and ca.crt: put the rest beside"
        )
    certificates.make(kept_in, name)
    for file in certificates.FILES:
        path = kept_in / file
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, *owner)
        outcome.made.append(str(path.relative_to(folder)))


def _make_folders(data: Path, outcome: Outcome, owner: tuple[int, int]) -> None:
    for name in FOLDERS:
        path = data / name
        if path.is_dir():
            continue
        try:
            path.mkdir(parents=True, mode=0o700)
            if os.geteuid() == 0:
                for made in (path, *(p for p in path.parents if p != data and p.is_relative_to(data))):
                    os.chown(made, *owner)
        except PermissionError as error:
            raise BadInputError(
                f"{path} cannot be made ({error.strerror}): run this as root, or give a folder of yours with --data"
            ) from error
        outcome.made.append(str(path))


def _make_private(path: Path, owner: tuple[int, int]) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(path, *owner)


def _write(path: Path, text: str, outcome: Outcome, folder: Path, owner: tuple[int, int] | None) -> None:
    """A file only its owner reads; one that is there stays."""
    shown = str(path.relative_to(folder))
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        outcome.kept.append(shown)
        return
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)
        if owner is not None and os.geteuid() == 0:
            os.fchown(number, *owner)
    outcome.made.append(shown)


def _check_login(login: str) -> None:
    if not _LOGIN.fullmatch(login):
        raise BadInputError(f"login {login!r}: expected 3 to 64 letters, digits, . _ @ or -")


def _warnings(values: dict[str, str]) -> list[str]:
    found = []
    path = Path("/proc/sys/vm/max_map_count")
    count = int(path.read_text()) if path.is_file() else MAP_COUNT
    if count < MAP_COUNT:
        found.append(
            f"vm.max_map_count is {count}; Elasticsearch wants {MAP_COUNT}: "
            f"echo vm.max_map_count={MAP_COUNT} > /etc/sysctl.d/99-clearml.conf && sysctl --system"
        )
    if values["BIND_ADDRESS"] not in ("127.0.0.1", "::1") and values["SERVER_NAME"] == "localhost":
        found.append(
            "others reach this machine by another name than localhost: addresses of files would be wrong"
        )
    return found
