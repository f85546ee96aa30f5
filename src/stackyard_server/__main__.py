"""``python -m stackyard_server``: the process behind ``stackyard server start``.

``--say FD``: one line of JSON goes there once the server answers, or says why it cannot; secrets go nowhere else.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from . import admin


def main() -> int:
    """Serve until told to stop; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stackyard_server", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--options", type=json.loads, default={})
    parser.add_argument("--log", type=Path)
    parser.add_argument("--say", type=int)
    given = parser.parse_args()

    def say(**word: Any) -> None:
        if given.say is None:
            shown = {name: value for name, value in word.items() if name != "admin"}
            print(json.dumps(shown), flush=True)
            return
        with os.fdopen(given.say, "w") as pipe:
            pipe.write(json.dumps(word, default=vars) + "\n")

    try:
        settings = admin.read_settings(given.folder, given.options)
        admin.keep_log(given.log)
        admin.serve(settings, lambda urls, first: say(pid=os.getpid(), urls=urls, admin=first))
    except admin.AdminError as fault:
        say(failed=str(fault))
        return 1
    except BrokenPipeError:
        logging.error("Whoever started the server is gone before it could answer: it ends.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
