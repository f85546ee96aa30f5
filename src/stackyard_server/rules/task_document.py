"""The parts of a task's document: what they hold when nothing was said, and how what a client sends is laid over them.

Pure: dicts in, new dicts out. Old clients' fields are translated here (``execution.docker_cmd`` is ``container``,
``execution.parameters`` are ``hyperparams``). Null stands for absent, everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Part = dict[str, Any]

#: The section of a legacy parameter that names none.
DEFAULT_SECTION = "Args"
SCRIPT_FIELDS = (
    "binary",
    "repository",
    "tag",
    "branch",
    "version_num",
    "entry_point",
    "working_dir",
    "requirements",
    "diff",
)
EXECUTION_FIELDS = ("queue", "model_desc", "model_labels", "framework", "artifacts", "test_split")
#: What the input model is called of a client that gives it no name.
INPUT_MODEL = "Input Model"
#: The section of what users note about a task; it may be changed in any status.
NOTES_SECTION = "properties"
#: Text that is kept to the letter: white space in it has a meaning.
VERBATIM = frozenset({"diff"})


def present(value: Mapping[str, Any] | None) -> Part:
    """The entries that are not null."""
    return {k: v for k, v in (value or {}).items() if v is not None}


def empty_script() -> Part:
    """The script of a task about which nothing is known."""
    return {"binary": "python", "repository": "", "entry_point": "", "requirements": {}}


def empty_execution() -> Part:
    """The execution of a new task."""
    return {"test_split": 0, "parameters": {}, "model_desc": {}, "model_labels": {}, "artifacts": []}


def script(sent: Mapping[str, Any] | None, base: Mapping[str, Any] | None = None) -> Part:
    """``base`` with the fields of ``sent`` over it, stripped of outer white space."""
    out = dict(base or empty_script())
    for name, value in present(sent).items():
        if name in SCRIPT_FIELDS:
            out[name] = value.strip() if isinstance(value, str) and name not in VERBATIM else value
    return out


def execution(sent: Mapping[str, Any] | None, base: Mapping[str, Any] | None = None) -> Part:
    """``base`` with the fields of ``sent`` over it; the legacy fields are left out."""
    out = {**empty_execution(), **(base or {})}
    for name, value in present(sent).items():
        if name in EXECUTION_FIELDS:
            out[name] = artifacts(value) if name == "artifacts" else value
    out["parameters"] = {}
    return out


def artifact(sent: Mapping[str, Any]) -> Part:
    """One artifact as it is kept."""
    out = {"mode": "output", **present(sent)}
    if "type_data" in out:
        out["type_data"] = present(out["type_data"])
    return out


def artifacts(sent: Iterable[Mapping[str, Any] | None]) -> list[Part]:
    """Artifacts, one per key and mode: the last one counts."""
    return list({(a["key"], a["mode"]): a for a in (artifact(s) for s in sent if s)}.values())


def with_display_data(part: Mapping[str, Any]) -> Part:
    """An execution whose artifacts all have their ``display_data``: how it is kept, though not how it is answered."""
    filled = [{"display_data": [], **a} for a in part.get("artifacts") or []]
    return {**part, "artifacts": filled}


def upsert_artifacts(
    held: Iterable[Mapping[str, Any]], sent: Iterable[Mapping[str, Any] | None]
) -> list[Part]:
    """The artifacts with those of ``sent`` added, or put in the place of the same key and mode."""
    by_key = {(a["key"], a.get("mode", "output")): dict(a) for a in held}
    for new in artifacts(sent):
        by_key[new["key"], new["mode"]] = new
    return list(by_key.values())


def drop_artifacts(held: Iterable[Mapping[str, Any]], sent: Iterable[Mapping[str, Any] | None]) -> list[Part]:
    """The artifacts without those named by key and mode."""
    gone = {(a["key"], a.get("mode") or "output") for a in sent if a}
    return [dict(a) for a in held if (a["key"], a.get("mode", "output")) not in gone]


def hyperparams(sent: Mapping[str, Any] | None) -> Part:
    """Sections of parameters; section and name are those of the keys."""
    return {
        section: {
            name: {"section": section, "name": name, **_value_of(item)}
            for name, item in (items or {}).items()
            if item is not None
        }
        for section, items in (sent or {}).items()
    }


def _value_of(item: Mapping[str, Any]) -> Part:
    return {k: v for k, v in item.items() if v is not None and k not in ("section", "name")}


def listed_hyperparams(sent: Iterable[Mapping[str, Any] | None]) -> Part:
    """Sections of parameters, from a list of items that each name section and name."""
    sections: Part = {}
    for item in sent:
        if item:
            section, name = item["section"], item["name"]
            sections.setdefault(section, {})[name] = {"section": section, "name": name, **_value_of(item)}
    return sections


def are_notes(sent: Iterable[Mapping[str, Any] | None]) -> bool:
    """Whether all parameters of a list are user properties."""
    return all(item["section"] == NOTES_SECTION for item in sent if item)


def merge_hyperparams(held: Mapping[str, Any], new: Mapping[str, Any], replace: str = "none") -> Part:
    """``held`` with ``new``.

    Args:
        held: The sections there are.
        new: The sections to bring in.
        replace: "none" sets the parameters named, "section" replaces the sections named, "all" replaces everything.
    """
    if replace == "all":
        return dict(new)
    out = dict(held)
    for section, items in new.items():
        out[section] = dict(items) if replace == "section" else {**out.get(section, {}), **items}
    return out


def drop_hyperparams(held: Mapping[str, Any], sent: Iterable[Mapping[str, Any] | None]) -> Part:
    """The sections without those named, or without the single parameters named; an empty section goes."""
    out = {section: dict(items) for section, items in held.items()}
    for key in sent:
        if not key or key["section"] not in out:
            continue
        if key.get("name") is None:
            del out[key["section"]]
        else:
            out[key["section"]].pop(key["name"], None)
            if not out[key["section"]]:
                del out[key["section"]]
    return out


def configuration(sent: Mapping[str, Any] | None) -> Part:
    """Configuration objects by name."""
    return {
        name: {"name": name, **_value_of(item)} for name, item in (sent or {}).items() if item is not None
    }


def listed_configuration(sent: Iterable[Mapping[str, Any] | None]) -> Part:
    """Configuration objects by name, from a list."""
    return {item["name"]: {"name": item["name"], **_value_of(item)} for item in sent if item}


def models(sent: Mapping[str, Any] | None, updated: str) -> Part:
    """The input and output models, one of each name; ``updated`` is the instant shown for those that have none."""
    out: Part = {}
    for kind in ("input", "output"):
        items = [m for m in present(sent).get(kind, []) if m]
        out[kind] = list({m["name"]: {"updated": updated, **present(m)} for m in items}.values())
    return out


def upsert_model(held: Mapping[str, Any], kind: str, name: str, model: str, updated: str) -> Part:
    """The models with one added, or put in the place of the same name."""
    out = {"input": list(held.get("input") or []), "output": list(held.get("output") or [])}
    new = {"name": name, "model": model, "updated": updated}
    out[kind] = [m for m in out[kind] if m.get("name") != name] + [new]
    return out


def drop_models(held: Mapping[str, Any], sent: Iterable[Mapping[str, Any] | None]) -> Part:
    """The models without those named by type and name."""
    gone = {(m["type"], m["name"]) for m in sent if m}
    return {k: [m for m in held.get(k) or [] if (k, m.get("name")) not in gone] for k in ("input", "output")}


def translate_legacy(sent: Mapping[str, Any]) -> Part:
    """The fields that old clients put into ``execution``, where newer ones put them.

    Returns:
        ``container`` and ``hyperparams``, as far as ``execution`` speaks of them and the request does not itself.
    """
    old = present(sent.get("execution"))
    out: Part = {}
    command = old.get("docker_cmd")
    if isinstance(command, str) and command.strip() and sent.get("container") is None:
        image, _, arguments = command.strip().partition(" ")
        out["container"] = {"image": image, "arguments": arguments.strip(), "setup_shell_script": ""}
    parameters = old.get("parameters")
    if parameters and sent.get("hyperparams") is None:
        sections: Part = {}
        for key, value in parameters.items():
            section, slash, name = key.partition("/")
            if not slash or not section or not name:
                section, name = DEFAULT_SECTION, key
            text = value if isinstance(value, str) else "" if value is None else str(value)
            sections.setdefault(section, {})[name] = {"section": section, "name": name, "value": text}
        out["hyperparams"] = sections
    return out


def with_input_model(held: Mapping[str, Any] | None, model: str, updated: str) -> Part:
    """The models with one in the place of the first input: what old clients say by ``execution.model``."""
    before = present(held)
    entry = {"name": INPUT_MODEL, "model": model, "updated": updated}
    return {"input": [entry, *(before.get("input") or [])[1:]], "output": before.get("output") or []}


def for_old_clients(document: Mapping[str, Any]) -> Part:
    """The execution of a task as clients before 2.13 read it: they know neither ``container`` nor ``models``."""
    part = _with_docker_command(document.get("execution"), document.get("container"))
    taken = present(document.get("models")).get("input") or []
    return {**part, "model": taken[0].get("model")} if taken else part


def _with_docker_command(part: Mapping[str, Any] | None, container: Mapping[str, Any] | None) -> Part:
    words = [present(container).get(name, "") for name in ("image", "arguments")]
    command = " ".join(word for word in words if word) if words[0] else ""
    return {**(part or {}), "docker_cmd": command} if command else dict(part or {})


def reset_parts(document: Mapping[str, Any], everything: bool) -> Part:
    """What a reset leaves of the parts.

    Args:
        document: At least its execution, output and models.
        everything: Whether script and execution are wiped, too.
    """
    part = document.get("execution") or empty_execution()
    kept = {k: v for k, v in part.items() if k != "queue"}
    kept["artifacts"] = [a for a in part.get("artifacts") or [] if a.get("mode") == "input"]
    output = {k: v for k, v in (document.get("output") or {}).items() if k not in ("result", "error")}
    changes: Part = {
        "execution": empty_execution() if everything else kept,
        "output": output,
        "models": {"input": (document.get("models") or {}).get("input") or [], "output": []},
        "runtime": {},
    }
    if everything:
        changes["script"] = empty_script()
    return changes


def clone_parts(document: Mapping[str, Any], overrides: Mapping[str, Any] | None) -> Part:
    """The execution of a copy: without the queue, and without what the original put out."""
    part = document.get("execution") or empty_execution()
    kept = {k: v for k, v in part.items() if k != "queue"}
    kept["artifacts"] = [a for a in part.get("artifacts") or [] if a.get("mode") != "output"]
    return execution({k: v for k, v in present(overrides).items() if k != "queue"}, kept)
