"""The fast scorer: the same ranks as ``scoring``, in numpy alone, without doing any work twice.

Logs repeat themselves. Equal sessions are scored once; equal contexts are scored once; and contexts that
begin alike share the steps of the LSTM over what they have in common (a prefix tree, walked level by level,
so that each level is a few large matrix products). No PyTorch is imported, which also keeps memory small.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from stackyard_detector.detector.config import DetectorConfig, Weights
from stackyard_detector.detector.ends import as_events, as_network_reads
from stackyard_detector.detector.ranks import Ranks
from stackyard_detector.detector.windows import Sequences, Sessions, pack, target_offsets, target_places

#: Logits that are computed together: bounds memory where there are many different events.
CELLS_AT_ONCE = 16_000_000
#: Nodes per matrix product: the gates of so many nodes (512 x 4 x 64 floats) stay in a core's cache.
NODES_AT_ONCE = 512


def session_ranks(
    weights: Weights, sessions: Sessions, on_progress: Optional[Callable[[int, int], None]] = None
) -> Ranks:
    """Rank and surprise of every target event of ``sessions``, equal to those of ``scoring.session_ranks``.

    Args:
        weights: the trained network as arrays.
        sessions: int arrays, one per session; sessions without a target are allowed and get no rank.
        on_progress: called with (tree levels done, levels in all).
    """
    packed = as_network_reads(sessions, weights.config, weights.event_count)
    distinct, copy_of = distinct_sessions(packed)
    symbols, places, distinct_offsets = target_places(distinct, weights.config, weights.event_count)
    contexts, context_of = distinct_contexts(symbols, places, weights.config.history)
    network = Network(weights)
    features = network.features(contexts, on_progress)
    values, surprising = _judged(network, features, context_of, symbols[places])
    # Hand every session the ranks of the one it is a copy of.
    offsets = target_offsets(packed.lengths, weights.config)
    counts = np.diff(offsets)
    copied = np.arange(offsets[-1]) + np.repeat(distinct_offsets[copy_of] - offsets[:-1], counts)
    found = Ranks(values[copied], offsets, weights.config.first_position, surprising[copied])
    return as_events(found, weights.config)


def _judged(
    network: Network, features: np.ndarray, context_of: np.ndarray, targets: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Rank and surprise of each target; the logits of so many contexts at once as ``CELLS_AT_ONCE`` allows."""
    rows = max(1, CELLS_AT_ONCE // network.event_count)
    if len(features) <= rows:
        logits = network.output(features)
        return ranks(logits, context_of, targets), surprise(logits, context_of, targets)
    values = np.empty(len(targets), dtype=np.int32)
    surprising = np.empty(len(targets), dtype=np.float32)
    order = np.argsort(context_of, kind="stable")
    bounds = np.searchsorted(context_of[order], np.arange(0, len(features) + rows, rows))
    for block, (start, stop) in enumerate(zip(bounds, bounds[1:])):
        logits, part = network.output(features[block * rows : (block + 1) * rows]), order[start:stop]
        values[part] = ranks(logits, context_of[part] - block * rows, targets[part])
        surprising[part] = surprise(logits, context_of[part] - block * rows, targets[part])
    return values, surprising


def expected(
    weights: Weights, sessions: Sessions, places: Sequence[Tuple[int, int]], count: int = 3
) -> Tuple[np.ndarray, np.ndarray]:
    """What the network expected instead: the most probable events at some places.

    Args:
        weights: the trained network as arrays.
        sessions: int arrays, one per session.
        places: (session, index of the event within it); the event must be a target.
        count: how many events a place; no more than there are.

    Returns:
        ids, int64 [places, count], the most probable first, and their probabilities, float32 alike.
    """
    packed = pack(sessions)
    symbols, targets, offsets = target_places(packed, weights.config, weights.event_count)
    first = weights.config.first_position
    rows = targets[[offsets[session] + index - first for session, index in places]]
    contexts, context_of = distinct_contexts(symbols, rows, weights.config.history)
    logits = Network(weights).logits(contexts)
    best = np.argsort(-logits, axis=1, kind="stable")[:, : min(count, weights.event_count)]
    chances = np.exp(np.take_along_axis(logits, best, 1) - _log_sums(logits)[:, None])
    return best[context_of], chances[context_of]


def verdicts(weights: Weights, sessions: Sessions, k: int) -> Tuple[np.ndarray, np.ndarray]:
    """Verdict and index of the first miss of each session: bool [sessions], int32 [sessions] (-1: none)."""
    return session_ranks(weights, sessions).verdicts(k)


def distinct_sessions(packed: Sequences) -> Tuple[Sequences, np.ndarray]:
    """Each different session once, in order of appearance, and which of them each session is a copy of."""
    data = packed.values.tobytes()
    width = packed.values.dtype.itemsize
    bounds = (packed.offsets * width).tolist()
    seen: Dict[bytes, int] = {}
    copy_of = np.empty(len(packed), dtype=np.int64)
    firsts: List[int] = []
    for session in range(len(packed)):
        key = data[bounds[session] : bounds[session + 1]]
        number = seen.setdefault(key, len(seen))
        if number == len(firsts):
            firsts.append(session)
        copy_of[session] = number
    if len(firsts) == len(packed):
        return packed, copy_of
    first = np.array(firsts, dtype=np.int64)
    lengths = packed.lengths[first]
    offsets = np.zeros(len(first) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    places = np.arange(offsets[-1]) + np.repeat(packed.offsets[first] - offsets[:-1], lengths)
    return Sequences(packed.values[places], offsets), copy_of


def distinct_contexts(symbols: np.ndarray, places: np.ndarray, history: int) -> Tuple[np.ndarray, np.ndarray]:
    """Each different context once, in lexicographic order, and which of them each place has.

    Args:
        symbols: int, not negative.
        places: int [rows]; the context of a place is the ``history`` symbols before it.
        history: length of a context.

    Returns:
        int [distinct, history] and int64 [rows].
    """
    columns = np.arange(-history, 0)
    keys = np.zeros(len(places), dtype=np.int64)
    base = int(symbols.max(initial=0)) + 1
    room = 1
    for column in columns:
        if room > np.iinfo(np.int64).max // base:  # the next column could overflow: renumber first
            keys = np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64)
            room = int(keys.max(initial=0)) + 1
        keys *= base
        keys += symbols[places + column]
        room *= base
    _, first, context_of = np.unique(keys, return_index=True, return_inverse=True)
    return symbols[places[first][:, None] + columns], context_of.reshape(-1)


class Network:
    """The forward pass over a prefix tree of contexts."""

    def __init__(self, weights: Weights) -> None:
        self._config = weights.config
        self.event_count = weights.event_count
        arrays = weights.arrays
        self._streams = [_Layers(arrays, "lstm", weights.inputs(), weights.config)]
        if weights.config.quantitative:
            once = np.eye(weights.event_count + 2, weights.event_count, dtype=np.float32)
            once /= weights.config.history
            self._streams.append(_Layers(arrays, "counts_lstm", once, weights.config, running=True))
        self._output = np.ascontiguousarray(arrays["output.weight"].T)
        self._bias = arrays["output.bias"]

    def logits(
        self, contexts: np.ndarray, on_progress: Optional[Callable[[int, int], None]] = None
    ) -> np.ndarray:
        """Logits of the next event, float32 [contexts, event_count]; see ``features`` for the arguments."""
        return self.output(self.features(contexts, on_progress))

    def output(self, features: np.ndarray) -> np.ndarray:
        """Logits from what the layers made of contexts, float32 [contexts, event_count]."""
        result: np.ndarray = features @ self._output + self._bias
        return result

    def features(
        self, contexts: np.ndarray, on_progress: Optional[Callable[[int, int], None]] = None
    ) -> np.ndarray:
        """What the layers make of contexts, float32 [contexts, features].

        Args:
            contexts: int [contexts, history], distinct and in lexicographic order.
            on_progress: called with (tree levels done, levels in all).
        """
        if not len(contexts):
            return np.zeros((0, len(self._output)), dtype=np.float32)
        shared = _shared_prefix(contexts)
        parents = np.zeros(len(contexts), dtype=np.int64)
        states = [stream.start() for stream in self._streams]
        for depth in range(contexts.shape[1]):
            new = shared <= depth
            rows = np.flatnonzero(new)
            symbols, above = contexts[rows, depth], parents[rows]
            states = [s.step(state, above, symbols, depth) for s, state in zip(self._streams, states)]
            parents = np.cumsum(new) - 1
            if on_progress is not None:
                on_progress(depth + 1, contexts.shape[1])
        features = [state[0][-1] for state in states]
        return features[0] if len(features) == 1 else np.concatenate(features, axis=1)


def _shared_prefix(contexts: np.ndarray) -> np.ndarray:
    """How many leading symbols each context shares with the one before; -1 for the first."""
    shared = np.full(len(contexts), -1, dtype=np.int64)
    if len(contexts) > 1:
        different = contexts[1:] != contexts[:-1]
        shared[1:] = different.argmax(axis=1)
    return shared


#: Per layer the hidden states and the cell states of all nodes of a level; last, the running input.
_State = Tuple[List[np.ndarray], List[np.ndarray], np.ndarray]


class _Layers:
    """Stacked LSTM layers that step from the nodes of one tree level to the next."""

    def __init__(
        self,
        arrays: Dict[str, np.ndarray],
        name: str,
        inputs: np.ndarray,
        config: DetectorConfig,
        running: bool = False,
    ) -> None:
        self._size = size = config.hidden_size
        self._running = running
        # Gates in the order input, forget, output, cell; the sigmoids as s(x) = tanh(x / 2) / 2 + 1/2.
        order = np.r_[0 : 2 * size, 3 * size : 4 * size, 2 * size : 3 * size]
        scale = np.repeat(np.array([0.5, 1.0], dtype=np.float32), [3 * size, size])
        self._from_below: List[np.ndarray] = []
        self._from_before: List[np.ndarray] = []
        self._biases: List[np.ndarray] = []
        for layer in range(config.layers):
            below = arrays[f"{name}.weight_ih_l{layer}"][order].T * scale
            before = arrays[f"{name}.weight_hh_l{layer}"][order].T * scale
            bias = arrays[f"{name}.bias_ih_l{layer}"] + arrays[f"{name}.bias_hh_l{layer}"]
            self._from_below.append(np.ascontiguousarray(below))
            self._from_before.append(np.ascontiguousarray(before))
            self._biases.append(bias[order] * scale)
        self._inputs = inputs
        #: The first layer reads one of few vectors: its product is looked up, not computed.
        self._looked_up = inputs @ self._from_below[0] + (0 if running else self._biases[0])

    def start(self) -> _State:
        """The state above the tree: nothing read yet."""
        return [], [], np.zeros((1, self._inputs.shape[1]), dtype=np.float32)

    def step(self, state: _State, above: np.ndarray, symbols: np.ndarray, depth: int) -> _State:
        """The state of the nodes that read ``symbols`` below the nodes ``above``."""
        hidden_above, cell_above, counts_above = state
        nodes, size = len(symbols), self._size
        counts = counts_above[above] + self._inputs[symbols] if self._running else counts_above
        hidden = [np.empty((nodes, size), dtype=np.float32) for _ in self._biases]
        cell = [np.empty((nodes, size), dtype=np.float32) for _ in self._biases]
        for start in range(0, nodes, NODES_AT_ONCE):
            part = slice(start, min(start + NODES_AT_ONCE, nodes))
            for layer in range(len(self._biases)):
                if layer > 0:
                    gates = hidden[layer - 1][part] @ self._from_below[layer]
                    gates += self._biases[layer]
                elif self._running:
                    gates = counts[part] @ self._from_below[0]
                    gates += self._biases[0]
                else:
                    gates = self._looked_up[symbols[part]]
                if depth > 0:
                    gates += hidden_above[layer][above[part]] @ self._from_before[layer]
                np.tanh(gates, out=gates)
                sigmoids = gates[:, : 3 * size]
                sigmoids *= 0.5
                sigmoids += 0.5
                new_cell = np.multiply(sigmoids[:, :size], gates[:, 3 * size :], out=cell[layer][part])
                if depth > 0:
                    new_cell += sigmoids[:, size : 2 * size] * cell_above[layer][above[part]]
                np.tanh(new_cell, out=hidden[layer][part])
                hidden[layer][part] *= sigmoids[:, 2 * size :]
        return hidden, cell, counts


def surprise(logits: np.ndarray, context_of: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Minus the logarithm of the probability of each target, float32 [targets]; infinity for an unknown event.

    Args:
        logits: float32 [contexts, event_count].
        context_of: int [targets], the row of ``logits`` of each target.
        targets: int [targets]; ``event_count`` is an unknown event.
    """
    result = np.full(len(targets), np.inf, dtype=np.float32)
    known = np.flatnonzero(targets < logits.shape[1])
    rows = context_of[known]
    result[known] = np.maximum(_log_sums(logits)[rows] - logits[rows, targets[known]], 0)
    return result


def _log_sums(logits: np.ndarray) -> np.ndarray:
    """log(sum(exp)) of each row."""
    most = logits.max(axis=1, initial=-np.inf)
    sums: np.ndarray = most + np.log(np.exp(logits - most[:, None]).sum(axis=1))
    return sums


def ranks(logits: np.ndarray, context_of: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The place of each target among the logits of its context, 1 = greatest, ties in order of ids.

    Args:
        logits: float32 [contexts, event_count].
        context_of: int [targets], the row of ``logits`` of each target.
        targets: int [targets]; ``event_count`` is an unknown event and ranks event_count + 1.

    Returns:
        int32 [targets].
    """
    event_count = logits.shape[1]
    result = np.full(len(targets), event_count + 1, dtype=np.int32)
    known = np.flatnonzero(targets < event_count)
    ids = np.arange(event_count)
    rows_at_once = max(1, (1 << 20) // event_count)
    for start in range(0, len(known), rows_at_once):
        part = known[start : start + rows_at_once]
        rows, wanted = logits[context_of[part]], targets[part]
        own = rows[np.arange(len(part)), wanted][:, None]
        before = (rows > own) | ((rows == own) & (ids < wanted[:, None]))
        result[part] = before.sum(axis=1, dtype=np.int32) + 1
    return result
