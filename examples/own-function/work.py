"""A workload of your own: a function that is called with its parameters, a channel and a folder for its outputs.

It estimates pi by throwing darts. ``darts``, the module beside it, travels with it.
"""

import json
import time

import darts


def main(parameters, channel, output_folder):
    """Throw ``throws`` darts in ``rounds`` rounds and leave the estimate in ``pi.json``.

    Args:
        parameters: as the scenario file gives them: {"throws": 100000, "rounds": 20, "seed": 1}.
        channel: says what happens: phases, steps, progress, results (stackyard_task.channel.Channel).
        output_folder: a pathlib.Path; what is written there is kept with the run.
    """
    board = darts.Board(parameters.get("seed", 1))
    rounds, throws = parameters.get("rounds", 20), parameters.get("throws", 100_000)
    channel.phase("steady")  # what came before is start-up, and compared apart
    for done in range(1, rounds + 1):
        begun = time.monotonic()
        board.throw(throws)
        channel.step(time.monotonic() - begun)
        channel.progress(done, rounds, "rounds")
    channel.results(pi=board.pi, throws=board.thrown)
    (output_folder / "pi.json").write_text(json.dumps({"pi": board.pi, "throws": board.thrown}))
