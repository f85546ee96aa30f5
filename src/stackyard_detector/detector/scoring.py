"""The reference scorer: PyTorch, every window through the network, in batches.

``fast_scoring`` gives the same ranks for less work; tests and bench hold the two equal.
"""

from __future__ import annotations

from typing import Callable, Optional, Tuple

import numpy as np
import torch

from stackyard_detector.detector.ends import as_events, as_network_reads
from stackyard_detector.detector.model import Model, ranks, surprise
from stackyard_detector.detector.ranks import Ranks
from stackyard_detector.detector.windows import Sessions, windows


def session_ranks(
    model: Model,
    sessions: Sessions,
    batch_size: int = 4096,
    on_batch: Optional[Callable[[int, int], None]] = None,
) -> Ranks:
    """Rank and surprise of every target event of ``sessions`` (symbols, as ``Vocabulary.encode`` gives them).

    Args:
        model: the trained network, on whatever device it is.
        sessions: int arrays, one per session; sessions without a target are allowed and get no rank.
        batch_size: windows per forward pass; does not change the result.
        on_batch: called with (windows done, windows in all) after every batch.
    """
    cut = windows(
        as_network_reads(sessions, model.config, model.event_count), model.config, model.event_count
    )
    values = np.empty(len(cut.targets), dtype=np.int32)
    surprising = np.empty(len(cut.targets), dtype=np.float32)
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        for start in range(0, len(values), batch_size):
            stop = min(start + batch_size, len(values))
            contexts = torch.from_numpy(cut.contexts[start:stop].astype(np.int64)).to(device)
            targets = torch.from_numpy(cut.targets[start:stop].astype(np.int64)).to(device)
            logits = model(contexts)
            values[start:stop] = ranks(logits, targets).cpu().numpy()
            surprising[start:stop] = surprise(logits, targets).cpu().numpy()
            if on_batch is not None:
                on_batch(stop, len(values))
    return as_events(Ranks(values, cut.offsets, model.config.first_position, surprising), model.config)


def verdicts(
    model: Model, sessions: Sessions, k: int, batch_size: int = 4096
) -> Tuple[np.ndarray, np.ndarray]:
    """Verdict and index of the first miss of each session: bool [sessions], int32 [sessions] (-1: none)."""
    return session_ranks(model, sessions, batch_size).verdicts(k)
