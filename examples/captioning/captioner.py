"""Generated pictures of coloured shapes, and a network that says what it sees: a convolutional encoder, a GRU decoder.

A caption is five words, such as "a small red circle left". The network is kept as plain arrays, not as a pickle.
"""

import numpy
import torch
from torch import nn

SIZES = ("small", "large")
COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "white": (1, 1, 1)}
SHAPES = ("circle", "square", "cross")
PLACES = ("left", "right")
#: The first word begins every caption, and tells the decoder to begin.
WORDS = ("a", *SIZES, *COLOURS, *SHAPES, *PLACES)
LENGTH = 4
SIDE = 32


def pictures(count, seed):
    """Pictures of shape (count, 3, 32, 32), and the numbers of their captions' words after "a", (count, 4)."""
    random = numpy.random.default_rng(seed)
    size, colour, shape, place = (
        random.integers(0, len(kind), count) for kind in (SIZES, COLOURS, SHAPES, PLACES)
    )
    radius = 3 + 3 * size + random.integers(0, 2, count)
    across, down = 8 + 16 * place + random.integers(-1, 2, count), 16 + random.integers(-8, 9, count)
    x = numpy.abs(numpy.arange(SIDE)[None, None, :] - across[:, None, None])
    y = numpy.abs(numpy.arange(SIDE)[None, :, None] - down[:, None, None])
    reach = radius[:, None, None]
    forms = [
        x**2 + y**2 <= reach**2,
        numpy.maximum(x, y) <= reach,
        (numpy.minimum(x, y) < 2) & (numpy.maximum(x, y) <= reach),
    ]
    filled = numpy.choose(shape[:, None, None], forms)
    tint = numpy.array(list(COLOURS.values()), dtype=numpy.float32)[colour]
    drawn = filled[:, None] * tint[:, :, None, None] + random.normal(0, 0.2, (count, 3, SIDE, SIDE))
    first = numpy.cumsum([1, len(SIZES), len(COLOURS), len(SHAPES)])
    words = numpy.stack([size, colour, shape, place], axis=1) + first
    return torch.from_numpy(drawn.astype(numpy.float32)), torch.from_numpy(words)


class Captioner(nn.Module):
    """Pictures to words, one after the other."""

    def __init__(self, width=64):
        super().__init__()
        self.encoder = nn.Sequential(
            *(
                nn.Conv2d(3, 16, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(16, 32, 3, stride=2, padding=1),
                nn.ReLU(),
            ),
            *(
                nn.Conv2d(32, 32, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(32 * 4 * 4, width),
                nn.LayerNorm(width),
            ),
        )
        self.words, self.decoder, self.scores = (
            nn.Embedding(len(WORDS), width),
            nn.GRUCell(width, width),
            nn.Linear(width, len(WORDS)),
        )

    def forward(self, seen, told=None):
        """Scores of each next word, (n, 4, words): after the words ``told`` in training, else after the likeliest."""
        state, word, scores = self.encoder(seen), torch.zeros(len(seen), dtype=torch.long), []
        for place in range(LENGTH):
            state = self.decoder(self.words(word), state)
            scores.append(self.scores(state))
            word = scores[-1].argmax(1) if told is None else told[:, place]
        return torch.stack(scores, dim=1)


def save(model, file):
    numpy.savez(file, **{name: value.numpy() for name, value in model.state_dict().items()})


def load(file):
    model = Captioner()
    with numpy.load(file, allow_pickle=False) as held:
        model.load_state_dict({name: torch.from_numpy(held[name]) for name in held.files})
    return model.eval()
