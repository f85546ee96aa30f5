"""The workload sgd-train: a linear model learns from mini-batches by ``partial_fit``, and says all it uses meanwhile.

The training of a thesis on system metrics in tuning: the loss of every step, and after each so many steps the
validation's loss and score, the mean step time, CPU and memory.
"""

from __future__ import annotations

import collections
import math
import time
from pathlib import Path
from typing import Any, Deque, Dict, Iterator, List, Mapping, Optional

from stackyard_tabular import sgd_models, splits, usage
from stackyard_tabular.splits import Split
from stackyard_task.channel import BadInput, Channel

MODEL_FOLDER = "model"
#: Passes over the data where neither steps nor epochs are given.
EPOCHS = 5
#: So many steps are taken on a copy before the clock runs: the first call of anything is slower.
WARM_UP_STEPS = 2


def train(parameters: Mapping[str, Any], channel: Channel, output_folder: Path) -> None:
    """Train a model on ``data``; leaves the folder ``model``, unless the training diverged.

    Raises:
        BadInput: data or parameters cannot be used; nothing is left.
    """
    channel.phase("data")
    if parameters["steps"] is not None and parameters["epochs"] is not None:
        raise BadInput("sgd-train: give steps or epochs, not both")
    split = splits.load(parameters["data"], parameters)
    rows, batch = len(split.training_y), _batch_size(parameters, len(split.training_y))
    each = math.ceil(rows / batch)
    steps = parameters["steps"] or each * (parameters["epochs"] or EPOCHS)
    algorithm, rate, alpha = parameters["algorithm"], parameters["learning_rate"], parameters["alpha"]
    estimator = sgd_models.make(algorithm, split.task, rate, alpha, parameters["seed"])
    channel.results(
        training_rows=rows,
        validation_rows=len(split.validation_y),
        features=len(split.features),
        classes=len(split.classes) or None,
        steps_planned=steps,
        rows_per_step=batch,
        data_shared=split.shared,
        data_sha256=split.sha256,
    )
    if split.constant_columns:
        count = split.constant_columns
        channel.note(
            f"{count} of {len(split.features)} columns {'are' if count > 1 else 'is'} constant: no help to the model"
        )
    channel.phase("warmup")
    _warm_up(parameters, split, batch)
    channel.phase("steady")
    course = Course(channel, split, estimator, parameters["evaluate_every"], steps)
    for rows_of_step in batches(rows, batch, steps, parameters["seed"]):
        if not course.step(rows_of_step):
            break
    channel.phase("finish")
    channel.results(**course.results())
    if course.diverged_at is not None:
        channel.note(
            f"diverged at step {course.diverged_at}: the training loss is no finite number, so neither loss nor score "
            "is known; a smaller learning_rate may help"
        )
        return
    about = {
        "algorithm": algorithm,
        "task": split.task,
        "classes": split.classes,
        "features": split.features,
        "data_sha256": split.sha256,
        "parameters": {name: value for name, value in parameters.items() if name not in ("data", "shared")},
    }
    sgd_models.save(Path(output_folder) / MODEL_FOLDER, estimator, split.mean, split.scale, about)


def _batch_size(parameters: Mapping[str, Any], rows: int) -> int:
    """How many rows a step sees."""
    wanted = int(parameters["batch_size"])
    if wanted > rows and parameters["larger_batch"] == "refuse":
        raise BadInput(
            f'sgd-train: batch_size is {wanted}, and there are {rows} rows to train on; larger_batch = "cut" takes all '
            "of them in each step"
        )
    return min(wanted, rows)


def batches(rows: int, size: int, steps: int, seed: int) -> Iterator[Any]:
    """Row numbers of each step: every pass over the data in an order of its own, the last batch of a pass as it is."""
    import numpy as np

    random, told = np.random.default_rng(seed), 0
    while told < steps:
        order = random.permutation(rows)
        for start in range(0, rows, size):
            if told == steps:
                return
            yield order[start : start + size]
            told += 1


def _warm_up(parameters: Mapping[str, Any], split: Split, batch: int) -> None:
    """A few steps of another model of the same kind, which is thrown away."""
    import numpy as np

    estimator = sgd_models.make(
        parameters["algorithm"], split.task, 1e-9, parameters["alpha"], parameters["seed"]
    )
    course = Course(Channel(), split, estimator, WARM_UP_STEPS, WARM_UP_STEPS)
    for _ in range(WARM_UP_STEPS):
        course.step(np.arange(batch))


class Course:
    """The steps of a training, and what they told.

    Args:
        channel: Whom all is told.
        split: The data.
        estimator: What learns; changed by each step.
        every: After so many steps the model is evaluated, and after the last.
        steps: How many are planned.
    """

    def __init__(self, channel: Channel, split: Split, estimator: Any, every: int, steps: int) -> None:
        self._channel, self._split, self._estimator = channel, split, estimator
        self._every, self._steps = every, steps
        self._classes = list(range(len(split.classes))) or None
        self._clock = usage.Clock()
        self._since: List[float] = []
        self._seconds, self._taken = 0.0, 0
        #: Of the last steps.
        self._losses: Deque[float] = collections.deque(maxlen=every)
        self._peak: Optional[int] = None
        self._last: Dict[str, Any] = {}
        #: The step whose loss was NaN or infinite, or after which the weights were; ``None``: none was.
        self.diverged_at: Optional[int] = None

    def step(self, rows: Any) -> bool:
        """Learn from ``rows`` of the training part; whether it makes sense to go on."""
        began = time.perf_counter()
        x, y = self._split.training_x[rows], self._split.training_y[rows]
        loss = self._loss(x, y)
        if not math.isfinite(loss) or not self._learn(x, y):
            self.diverged_at = self._taken + 1
            return False
        seconds = time.perf_counter() - began
        self._taken += 1
        self._seconds += seconds
        self._since.append(seconds)
        self._losses.append(loss)
        self._channel.step(seconds)
        self._channel.loss(self._taken, training=loss)
        if self._taken % self._every == 0 or self._taken == self._steps:
            self._evaluate(loss)
        return self.diverged_at is None

    def _loss(self, x: Any, y: Any) -> float:
        return sgd_models.loss(self._estimator, x, y, len(self._split.classes))

    def _learn(self, x: Any, y: Any) -> bool:
        """One ``partial_fit``; ``False``: the weights are beyond all numbers."""
        import numpy as np

        try:
            with np.errstate(all="ignore"):
                if self._classes is None:
                    self._estimator.partial_fit(x, y)
                else:
                    self._estimator.partial_fit(x, y, classes=self._classes)
        except (
            ValueError
        ) as error:  # scikit-learn's own: "Floating-point under-/overflow occurred at epoch #1"
            if "overflow" not in str(error):
                raise
            return False
        return bool(
            np.isfinite(self._estimator.coef_).all() and np.isfinite(self._estimator.intercept_).all()
        )

    def _evaluate(self, training: float) -> None:
        """Tell the validation's loss and score, and what the steps since the last time took."""
        split = self._split
        used = self._clock.cpu_percent()
        memory = usage.rss_minus_shared_bytes()
        if memory is not None:
            self._peak = max(memory, self._peak or 0)
        validation = self._loss(split.validation_x, split.validation_y)
        if not math.isfinite(validation):
            self.diverged_at = self._taken
            return
        scores = sgd_models.score(self._estimator, split.validation_x, split.validation_y)
        costs = {
            "mean_step_seconds": sum(self._since) / len(self._since),
            "cpu_percent": used,
            "rss_minus_shared_bytes": memory,
        }
        self._since = []
        self._last = {"validation_loss": validation, **scores}
        self._channel.loss(self._taken, training=training, validation=validation)
        self._channel.metrics(
            self._taken, **scores, **{name: value for name, value in costs.items() if value is not None}
        )
        self._channel.progress(self._taken, self._steps, "steps")
        self._clock.cpu_percent()  # what the evaluation used is not the steps'

    def results(self) -> Dict[str, Any]:
        """What is known at the end; a loss or score that is not known is left out."""
        found: Dict[str, Any] = {
            "steps": self._taken,
            "mean_step_seconds": self._seconds / self._taken if self._taken else None,
            "peak_rss_minus_shared_bytes": self._peak,
            "diverged": self.diverged_at is not None,
        }
        if self.diverged_at is None:
            return {**found, "training_loss": sum(self._losses) / len(self._losses), **self._last}
        return {**found, "diverged_at_step": self.diverged_at}
