#!/usr/bin/env python3
"""Entry script of the workload detector-train: options in, one measured run in ``--out``.

Run it with the Python of a stack, on the Python >= 3.9 it pins:
    python tasks/detector_train.py --out runs/one --data '{"sources": [...]}'
``--help`` lists every parameter. Exit status: 0 completed, 1 failed (see the record), 2 unusable options.

`stackyard task publish` makes a template of the same name on a ClearML server from it; agents run that one through
``dispatched.py``, measured alike. docs/tasks.md
"""

import os
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"
if SOURCE.is_dir():  # a checkout; elsewhere the package is installed
    sys.path.insert(0, str(SOURCE))
    os.environ["PYTHONPATH"] = str(SOURCE)  # the run's own processes import it from here too

from stackyard_task import command  # noqa: E402

if __name__ == "__main__":
    sys.exit(command.main("detector-train"))
