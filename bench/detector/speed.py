"""Speed of training and inference against the naive loop: CPU seconds, peak memory, equal verdicts.

Every measured part is a process of its own, one thread, and the two sides take turns within one run; each
does its work in full. CPU seconds start with the sessions as Python lists in memory and end with a trained
network, or with a verdict for every session; imports are left out on both sides (``infer_first_use_seconds``
is ours). Peak memory is the process's own high-water mark, imports included. Neither side has allocator
tunables set.

A part runs as ``python -m bench.detector.speed PART SETTINGS_JSON RESULT_FILE``.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from bench.detector import hdfs
from bench.result import Result

FIGURES = (
    "train_cpu_ratio",
    "train_cpu_ratio_tuned_naive",
    "train_peak_rss_ratio",
    "infer_cpu_ratio",
    "infer_first_use_seconds",
    "infer_peak_rss_ratio",
    "verdicts_differing",
)
HISTORY, LAYERS, HIDDEN_SIZE = 10, 2, 64
NAIVE_BATCH, NAIVE_STEPS, TUNED_NAIVE_BATCH = 2048, 570, 256
#: How we train for the same loss: free in batch and schedule, not in input or size.
OURS = {"epochs": 2, "batch_size": 128, "learning_rate": 0.01, "schedule": "one-cycle", "validate_every": 20}
VALIDATION_SESSIONS = 1000
ALLOWED_FALSE_ALARM_RATE = 0.002
OUR_PASSES = 5
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def figures(data_folder: Path, result: Result, quick: bool = False) -> None:
    """Measure everything and put it into ``result``; ``quick``: one repeat instead of three."""
    for name in FIGURES:
        result.figures.setdefault(name, None)
    repeats = 1 if quick else 3
    with tempfile.TemporaryDirectory(prefix="bench-detector-") as folder:
        measure = _Parts(data_folder, Path(folder), result)
        _training(measure, result, repeats)
        _inference(measure, result, repeats)


def _training(measure: _Parts, result: Result, repeats: int) -> None:
    ratios: List[float] = []
    tuned_ratios: List[float] = []
    memory_ratios: List[float] = []
    for seed in range(1, repeats + 1):
        naive = measure("train-naive", seed=seed, batch_size=NAIVE_BATCH, steps=NAIVE_STEPS)
        ours = measure("train-ours", seed=seed, target=naive["validation_loss"])
        tuned = measure(
            "train-naive",
            seed=seed,
            batch_size=TUNED_NAIVE_BATCH,
            steps=20 * NAIVE_STEPS,
            validate_every=25,
            target=naive["validation_loss"],
        )
        if not ours["reached"]:
            result.row(not_measured=f"train ratios: ours ends above the naive loss with seed {seed}")
            return
        ratios.append(naive["cpu_seconds"] / ours["cpu_seconds"])
        tuned_ratios.append(tuned["cpu_seconds"] / ours["cpu_seconds"])
        memory_ratios.append(ours["peak_rss_bytes"] / naive["peak_rss_bytes"])
    _set(result, "train_cpu_ratio", ratios)
    _set(result, "train_cpu_ratio_tuned_naive", tuned_ratios)
    _set(result, "train_peak_rss_ratio", memory_ratios)


def _inference(measure: _Parts, result: Result, repeats: int) -> None:
    trained = measure("train-model", seed=1)
    ratios: List[float] = []
    memory_ratios: List[float] = []
    first_use: List[float] = []
    differing: List[float] = []
    reference = measure("infer-reference", k=trained["k"])
    for _ in range(repeats):
        naive = measure("infer-naive", k=trained["k"])
        ours = measure("infer-ours", k=trained["k"])
        ratios.append(naive["cpu_seconds"] / ours["cpu_seconds"])
        memory_ratios.append(ours["peak_rss_bytes"] / naive["peak_rss_bytes"])
        first_use.append(ours["first_use_seconds"])
        sides = zip(ours["first_misses"], naive["first_misses"], reference["first_misses"])
        differing.append(sum(not mine == his == its for mine, his, its in sides))
    _set(result, "infer_cpu_ratio", ratios)
    _set(result, "infer_peak_rss_ratio", memory_ratios)
    _set(result, "infer_first_use_seconds", first_use)
    result.figure("verdicts_differing", max(differing))


def _set(result: Result, name: str, values: Sequence[float]) -> None:
    """The median of the repeats, with the smallest and greatest as the interval."""
    result.figure(name, statistics.median(values), (min(values), max(values)) if len(values) > 1 else None)


class _Parts:
    """Runs the parts as processes and keeps what they say as rows."""

    def __init__(self, data_folder: Path, folder: Path, result: Result) -> None:
        self._data_folder, self._folder, self._result = data_folder, folder, result

    def __call__(self, part: str, **settings: Any) -> Dict[str, Any]:
        settings.update(data=str(self._data_folder), folder=str(self._folder))
        answer = self._folder / "answer.json"
        command = [sys.executable, "-m", "bench.detector.speed", part, json.dumps(settings), str(answer)]
        print(
            f"  {part} { ({k: v for k, v in settings.items() if k not in ('data', 'folder')}) }", flush=True
        )
        subprocess.run(command, check=True, env={**os.environ, **ONE_THREAD})
        values: Dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        shown = {key: value for key, value in values.items() if key != "first_misses"}
        print(f"    {shown}", flush=True)
        kept = {key: value for key, value in settings.items() if key not in ("data", "folder")}
        self._result.row(part=part, threads=1, **{**kept, **shown})
        return values


# What runs inside the parts. Each imports only what its side needs.


def _encoded(sessions: Sequence[Sequence[str]], events: Sequence[str]) -> List[List[int]]:
    """Sessions as lists of ids; an event that is not listed gets the next free id."""
    ids = {event: number for number, event in enumerate(events)}
    return [[ids.get(event, len(ids)) for event in session] for session in sessions]


def _training_data(settings: Dict[str, Any]) -> Tuple[List[List[int]], List[List[int]], List[str]]:
    """Training sessions, validation sessions, and the events of all; every part splits them the same way."""
    sessions = hdfs.sessions(Path(settings["data"]), [hdfs.TRAIN])
    events = sorted({event for session in sessions for event in session}, key=int)
    encoded = _encoded(sessions, events)
    random.Random(0).shuffle(encoded)
    return encoded[VALIDATION_SESSIONS:], encoded[:VALIDATION_SESSIONS], events


def _test_data(settings: Dict[str, Any], events: Sequence[str]) -> List[List[int]]:
    return _encoded(hdfs.sessions(Path(settings["data"]), [hdfs.NORMAL, hdfs.ABNORMAL]), events)


def _peak_rss_bytes() -> int:
    """This process's own high-water mark (ru_maxrss would remember the parent's before exec)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


def _mean_loss(model: Any, windows: Any, labels: Any) -> float:
    """Mean cross entropy of a network that takes float windows, in one batch order for both sides."""
    import torch

    model.eval()
    with torch.no_grad():
        losses = [
            torch.nn.functional.cross_entropy(model(x), y, reduction="sum").item()
            for x, y in zip(windows.split(4096), labels.split(4096))
        ]
    return sum(losses) / len(labels)


def _train_naive(settings: Dict[str, Any]) -> Dict[str, Any]:
    import torch

    from bench.detector import naive

    torch.set_num_threads(1)
    sessions, validation, events = _training_data(settings)
    held_out = naive.WindowDataset(validation, HISTORY)
    windows = torch.tensor(held_out.inputs, dtype=torch.float)[:, :, None]
    labels = torch.tensor(held_out.labels)
    answer = naive.train(
        sessions,
        HISTORY,
        len(events),
        settings["steps"],
        settings["batch_size"],
        settings["seed"],
        validate=lambda model: _mean_loss(model, windows, labels),
        validate_every=settings.get("validate_every", 0),
        target=settings.get("target"),
    )
    del answer["model"]
    return {**answer, "torch": str(torch.__version__)}


def _train_ours(settings: Dict[str, Any]) -> Dict[str, Any]:
    import torch

    from stackyard_detector.detector.config import DetectorConfig
    from stackyard_detector.detector.training import TrainingParameters, train

    torch.set_num_threads(1)
    sessions, validation, events = _training_data(settings)
    config = DetectorConfig(HISTORY, LAYERS, HIDDEN_SIZE, input="scalar")
    how = TrainingParameters(seed=settings["seed"], **OURS)  # type: ignore[arg-type]
    watch = _StopAt(settings["target"])
    with contextlib.suppress(_Reached):
        train(sessions, validation, config, len(events), how, watch)  # type: ignore[arg-type]
    answer = {"cpu_seconds": watch.cpu_seconds, "steps": watch.steps, "validation_loss": watch.loss_now}
    return {**answer, "reached": watch.reached, **OURS}


class _Reached(Exception):
    """The validation loss is where it should be."""


class _StopAt:
    """A channel that stops training at a validation loss, and counts CPU seconds without the validations."""

    def __init__(self, target: float) -> None:
        self._target, self._began, self._excluded = target, time.process_time(), 0.0
        self.cpu_seconds, self.steps, self.loss_now, self.reached = 0.0, 0, float("inf"), False

    def progress(self, done: float, total: float, unit: str = "steps") -> None:
        self._paused = time.process_time()

    def loss(self, step: int, training: Any = None, validation: Any = None) -> None:
        now = time.process_time()
        self._excluded += now - self._paused
        self.cpu_seconds = now - self._began - self._excluded
        self.steps, self.loss_now = step, validation
        self.reached = validation <= self._target
        if self.reached:
            raise _Reached

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: None


def _train_model(settings: Dict[str, Any]) -> Dict[str, Any]:
    """The network that every inference part uses: trained our way, k from benign validation."""
    import torch

    from stackyard_detector.detector import model_file, scoring
    from stackyard_detector.detector.calibration import choose_k
    from stackyard_detector.detector.config import DetectorConfig
    from stackyard_detector.detector.training import TrainingParameters, train
    from stackyard_detector.detector.vocabulary import Vocabulary

    torch.set_num_threads(1)
    sessions, validation, events = _training_data(settings)
    config = DetectorConfig(HISTORY, LAYERS, HIDDEN_SIZE, input="scalar")
    model = train(sessions, validation, config, len(events), TrainingParameters(seed=settings["seed"]))
    ranks = scoring.session_ranks(model, validation)
    k = choose_k(ranks, ALLOWED_FALSE_ALARM_RATE, largest_k=len(events))
    model_file.save(Path(settings["folder"]), model_file.Detector(model.weights(), Vocabulary(events), k))
    return {"k": k}


def _infer_naive(settings: Dict[str, Any]) -> Dict[str, Any]:
    import torch

    from bench.detector import naive
    from stackyard_detector.detector import model_file

    torch.set_num_threads(1)
    detector = model_file.load(Path(settings["folder"]))
    model = naive.NaiveModel(HIDDEN_SIZE, LAYERS, detector.vocabulary.size)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in detector.weights.arrays.items()})
    sessions = _test_data(settings, detector.vocabulary.events)
    began = time.process_time()
    first_misses = naive.infer(model, sessions, HISTORY, settings["k"])
    return {"cpu_seconds": time.process_time() - began, "first_misses": first_misses}


def _infer_ours(settings: Dict[str, Any]) -> Dict[str, Any]:
    began = time.perf_counter()
    from stackyard_detector.detector import fast_scoring, model_file

    detector = model_file.load(Path(settings["folder"]))
    fast_scoring.verdicts(detector.weights, [list(range(HISTORY + 1))], settings["k"])
    first_use_seconds = time.perf_counter() - began
    sessions = _test_data(settings, detector.vocabulary.events)
    passes = []
    for _ in range(OUR_PASSES):
        started = time.process_time()
        _, first_misses = fast_scoring.verdicts(detector.weights, sessions, settings["k"])
        passes.append(time.process_time() - started)
    return {
        "cpu_seconds": statistics.median(passes),
        "cpu_seconds_of_passes": passes,
        "first_use_seconds": first_use_seconds,
        "torch_imported": "torch" in sys.modules,
        "first_misses": first_misses.tolist(),
    }


def _infer_reference(settings: Dict[str, Any]) -> Dict[str, Any]:
    """The PyTorch scorer of the package, for its verdicts."""
    import torch

    from stackyard_detector.detector import model_file, scoring

    torch.set_num_threads(1)
    detector = model_file.load(Path(settings["folder"]))
    sessions = _test_data(settings, detector.vocabulary.events)
    began = time.process_time()
    _, first_misses = scoring.verdicts(detector.model(), sessions, settings["k"])
    return {"cpu_seconds": time.process_time() - began, "first_misses": first_misses.tolist()}


PARTS = {
    "train-naive": _train_naive,
    "train-ours": _train_ours,
    "train-model": _train_model,
    "infer-naive": _infer_naive,
    "infer-ours": _infer_ours,
    "infer-reference": _infer_reference,
}


def main(arguments: Sequence[str]) -> None:
    """Run one part and leave what it measured in a file."""
    part, settings, answer = arguments
    values = PARTS[part](json.loads(settings))
    values["peak_rss_bytes"] = _peak_rss_bytes()
    Path(answer).write_text(json.dumps(values), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
