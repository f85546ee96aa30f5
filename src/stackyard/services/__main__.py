"""``python -m stackyard.services HOME``: the one process of a machine that keeps its agents running.

Started by ``stackyard up`` or by systemd; ends when the plan says so, or on SIGINT or SIGTERM, with all its agents.
"""

from __future__ import annotations

import argparse
import logging
import logging.handlers
import os
import sys
from pathlib import Path

from stackyard.agents import lineage
from stackyard.clearml.client import Client
from stackyard.errors import StackyardError
from stackyard.services import metrics
from stackyard.services.files import RUN, ServicesFiles
from stackyard.services.supervisor import Supervisor, listen
from stackyard.services.watch import Watch

LOG_BYTES = 2_000_000


def main() -> int:
    """Keep this machine's agents until told to end; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stackyard.services", description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--metrics-port", type=int, default=0, help="of the loopback address; 0: a free one")
    given = parser.parse_args()
    os.umask(0o077)
    files = ServicesFiles(given.home)
    lock = files.hold()
    if lock is None:
        print("another services process keeps this installation", file=sys.stderr)
        return 1
    handler = logging.handlers.RotatingFileHandler(files.log_file, maxBytes=LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        plan = files.plan()
        if plan is None or plan.mode != RUN:
            print("there is no plan to keep; run stackyard up", file=sys.stderr)
            return 1
        server = plan.server
        client = Client(files.connection(server), patience_seconds=0)
    except StackyardError as error:
        logging.error("%s", error)
        print(error, file=sys.stderr)
        return 1
    found: list[Supervisor] = []

    def renewed() -> Client:
        return Client(files.connection(server), patience_seconds=0)

    watch = Watch(client, lambda: found[0].workers(), renewed=renewed)
    lineage.become_subreaper()
    supervisor = Supervisor(files, plan, watch, reaps=True)
    found.append(supervisor)
    wake = listen(supervisor)
    try:
        supervisor.metrics_port = metrics.serve(supervisor, given.metrics_port)
    except OSError as error:
        logging.error("no metrics: %s", error)
    watch.start()
    logging.info("services began (process %d)", os.getpid())
    supervisor.run(wake)
    logging.info("services ended")
    os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
