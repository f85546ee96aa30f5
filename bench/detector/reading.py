"""Speed of reading: our readers against a plain loop, drain3 and DuckDB; CPU seconds, memory, equal sessions.

The alerts are made here, in the form that Suricata writes them (simulated, from a seed): a million in some
80,000 sessions of 30 minutes. The plain side is what a person writes in ten lines: ``json.loads`` or
``csv.reader``, ``datetime.fromisoformat``, a dict of lists, sorted in the end. Both sides end with the same
sessions as Python lists; imports are left out on both. Every measured part is a process of its own, and the
sides take turns.

A part runs as ``python -m bench.detector.reading PART SETTINGS_JSON RESULT_FILE``.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import importlib.util
import json
import lzma
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from bench.result import Result

FIGURES = (
    "read_jsonl_vs_plain_python_ratio",
    "read_csv_vs_plain_python_ratio",
    "read_vs_duckdb_cpu_ratio",
    "read_sorted_extra_mb",
    "drain_vs_drain3_ratio",
)
LINES, QUICK_LINES = 1_000_000, 100_000
SORTED_LINES, QUICK_SORTED_LINES = 5_000_000, 500_000
#: Alerts in each half hour, and keys that are seen in it.
PER_WINDOW, KEYS = 20_833, 1668
MINUTES = 30
FIRST = 1_704_672_000
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
COLUMNS = (
    "timestamp",
    "flow_id",
    "event_type",
    "src_ip",
    "src_port",
    "dest_ip",
    "dest_port",
    "proto",
    "signature_id",
    "signature",
    "category",
    "severity",
)
RAW_LINES = "hdfs_loglead_2pct/HDFS_2pct.log.xz"


def figures(
    data_folder: Optional[Path], result: Result, quick: bool = False, duckdb_python: Optional[Path] = None
) -> None:
    """Measure everything and put it into ``result``.

    Args:
        data_folder: holds the raw lines for Drain; ``None`` or without them: that figure is not measured.
        result: gets figures and rows.
        quick: a tenth of the lines.
        duckdb_python: a Python that has DuckDB; without it, one is made for as long as the bench runs.
    """
    for name in FIGURES:
        result.figures.setdefault(name, None)
    with tempfile.TemporaryDirectory(prefix="bench-reading-") as name:
        folder = Path(name)
        measure = _Parts(folder, result)
        lines = QUICK_LINES if quick else LINES
        measure("write", lines=lines)
        for form in ("jsonl", "csv"):
            ratios: List[float] = []
            for _ in range(3):
                plain = measure(f"plain-{form}")
                ours = measure(f"ours-{form}")
                if plain["digest"] != ours["digest"]:
                    raise SystemExit(f"the sessions of {form} differ: {plain} and {ours}")
                ratios.append(plain["cpu_seconds"] / ours["cpu_seconds"])
            _set(result, f"read_{form}_vs_plain_python_ratio", ratios)
        _duckdb(measure, result, folder, duckdb_python)
        for form in ("jsonl", "csv"):
            (folder / f"alerts.{form}").unlink()
        measure("write-sorted", lines=QUICK_SORTED_LINES if quick else SORTED_LINES)
        result.figure("read_sorted_extra_mb", measure("ours-sorted")["extra_mb"])
        _drain(measure, result, data_folder, quick)


def _duckdb(measure: _Parts, result: Result, folder: Path, given: Optional[Path]) -> None:
    try:
        python = given or _python_with_duckdb(folder)
    except (OSError, subprocess.SubprocessError) as error:
        result.row(part="duckdb", not_measured=f"DuckDB could not be installed: {error}")
        print(f"    duckdb: not measured ({error})", flush=True)
        return
    ratios = []
    for _ in range(3):
        theirs = measure("duckdb", python)
        ours = measure("ours-jsonl")
        if theirs["sessions"] != ours["sessions"]:
            raise SystemExit(f"DuckDB's sessions differ: {theirs} and {ours}")
        ratios.append(ours["cpu_seconds"] / theirs["cpu_seconds"])
    _set(result, "read_vs_duckdb_cpu_ratio", ratios)


def _python_with_duckdb(folder: Path) -> Path:
    """A Python with DuckDB in a throwaway environment."""
    venv.create(folder / "duckdb", with_pip=True)
    python = folder / "duckdb" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "duckdb"]
    subprocess.run(pip, check=True, timeout=300, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return python


def _drain(measure: _Parts, result: Result, data_folder: Optional[Path], quick: bool) -> None:
    path = None if data_folder is None else data_folder / RAW_LINES
    reason = None
    if path is None or not path.is_file():
        reason = f"{RAW_LINES} is not on this machine"
    elif importlib.util.find_spec("drain3") is None:
        reason = "this Python has no drain3"
    if reason is not None:
        result.row(part="drain", not_measured=reason)
        print(f"    drain: not measured ({reason})", flush=True)
        return
    ratios = []
    for _ in range(3):
        settings = {"path": str(path), "lines": 20_000 if quick else 250_000}
        alone = measure("drain3", **settings)
        ours = measure("ours-drain", **settings)
        ratios.append(alone["cpu_seconds"] / ours["cpu_seconds"])
    _set(result, "drain_vs_drain3_ratio", ratios)


def _set(result: Result, name: str, values: Sequence[float]) -> None:
    """The median of the repeats, with the smallest and greatest as the interval."""
    result.figure(name, statistics.median(values), (min(values), max(values)) if len(values) > 1 else None)


class _Parts:
    """Runs the parts as processes and keeps what they say as rows."""

    def __init__(self, folder: Path, result: Result) -> None:
        self._folder, self._result = folder, result

    def __call__(self, part: str, python: Optional[Path] = None, **settings: Any) -> Dict[str, Any]:
        answer = self._folder / "answer.json"
        given = json.dumps({"folder": str(self._folder), **settings})
        command = [str(python or sys.executable), "-m", "bench.detector.reading", part, given, str(answer)]
        subprocess.run(command, check=True, env={**os.environ, **ONE_THREAD})
        values: Dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        print(f"  {part}: {values}", flush=True)
        self._result.row(part=part, threads=1, **{k: v for k, v in settings.items() if k != "path"}, **values)
        return values


# What runs inside the parts. Each imports only what its side needs.


def _alerts(lines: int, sorted_only: bool = False) -> Iterator[Tuple[str, str, Tuple[str, int]]]:
    """(timestamp, source address, (signature, its number)) of each alert, in order of time."""
    draw = random.Random(1)
    kinds = ("SCAN", "POLICY", "MALWARE", "WEB_SERVER", "EXPLOIT")
    signatures = [
        (f"ET {draw.choice(kinds)} Suspicious activity of kind {n}", 2_000_000 + n) for n in range(60)
    ]
    step = MINUTES * 60 / PER_WINDOW
    second, day = -1, ""
    for number in range(lines):
        at = FIRST + number * step
        if int(at) != second:
            second = int(at)
            day = datetime.datetime.fromtimestamp(second, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        key = draw.randrange(KEYS) if not sorted_only else number % 50_000
        yield (
            f"{day}.{int(at % 1 * 1e6):06d}+0000",
            f"198.{18 + key // 62500}.{key // 250 % 250}.{key % 250}",
            signatures[draw.randrange(60)],
        )


def _write(settings: Dict[str, Any]) -> Dict[str, Any]:
    folder, draw = Path(settings["folder"]), random.Random(2)
    with (
        (folder / "alerts.jsonl").open("w", encoding="utf-8") as lines,
        (folder / "alerts.csv").open("w", encoding="utf-8", newline="") as table,
    ):
        rows = csv.writer(table)
        rows.writerow(COLUMNS)
        for at, address, (signature, number) in _alerts(settings["lines"]):
            flow, port, host = (
                draw.getrandbits(50),
                draw.randrange(1024, 65536),
                f"10.0.0.{draw.randrange(1, 200)}",
            )
            alert = {
                "action": "allowed",
                "gid": 1,
                "signature_id": number,
                "rev": 3,
                "signature": signature,
                "category": "Attempted Information Leak",
                "severity": 2,
            }
            flows = {
                "pkts_toserver": 1,
                "pkts_toclient": 0,
                "bytes_toserver": 66,
                "bytes_toclient": 0,
                "start": at,
            }
            event = {
                "timestamp": at,
                "flow_id": flow,
                "in_iface": "eth0",
                "event_type": "alert",
                "src_ip": address,
                "src_port": port,
                "dest_ip": host,
                "dest_port": 22,
                "proto": "TCP",
                "alert": alert,
                "flow": flows,
            }
            lines.write(json.dumps(event) + "\n")
            rows.writerow(
                (at, flow, "alert", address, port, host, 22, "TCP", number, signature, alert["category"], 2)
            )
    sizes = {form: (folder / f"alerts.{form}").stat().st_size for form in ("jsonl", "csv")}
    return {"bytes": sizes}


def _write_sorted(settings: Dict[str, Any]) -> Dict[str, Any]:
    path = Path(settings["folder"]) / "sorted.csv"
    with path.open("w", encoding="utf-8", newline="") as table:
        table.write("timestamp,src_ip,signature\n")
        for at, address, (signature, _) in _alerts(settings["lines"], sorted_only=True):
            table.write(f"{at},{address},{signature}\n")
    return {"bytes": path.stat().st_size}


def _digest(sessions: Iterable[Tuple[int, str, List[str]]]) -> Dict[str, Any]:
    """How many sessions, and a checksum of them in any order."""
    total, count, events = 0, 0, 0
    for window, key, names in sessions:
        text = "\n".join((str(window), key, *names)).encode("utf-8")
        total ^= int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big")
        count += 1
        events += len(names)
    return {"sessions": count, "events": events, "digest": f"{total:032x}"}


def _window(at: float) -> int:
    return int(at // (MINUTES * 60))


def _instant(text: str) -> float:
    if sys.version_info < (3, 11):  # older ones know "+00:00" alone
        text = f"{text[:-2]}:{text[-2:]}"
    return datetime.datetime.fromisoformat(text).timestamp()


def _plain_jsonl(settings: Dict[str, Any]) -> Dict[str, Any]:
    began = time.process_time()
    found: Dict[Tuple[int, str], List[Tuple[float, str]]] = {}
    with (Path(settings["folder"]) / "alerts.jsonl").open(encoding="utf-8") as stream:
        for line in stream:
            event = json.loads(line)
            at = _instant(event["timestamp"])
            found.setdefault((_window(at), event["src_ip"]), []).append((at, event["alert"]["signature"]))
    return _ended(began, found)


def _plain_csv(settings: Dict[str, Any]) -> Dict[str, Any]:
    began = time.process_time()
    found: Dict[Tuple[int, str], List[Tuple[float, str]]] = {}
    with (Path(settings["folder"]) / "alerts.csv").open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        header = next(rows)
        when, who, what = (header.index(name) for name in ("timestamp", "src_ip", "signature"))
        for row in rows:
            at = _instant(row[when])
            found.setdefault((_window(at), row[who]), []).append((at, row[what]))
    return _ended(began, found)


def _ended(began: float, found: Dict[Tuple[int, str], List[Tuple[float, str]]]) -> Dict[str, Any]:
    sessions = []
    for (window, key), events in found.items():
        events.sort(key=lambda event: event[0])
        sessions.append((window, key, [name for _, name in events]))
    seconds = time.process_time() - began
    return {"cpu_seconds": seconds, **_digest(sessions)}


def _source(settings: Dict[str, Any], form: str) -> Dict[str, Any]:
    return {
        "path": str(Path(settings["folder"]) / f"alerts.{form}"),
        "format": form,
        "key_column": "src_ip",
        "time_column": "timestamp",
        "event_column": "alert.signature" if form == "jsonl" else "signature",
        "session_minutes": MINUTES,
    }


def _import_readers() -> bool:
    """Import what reading needs; whether orjson is there."""
    import numpy  # noqa: F401

    import stackyard_detector.readers  # noqa: F401

    try:
        import orjson  # noqa: F401
    except ImportError:
        return False
    return True


def _ours(form: str) -> Any:
    def measure(settings: Dict[str, Any]) -> Dict[str, Any]:
        orjson = _import_readers()
        from stackyard_detector.readers import Quarantine, read_sessions

        began = time.process_time()
        sessions = list(read_sessions({"sources": [_source(settings, form)]}, Quarantine()))
        seconds = time.process_time() - began
        found = ((_window(s.started_at or 0.0), s.key, s.events) for s in sessions)
        return {"cpu_seconds": seconds, "orjson": orjson, **_digest(found)}

    return measure


def _memory(name: str) -> int:
    """A line of this process's /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")


def _ours_sorted(settings: Dict[str, Any]) -> Dict[str, Any]:
    """Peak memory above that of the interpreter with its libraries, reading as a stream."""
    orjson = _import_readers()
    from stackyard_detector.readers import Quarantine, read_sessions

    source = {**_source(settings, "csv"), "path": str(Path(settings["folder"]) / "sorted.csv")}
    before = _memory("VmRSS")
    began = time.process_time()
    count = 0
    for _ in read_sessions({"sources": [{**source, "time_order": "sorted"}]}, Quarantine()):
        count += 1
    extra = (_memory("VmHWM") - before) / 1e6
    return {
        "extra_mb": extra,
        "interpreter_mb": before / 1e6,
        "sessions": count,
        "orjson": orjson,
        "cpu_seconds": time.process_time() - began,
    }


def _duckdb_sessions(settings: Dict[str, Any]) -> Dict[str, Any]:
    import duckdb  # type: ignore[import-not-found]

    connection = duckdb.connect()
    connection.execute("set threads = 1")
    began = resource.getrusage(resource.RUSAGE_SELF)
    path = str(Path(settings["folder"]) / "alerts.jsonl")
    rows = connection.execute(
        "select src_ip, list(alert.signature order by timestamp) from read_json(?, format='newline_delimited', "
        "columns={timestamp: 'TIMESTAMP', src_ip: 'VARCHAR', alert: 'STRUCT(signature VARCHAR)'}) "
        f"group by src_ip, floor(epoch(timestamp) / {MINUTES * 60})",
        [path],
    ).fetchall()
    ended = resource.getrusage(resource.RUSAGE_SELF)
    seconds = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    return {"cpu_seconds": seconds, "sessions": len(rows), "duckdb": duckdb.__version__}


def _raw_lines(settings: Dict[str, Any]) -> List[str]:
    with lzma.open(settings["path"], "rt", encoding="utf-8") as stream:
        return [line.rstrip("\n") for line, _ in zip(stream, range(settings["lines"]))]


def _drain3(settings: Dict[str, Any]) -> Dict[str, Any]:
    """drain3 with the same masks: each line once, which finds its template and the set at once."""
    from drain3 import TemplateMiner  # type: ignore[import-not-found]
    from drain3.masking import MaskingInstruction  # type: ignore[import-not-found]
    from drain3.template_miner_config import TemplateMinerConfig  # type: ignore[import-not-found]

    from stackyard_detector.readers.masks import MASKS

    lines = _raw_lines(settings)
    config = TemplateMinerConfig()
    config.masking_instructions = [MaskingInstruction(p, r.strip("<>")) for p, r in MASKS]
    began = time.process_time()
    miner = TemplateMiner(config=config)
    events = [miner.add_log_message(line)["cluster_id"] for line in lines]
    return {"cpu_seconds": time.process_time() - began, "events": len(set(events))}


def _ours_drain(settings: Dict[str, Any]) -> Dict[str, Any]:
    """Our template set: found in all lines, then every line matched with it."""
    import drain3  # type: ignore[import-not-found] # noqa: F401

    from stackyard_detector.readers import EventTemplates

    lines = _raw_lines(settings)
    began = time.process_time()
    templates = EventTemplates().fit(lines)
    events = [templates.match(line) for line in lines]
    return {"cpu_seconds": time.process_time() - began, "events": len(set(events))}


PARTS = {
    "write": _write,
    "write-sorted": _write_sorted,
    "plain-jsonl": _plain_jsonl,
    "plain-csv": _plain_csv,
    "ours-jsonl": _ours("jsonl"),
    "ours-csv": _ours("csv"),
    "ours-sorted": _ours_sorted,
    "duckdb": _duckdb_sessions,
    "drain3": _drain3,
    "ours-drain": _ours_drain,
}


def main(arguments: Sequence[str]) -> None:
    """Run one part and leave what it measured in a file."""
    part, settings, answer = arguments
    Path(answer).write_text(json.dumps(PARTS[part](json.loads(settings))), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
