"""What this installation says of clusters: ``clusters.toml`` in STACKYARD_HOME, or the file $STACKYARD_CLUSTERS.

Read once for each deployment; a file that is not there says nothing. docs/clusters.md describes every key.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackyard.settings import Settings
from stackyard.toml_tables import Fields, read

VARIABLE = "STACKYARD_CLUSTERS"
FILE = "clusters.toml"
#: A scheduler is asked at most so often: others ask it too.
LEAST_POLL_SECONDS, MOST_POLL_SECONDS = 0.5, 300.0
MOST_MINUTES = 60 * 24 * 365
MOST_OPTIONS = 64
#: Options of sbatch that each run has by itself: one that were given twice would be ignored, or break a run.
_OURS = (
    *(
        "array",
        "chdir",
        "clusters",
        "comment",
        "cpus-per-task",
        "error",
        "exclusive",
        "export",
        "gpus",
        "gres",
    ),
    *(
        "help",
        "input",
        "job-name",
        "mem",
        "mem-per-cpu",
        "nodes",
        "no-requeue",
        "ntasks",
        "open-mode",
        "output",
    ),
    *("parsable", "partition", "account", "qos", "constraint", "reservation", "quiet", "requeue", "signal"),
    *("test-only", "time", "usage", "verbose", "version", "wait", "wrap"),
)
_WORD = r"[A-Za-z0-9][A-Za-z0-9._,&|*\[\]()@:+-]{0,199}"
#: The names of Kubernetes: labels of DNS, joined by dots.
_DNS = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_IMAGE = r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,499}"


@dataclass(frozen=True)
class SlurmSettings:
    """The table [slurm]."""

    #: ``None``: the cluster's default.
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    #: Whether a run has its node for itself, whatever it needs of it.
    exclusive: bool = False
    #: The type in --gres=gpu:TYPE:N; ``None``: any.
    gpu_type: str | None = None
    #: Slurm's limit for runs without a time limit of their own, minutes; ``None``: the partition's default.
    minutes: int | None = None
    #: Further options of sbatch, as they are.
    options: tuple[str, ...] = ()
    #: Whether every node sees STACKYARD_HOME and the run folders under the same names; ``None``: nobody says.
    shared: bool | None = None
    #: How often Slurm is asked at most, seconds.
    poll_seconds: float = 2.0


@dataclass(frozen=True)
class KubernetesSettings:
    """The table [kubernetes]."""

    #: A folder of this machine that is a volume of the cluster: stacks' code, data and run folders lie below it.
    shared_folder: Path | None = None
    #: The volume: a claim ...
    claim: str | None = None
    #: ... or a folder of every node.
    host_path: str | None = None
    namespace: str = "default"
    #: A context of kubectl's configuration; ``None``: the current one.
    context: str | None = None
    #: Stack -> image, as the cluster's nodes can pull it; by digest.
    images: tuple[tuple[str, str], ...] = ()
    pull_secret: str | None = None
    #: Labels of the nodes that may take a run.
    node_selector: tuple[tuple[str, str], ...] = ()
    runtime_class: str | None = None
    #: Whose the files in the shared folder are; never root's.
    user: int | None = None
    group: int | None = None
    #: What a run without limits in its scenario asks for.
    cores: float = 1.0
    memory_bytes: int = 2 * 2**30
    #: A run's container may write so much to its temporary folder.
    temporary_bytes: int = 2**30
    #: A finished Job is kept so long.
    keep_seconds: int = 3600
    minutes: int | None = None
    poll_seconds: float = 2.0


def slurm(settings: Settings) -> SlurmSettings:
    """The table [slurm], every value checked.

    Raises:
        BadInputError: the file or a value in it cannot be used.
    """
    fields, table = _table(settings, "slurm")
    if fields is None:
        return SlurmSettings()
    words = ("partition", "account", "qos", "constraint", "reservation", "gpu_type")
    fields.keys(table, "slurm", [*words, "exclusive", "minutes", "options", "shared", "poll_seconds"])
    named = {
        key: fields.text(table, "slurm", key, like=_WORD, expected="a word without spaces")
        for key in words
        if key in table
    }
    return SlurmSettings(
        exclusive=fields.flag(table, "slurm", "exclusive", False),
        minutes=_minutes(fields, table, "slurm"),
        options=_options(fields, table),
        shared=fields.flag(table, "slurm", "shared", False) if "shared" in table else None,
        poll_seconds=_poll(fields, table, "slurm"),
        **named,
    )


def kubernetes(settings: Settings) -> KubernetesSettings:
    """The table [kubernetes], every value checked.

    Raises:
        BadInputError: the file or a value in it cannot be used.
    """
    where = "kubernetes"
    fields, table = _table(settings, where)
    if fields is None:
        return KubernetesSettings()
    words = ("claim", "namespace", "pull_secret", "runtime_class")
    others = ("shared_folder", "host_path", "context", "images", "node_selector", "user", "group", "cores")
    more = ("memory", "temporary", "keep_seconds", "minutes", "poll_seconds")
    fields.keys(table, where, [*words, *others, *more])
    named: dict[str, Any] = {
        key: fields.text(table, where, key, like=_DNS, expected="a name of Kubernetes")
        for key in words
        if key in table
    }
    if "context" in table:
        named["context"] = fields.text(
            table, where, "context", like=r"[\w@.:/+-]{1,250}", expected="a context's name"
        )
    for key in ("shared_folder", "host_path"):
        if key in table:
            named[key] = fields.text(
                table, where, key, like=r"/[^\0\n:]*[^\0\n:/]", expected="an absolute path"
            )
    if "shared_folder" in named:
        named["shared_folder"] = Path(named["shared_folder"])
    if ("claim" in named) == ("host_path" in named):
        raise fields.bad(where, "names the volume of shared_folder", "either claim or host_path")
    for key in ("user", "group"):
        if key in table:
            named[key] = fields.whole(table, where, key, 0, low=1, high=2**31 - 2)
    if "cores" in table:
        named["cores"] = fields.positive(table, where, "cores", None)
    for key in ("memory", "temporary"):
        if key in table:
            named[f"{key}_bytes"] = fields.size(table[key], f"{where}.{key}")
    return KubernetesSettings(
        images=_pairs(fields, table, "images", _IMAGE, "an image's name"),
        node_selector=_pairs(fields, table, "node_selector", r"[A-Za-z0-9._-]{0,63}", "a label's value"),
        keep_seconds=fields.whole(table, where, "keep_seconds", 3600, low=60, high=30 * 86400),
        minutes=_minutes(fields, table, where),
        poll_seconds=_poll(fields, table, where),
        **named,
    )


def with_user(settings: KubernetesSettings, user: int) -> KubernetesSettings:
    """The settings with a user where they name none."""
    return dataclasses.replace(settings, user=user)


def _table(settings: Settings, name: str) -> tuple[Fields | None, dict[str, Any]]:
    told = os.environ.get(VARIABLE)
    path = Path(told) if told else settings.home / FILE
    if not told and not path.exists():
        return None, {}
    document = read(path)
    fields = Fields(str(path), document)
    fields.keys(document, "", ["slurm", "kubernetes"], "table")
    table = fields.table(name)
    return (fields, table) if name in document else (None, {})


def _minutes(fields: Fields, table: dict[str, Any], where: str) -> int | None:
    if "minutes" not in table:
        return None
    return fields.whole(table, where, "minutes", 0, low=1, high=MOST_MINUTES)


def _poll(fields: Fields, table: dict[str, Any], where: str) -> float:
    seconds = fields.positive(table, where, "poll_seconds", SlurmSettings.poll_seconds) or 0.0
    if not LEAST_POLL_SECONDS <= seconds <= MOST_POLL_SECONDS:
        expected = f"seconds from {LEAST_POLL_SECONDS:g} to {MOST_POLL_SECONDS:g}"
        raise fields.bad(f"{where}.poll_seconds", f"is {seconds:g}", expected)
    return seconds


def _options(fields: Fields, table: dict[str, Any]) -> tuple[str, ...]:
    like, expected = r"--[a-z][a-z-]*(=[^\0\n]{0,500})?", 'options such as "--mail-type=FAIL"'
    options = fields.texts(table, "slurm", "options", like, expected) or ()
    if len(options) > MOST_OPTIONS:
        raise fields.bad("slurm.options", f"has {len(options)} options", f"{MOST_OPTIONS} at most")
    for option in options:
        name = option[2:].partition("=")[0]
        # sbatch takes what begins a name for the name
        if any(own.startswith(name) for own in _OURS):
            said = "none of those that each run has by itself; partition, account and others are keys"
            raise fields.bad("slurm.options", f"holds {option!r}", said)
    return options


def _pairs(
    fields: Fields, table: dict[str, Any], key: str, like: str, expected: str
) -> tuple[tuple[str, str], ...]:
    where = f"kubernetes.{key}"
    inner = fields.inner(table, "kubernetes", key)
    for name in inner:
        if len(name) > 253 or not name.strip():
            raise fields.bad(where, f"holds {name!r}", "a name")
    return tuple(
        (name, fields.text(inner, where, name, like=like, expected=expected)) for name in sorted(inner)
    )
