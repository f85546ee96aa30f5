"""What of the folders that travel with commands stays here, as the command line tells it: a dry run, a failed run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackyard.matrix.plan import Plan
from stackyard.matrix.runs import RunFolder
from stackyard.workloads.folder import Folder
from stackyard_task.records import LOG_FILE

#: Failed runs whose output is looked into, and how much of its end.
_MOST_LOOKED_AT, _END_BYTES = 5, 1 << 16
#: How programs say that a file is not there.
_NO_FILE = (
    b"No such file or directory",
    b"FileNotFoundError",
    b"does not exist",
    b"doesn't exist",
)


def hint(plan: Plan, folder: RunFolder, travelling: Mapping[str, Folder]) -> str:
    """How a sentence on failed runs goes on where one found no file, and files of its code stayed here."""
    failed = _without_a_file(plan, folder)
    stayed = [
        f"{name}: {', '.join(one.foremost('ignored'))}"
        for name, one in travelling.items()
        if name in failed and one.left_out.get("ignored")
    ]
    if not stayed:
        return ""
    return (
        f"; ignored files and folders did not travel ({', '.join(stayed)[:200]}): name data under inputs, or bring it "
        "back with a line !NAME in .stackyardignore"
    )


def _without_a_file(plan: Plan, folder: RunFolder) -> set[str]:
    """The workloads of which a failed run says that a file is not there; the first failed runs are looked at."""
    found, looked_at = set(), 0
    cells = {cell.name: cell for cell in plan.cells}
    for block in plan.blocks:
        for name in block.order:
            place = folder.run(block.name, name)
            record = folder.record(place) if looked_at < _MOST_LOOKED_AT else None
            if record is None or record.failure is None:
                continue
            looked_at += 1
            said = record.failure.message.encode() + _end_of(place / LOG_FILE)
            if any(words in said for words in _NO_FILE):
                found.add(cells[name].axes["workload"])
    return found


def _end_of(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _END_BYTES))
            return stream.read(_END_BYTES)
    except OSError:
        return b""


def as_json(one: Folder) -> dict[str, Any]:
    """What of a folder travels and what stays here, as JSON; a plan's ``folders`` names the files that travel."""
    left_out = {
        reason: {"count": number, "names": list(one.left_out_names[reason])}
        for reason, number in one.left_out.items()
    }
    return {"path": str(one.path), "files": len(one.files), "bytes": one.size, "left_out": left_out}
