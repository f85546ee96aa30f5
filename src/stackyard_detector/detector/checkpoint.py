"""Interrupted training, kept so that it can go on exactly: safetensors for tensors, JSON for the rest.

``checkpoint.json`` names the safetensors file it belongs to and is replaced last, so a crash at any moment
leaves the previous checkpoint whole. No pickle. Needs PyTorch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict

import torch

from stackyard_detector.detector.model_file import load_arrays, save_arrays
from stackyard_task.channel import BadInput
from stackyard_task.records import opened, write_json

DESCRIPTION_FILE = "checkpoint.json"


@dataclass
class Progress:
    """How far training has come, besides the tensors."""

    #: Steps done; the next step's batch and learning rate follow from it.
    step: int = 0
    best_loss: float = float("inf")
    #: Validations since the best one.
    stale: int = 0


def save(
    folder: Path,
    identity: Dict[str, Any],
    progress: Progress,
    model: torch.nn.Module,
    best: Dict[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Replace the checkpoint in ``folder``.

    Args:
        folder: made if absent.
        identity: what must be equal for this checkpoint to be continued: configuration, parameters, data.
        progress: how far it is.
        model: the network as it is.
        best: the weights with the lowest validation loss so far; empty before the first validation.
        optimizer: an Adam whose moments are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors.update({f"best.{name}": value for name, value in best.items()})
    for number, state in optimizer.state_dict()["state"].items():
        for moment in ("exp_avg", "exp_avg_sq"):
            tensors[f"optimizer.{number}.{moment}"] = state[moment]
    file = f"checkpoint-{progress.step}.safetensors"
    save_arrays(folder / file, {name: value.detach().cpu().numpy() for name, value in tensors.items()})
    description = {
        "file": file,
        "identity": identity,
        "step": progress.step,
        "best_loss": progress.best_loss if best else None,
        "stale": progress.stale,
    }
    write_json(description, folder / DESCRIPTION_FILE)
    remove(folder, keep=file)


def remove(folder: Path, keep: str = "") -> None:
    """Delete the checkpoint in ``folder``, except the file named ``keep``; without ``keep``, all of it."""
    if not keep and (folder / DESCRIPTION_FILE).exists():
        (folder / DESCRIPTION_FILE).unlink()
    for old in folder.glob("checkpoint-*.safetensors"):
        if old.name != keep:
            old.unlink()


def restore(
    folder: Path,
    identity: Dict[str, Any],
    model: torch.nn.Module,
    best: Dict[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> Progress:
    """Bring model, best weights and optimizer to where the checkpoint in ``folder`` left them.

    Raises:
        BadInput: no checkpoint there, a damaged one, or one of another training.
    """
    path = Path(folder) / DESCRIPTION_FILE
    try:
        with opened(path) as stream:
            description = json.loads(stream.read().decode("utf-8"))
        progress = Progress(description["step"], _number(description["best_loss"]), description["stale"])
        seen, file = description["identity"], description["file"]
    except OSError as error:
        raise BadInput(f"{path}: no checkpoint to resume ({error.strerror}); start without resume") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(f"{path}: not a checkpoint ({error!r}); start without resume") from error
    for key in sorted(set(seen) | set(identity)):
        if seen.get(key) != identity.get(key):
            raise BadInput(
                f"{path}: the checkpoint was made with {key} = {seen.get(key)!r}, this run has "
                f"{identity.get(key)!r}; resume with the same parameters and data, or start without resume"
            )
    tensors = {name: torch.from_numpy(value) for name, value in load_arrays(path.parent / file).items()}
    model.load_state_dict(_part(tensors, "model."))
    device = next(model.parameters()).device
    best.update({name: value.to(device) for name, value in _part(tensors, "best.").items()})
    state = optimizer.state_dict()
    moments = _part(tensors, "optimizer.")
    for number in {name.split(".")[0] for name in moments}:
        # Adam counts its steps in a tensor since PyTorch 1.12, in an int before.
        count = torch.tensor(float(progress.step)) if _steps_are_tensors() else progress.step
        state["state"][int(number)] = {
            "step": count,
            "exp_avg": moments[f"{number}.exp_avg"],
            "exp_avg_sq": moments[f"{number}.exp_avg_sq"],
        }
    optimizer.load_state_dict(state)
    return progress


def _number(value: Any) -> float:
    return float("inf") if value is None else float(value)


def _part(tensors: Dict[str, torch.Tensor], prefix: str) -> Dict[str, torch.Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _steps_are_tensors() -> bool:
    major, minor = torch.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (1, 12)
