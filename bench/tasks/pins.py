"""``wrong_versions_run``: of 30 tasks with pins, those that ran with another version than they list without failing.

Each task lists versions, and its script tells what it loaded, by the packages' metadata and by their ``__version__``.
Some can be met beyond the default stack, some cannot be met at all. A requirement whose marker is false asks for
nothing. What was refused is in the rows, and so is what was refused though it can be had, or run though it cannot.
"""

from __future__ import annotations

import json
from typing import Any

from packaging.requirements import Requirement

from bench.result import NotHere, Result
from bench.tasks.yard import Yard

FIGURES = ("wrong_versions_run",)
#: So long one environment is waited for.
_SECONDS = 240.0
_IMPORTED = {"scikit-learn": "sklearn", "pyyaml": "yaml", "python-dateutil": "dateutil"}
_SCRIPT = """
import importlib, json, platform, re
from importlib import metadata
told = {{"python": platform.python_version(), "loaded": {{}}}}
for name, module in {names!r}.items():
    versions = []
    try:
        versions.append(metadata.version(name))
        versions.append(getattr(importlib.import_module(module), "__version__", None))
    except (ImportError, AttributeError):
        pass
    told["loaded"][name] = [version for version in versions if version]
open({file!r}, "w").write(json.dumps(told))
print(told)
"""
#: Requirements, and whether they can be met; the default stack has torch 2.13.0 for the CPU.
MET: tuple[str, ...] = (
    "numpy==1.26.4",
    "numpy==2.1.3",
    "numpy>=2,<2.2",
    "numpy~=2.2.0",
    "numpy!=2.2.0,>=2.1,<2.2.1",
    "pandas==2.2.3",
    "pandas==2.2.3\nnumpy==1.26.4",
    "pandas[excel]==2.2.2",
    "scikit-learn==1.5.2",
    "scikit-learn==1.6.1\nnumpy==2.0.2",
    "scikit_learn==1.5.2",
    "torch==2.13.0",
    "torch==2.13.0+cpu",
    "torch>=2.0,<3\nnumpy==2.1.3",
    "clearml==2.0.2",
    "clearml==1.18.0",
    "clearml[s3]==2.1.0",
    'numpy==1.26.4; python_version < "3.0"',
    'numpy==1.26.4; python_version >= "3.9"',
    'numpy==1.26.4; sys_platform == "win32"\nnumpy==2.1.3; sys_platform == "linux"',
    "PyYAML==6.0.2",
    "python_dateutil==2.9.0",
)
UNMET: tuple[str, ...] = (
    "torch==1.13.1",
    "torch==2.13.0+cu128",
    "torch<2",
    "numpy==99.0",
    "clearml==99.9",
    "numpy==1.26.4\nnumpy==2.1.3",
    "pandas==2.2.3\nnumpy==1.19.5",
    "torch==2.13.0\ntorch==2.12.0",
)


def figures(result: Result, quick: bool, yard: Yard, _options: Any) -> None:
    """All of them, two at a time."""
    cases = [(text, True) for text in (MET[:3] + MET[10:12] if quick else MET)]
    cases += [(text, False) for text in (UNMET[:3] if quick else UNMET)]
    yard.queues(slots=2)
    sent: list[tuple[str, bool, str, Any]] = []
    for text, can in cases:
        file = yard.new("loaded")
        names = {one.name: _IMPORTED.get(_plain(one.name), _plain(one.name)) for one in _listed(text)}
        script = _SCRIPT.format(names=names, file=str(file))
        sent.append((text, can, yard.send(f"pins {text.splitlines()[0]}", script, requirements=text), file))
    wrong = ran = refused = 0
    surprising = []
    for text, can, id, file in sent:
        try:
            yard.check_time(10.0)
            task = yard.ended(id, _SECONDS * len(sent))
        except NotHere as reason:
            result.row(part="pins", requirements=text, not_measured=str(reason))
            continue
        failed = task["status"] != "completed"
        ran, refused = ran + 1, refused + failed
        told = json.loads(file.read_text()) if file.exists() else None
        off = [] if failed or told is None else others(text, told)
        wrong += bool(off)
        if failed == can:
            surprising.append(text)
        why = str(task.get("status_reason") or "")[:300] if failed else None
        result.row(part="pins", requirements=text, status=task["status"], loaded=told, wrong=off, reason=why)
    if wrong or ran == len(cases):  # of a part nobody can say that there is none
        result.figure("wrong_versions_run", wrong)
    result.row(part="pins", tasks=ran, refused=refused, not_as_expected=surprising)
    yard.queues()


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _listed(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines()]


def others(text: str, told: dict[str, Any]) -> list[str]:
    """What a task loaded in another version than its requirements say, each a sentence.

    Args:
        text: lines of requirements.
        told: what its script said: "python" and "loaded".
    """
    minor = ".".join(told["python"].split(".")[:2])
    found = []
    for one in _listed(text):
        if one.marker is not None and not one.marker.evaluate(
            {"python_version": minor, "python_full_version": told["python"]}
        ):
            continue
        versions = told["loaded"].get(one.name) or []
        if not versions:
            found.append(f"{one.name} is not there")
        found += [f"{one.name} {version} for {one}" for version in versions if version not in one.specifier]
    return found
