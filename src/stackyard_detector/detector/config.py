"""What a detector's network is, without PyTorch: its configuration, its input vectors and its weights.

Both scorers and the model file share these shapes. Needs numpy.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, Mapping

import numpy as np

INPUTS = ("scalar", "one-hot", "embedding")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class DetectorConfig:
    """Everything about the network that is chosen before seeing data."""

    #: h: how many events the network sees before it names the next one.
    history: int = 10
    layers: int = 2
    hidden_size: int = 64
    #: How an event enters the network: its id as one number (as logdeep does), one-hot, or a learnt vector.
    input: str = "embedding"
    #: Length of the learnt vector; only with input "embedding".
    embedding_size: int = 16
    #: A second LSTM over running event counts beside the one over events (LogAnomaly, Meng et al. 2019).
    quantitative: bool = False
    #: Arithmetic of training; weights are kept and scored in float32 either way.
    dtype: str = "float32"
    #: Pad before the first event, so that every event of every session is a target, however short.
    start_padding: bool = False
    #: The end of a session is an event too, the last of the vocabulary (``ends``): a length can be surprising.
    end_event: bool = False

    def __post_init__(self) -> None:
        for name in ("history", "layers", "hidden_size", "embedding_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.input not in INPUTS:
            raise ValueError(f"input is {self.input!r}, expected one of {', '.join(INPUTS)}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}, expected one of {', '.join(DTYPES)}")

    @property
    def first_position(self) -> int:
        """Index of the first event of a session that is a target."""
        return 0 if self.start_padding else self.history

    def to_json(self) -> Dict[str, Any]:
        """The JSON form."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DetectorConfig:
        """A configuration from its JSON form; keys of newer versions are ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: item for key, item in value.items() if key in known})


def fixed_inputs(config: DetectorConfig, event_count: int) -> np.ndarray:
    """The input vector of every symbol, float32 [event_count + 2, input size]; not for input "embedding".

    The rows are the events, then ``unknown``, then ``pad``. An unknown event is the zero vector in one-hot
    form (training never saw it) and the next free number in scalar form.
    """
    if config.input == "scalar":
        values = np.arange(event_count + 2, dtype=np.float32)
        values[event_count + 1] = -1.0
        return values[:, None]
    columns = event_count + (1 if config.start_padding else 0)
    vectors = np.zeros((event_count + 2, columns), dtype=np.float32)
    vectors[np.arange(event_count), np.arange(event_count)] = 1.0
    if config.start_padding:
        vectors[event_count + 1, event_count] = 1.0
    return vectors


@dataclass(frozen=True)
class Weights:
    """A trained network as plain arrays, named as PyTorch names them (``state_dict``), float32."""

    config: DetectorConfig
    event_count: int
    arrays: Dict[str, np.ndarray]

    def inputs(self) -> np.ndarray:
        """The input vector of every symbol, float32 [event_count + 2, input size]."""
        if self.config.input == "embedding":
            return self.arrays["embedding.weight"]
        return fixed_inputs(self.config, self.event_count)
