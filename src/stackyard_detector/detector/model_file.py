"""A trained detector as a folder: ``model.safetensors`` (weights), ``calibration.safetensors`` (what baselines counted)
and ``model.json`` (all the rest).

No pickle: loading a model file cannot run code. Written and read by every stack alike. Needs numpy and
safetensors; PyTorch only where a caller asks for the PyTorch network.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from stackyard_detector.detector.calibrated import Calibrated
from stackyard_detector.detector.config import DetectorConfig, Weights
from stackyard_detector.detector.vocabulary import Vocabulary
from stackyard_task.channel import BadInput
from stackyard_task.records import opened, write_json

API_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
CALIBRATION_FILE = "calibration.safetensors"
DESCRIPTION_FILE = "model.json"


@dataclass
class Detector:
    """A trained detector: everything that verdicts on new sessions need."""

    weights: Weights
    vocabulary: Vocabulary
    #: An event that is not among the k most probable is a miss. ``None``: not calibrated.
    k: Optional[int] = None
    #: Baselines, thresholds and all else chosen after training. ``None``: not calibrated.
    calibrated: Optional[Calibrated] = None
    #: Where the model comes from: data checksum, seed, stack, training parameters, losses.
    provenance: Dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> DetectorConfig:
        """The network's configuration."""
        return self.weights.config

    def model(self) -> Any:
        """The PyTorch network with these weights (``model.Model``), on the CPU."""
        from stackyard_detector.detector.model import from_weights

        return from_weights(self.weights)


def save(folder: Path, detector: Detector) -> None:
    """Write ``detector`` to ``folder`` (made if absent); each file appears whole or not at all, the description last.

    A folder that was not there before is not there afterwards where one of them cannot be written.

    Raises:
        OSError: the folder is not writable or the disk is full.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _save(folder, detector)
    except OSError:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _save(folder: Path, detector: Detector) -> None:
    save_arrays(folder / WEIGHTS_FILE, detector.weights.arrays)
    if detector.calibrated is not None:
        save_arrays(folder / CALIBRATION_FILE, detector.calibrated.arrays())
    description = {
        "api_version": API_VERSION,
        "config": detector.config.to_json(),
        "vocabulary": detector.vocabulary.to_json(),
        "k": detector.k,
        "calibration": None if detector.calibrated is None else detector.calibrated.to_json(),
        "arrays_sha256": {
            path.name: _digest(path) for path in files(folder) if path.name != DESCRIPTION_FILE
        },
        "provenance": detector.provenance,
    }
    description["sha256"] = _description_digest(description)
    write_json(description, folder / DESCRIPTION_FILE)


def load(folder: Path) -> Detector:
    """The detector in ``folder``.

    Raises:
        BadInput: a file is missing, damaged, of a newer version, or they do not belong together.
    """
    folder = Path(folder)
    path = folder / DESCRIPTION_FILE
    try:
        with opened(path) as file:
            description = json.loads(file.read().decode("utf-8"))
        version, digest = description["api_version"], description["sha256"]
        if version > API_VERSION:
            raise BadInput(
                f"{path}: api_version {version!r} is newer than {API_VERSION}, the newest this version "
                "reads; update stackyard"
            )
        if digest != _description_digest(description):
            raise BadInput(
                f"{path}: was changed after training wrote it; copy the folder again, or train again"
            )
        config = DetectorConfig.from_json(description["config"])
        vocabulary = Vocabulary(description["vocabulary"])
        k, chosen = description["k"], description.get("calibration")
        if k is not None and not (isinstance(k, int) and k >= 1):
            raise ValueError(f"k is {k!r}")
        digests = {str(name): str(digest) for name, digest in description["arrays_sha256"].items()}
    except OSError as error:
        raise BadInput(f"{path}: no model there ({error.strerror}); train one with detector-train") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{path}: not a model description ({error!r}); train the model again") from error
    arrays = load_arrays(folder / WEIGHTS_FILE)
    weights = Weights(config, vocabulary.size, arrays)
    _check(weights, folder)
    counted = {} if chosen is None else load_arrays(folder / CALIBRATION_FILE)
    for name in (WEIGHTS_FILE, *(() if chosen is None else (CALIBRATION_FILE,))):
        if digests.get(name) != _digest(folder / name):
            raise BadInput(
                f"{folder}: {name} is not the file that {DESCRIPTION_FILE} was written with; the files are not of "
                "one model: copy the folder again, or train the model again"
            )
    calibrated = None
    if chosen is not None:
        try:
            calibrated = Calibrated.from_parts(chosen, counted, vocabulary.size)
        except ValueError as error:
            raise BadInput(f"{folder}: {error}") from error
    return Detector(weights, vocabulary, k, calibrated, description.get("provenance", {}))


def files(folder: Path) -> List[Path]:
    """The files of the model in ``folder``."""
    names = (WEIGHTS_FILE, CALIBRATION_FILE, DESCRIPTION_FILE)
    return [folder / name for name in names if (folder / name).exists()]


def _description_digest(description: Mapping[str, Any]) -> str:
    """Of all that a description says but its own digest: a name moved in the vocabulary changes every verdict."""
    rest = {name: value for name, value in description.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode("utf-8")).hexdigest()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save_arrays(path: Path, arrays: Dict[str, np.ndarray]) -> None:
    """Write named arrays to a safetensors file, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, str(partial))
        os.replace(str(partial), str(path))
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error})") from error
    finally:
        if partial.exists():
            partial.unlink()


def load_arrays(path: Path) -> Dict[str, np.ndarray]:
    """The named arrays of a safetensors file.

    Raises:
        BadInput: missing or damaged.
    """
    try:
        arrays: Dict[str, np.ndarray] = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); train the model again") from error
    return arrays


def _check(weights: Weights, folder: Path) -> None:
    """Refuse weights that do not fit the description beside them."""
    wanted, arrays = _shapes(weights), weights.arrays
    for name, shape in wanted.items():
        seen = tuple(arrays[name].shape) if name in arrays else None
        if seen != shape:
            raise BadInput(
                f"{folder}: {WEIGHTS_FILE} has {name} of shape {seen}, {DESCRIPTION_FILE} asks for {shape}; "
                "the two files are not of one model"
            )
        if arrays[name].dtype != np.float32 or not np.isfinite(arrays[name]).all():
            raise BadInput(
                f"{folder}: {WEIGHTS_FILE}: {name} holds what no training leaves; train the model again"
            )


def _shapes(weights: Weights) -> Dict[str, Tuple[int, ...]]:
    """Every array of a network, and its shape."""
    config, count = weights.config, weights.event_count
    size = config.hidden_size
    if config.input == "embedding":
        width = config.embedding_size
    else:
        width = 1 if config.input == "scalar" else count + config.start_padding
    streams = {"lstm": width, **({"counts_lstm": count} if config.quantitative else {})}
    shapes: Dict[str, Tuple[int, ...]] = {
        "output.weight": (count, size * len(streams)),
        "output.bias": (count,),
    }
    if config.input == "embedding":
        shapes["embedding.weight"] = (count + 2, width)
    for stream, below in streams.items():
        for layer in range(config.layers):
            shapes[f"{stream}.weight_ih_l{layer}"] = (4 * size, size if layer else below)
            shapes[f"{stream}.weight_hh_l{layer}"] = (4 * size, size)
            shapes[f"{stream}.bias_ih_l{layer}"] = shapes[f"{stream}.bias_hh_l{layer}"] = (4 * size,)
    return shapes
