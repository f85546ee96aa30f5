"""``python -m tests.stackyard_server.conformance``: replay the recordings and print what differs.

Examples:
    --only p_tasks --service tasks --show 20     one flow (what it needs is replayed before it), one service
    --list                                       the flows in replay order
    --url URL --key K --secret S                 another server, an official one for instance
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections import Counter
from pathlib import Path

from .recordings import RECORDINGS_VARIABLE, find_recordings, load_flows
from .suite import run_flows


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when every replayed exchange is equal or listed."""
    parser = argparse.ArgumentParser(prog="python -m tests.stackyard_server.conformance", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--only", action="append", help="a flow, or the start of flows' names (may be repeated)"
    )
    parser.add_argument("--service", action="append", help="show this service only (may be repeated)")
    parser.add_argument("--endpoint", help="show this endpoint only")
    parser.add_argument(
        "--show", type=int, default=5, help="how many differing exchanges to print (default 5)"
    )
    parser.add_argument(
        "--top", type=int, default=0, help="print the N most frequent differences (endpoint, field)"
    )
    parser.add_argument(
        "--gaps", action="store_true", help="print where fields were set that lost calls had set"
    )
    parser.add_argument("--list", action="store_true", help="print the flows in replay order and stop")
    parser.add_argument("--json", type=Path, help="write every difference to this file")
    parser.add_argument("--url", help="API address of a server that is already running")
    parser.add_argument("--files-url")
    parser.add_argument("--web-url")
    parser.add_argument("--key")
    parser.add_argument("--secret")
    parser.add_argument(
        "--system-key", default="", help="the key with which the official web app signs users in"
    )
    parser.add_argument("--system-secret", default="")
    options = parser.parse_args(arguments)
    logging.getLogger("stackyard_server").setLevel(logging.ERROR)
    folder = find_recordings()
    if folder is None:
        print(
            f"no recordings: set {RECORDINGS_VARIABLE} to their folder (now: {os.environ.get(RECORDINGS_VARIABLE)!r})"
        )
        return 2
    flows = load_flows(folder)
    if options.list:
        for flow, exchanges in flows.items():
            print(f"{flow:<22}{len(exchanges):>5}")
        print(f"{'all':<22}{sum(map(len, flows.values())):>5}")
        return 0
    wanted = (
        [flow for flow in flows if any(flow.startswith(start) for start in options.only)]
        if options.only
        else None
    )
    other = None
    if options.url:
        other = {
            "api": options.url,
            "files": options.files_url or options.url.replace("8008", "8081"),
            "web": options.web_url or options.url.replace("8008", "8080"),
            "key": options.key,
            "secret": options.secret,
            "system_key": options.system_key,
            "system_secret": options.system_secret,
        }
    report = run_flows(flows, wanted, other)
    if options.service:
        report.outcomes = [o for o in report.outcomes if o.exchange.service in options.service]
    if options.endpoint:
        report.outcomes = [o for o in report.outcomes if o.exchange.endpoint == options.endpoint]
    table, different = report.summarise()
    for outcome, differences in different[: options.show]:
        exchange = outcome.exchange
        print(f"--- {exchange.place} {exchange.endpoint} [{exchange.name}] {exchange.method} {exchange.path}")
        sent = json.dumps(outcome.sent)
        print(f"    request {sent if len(sent) < 600 else sent[:560] + ' ...'}")
        for difference in differences[:12]:
            print(
                f"    {difference.field}\n        recorded {difference.recorded}\n        ours     {difference.ours}"
            )
        if len(differences) > 12:
            print(f"    ... {len(differences) - 12} more")
    if options.top:
        sums = Counter((o.exchange.endpoint, d.field) for o, rest in different for d in rest)
        for (endpoint, field), count in sums.most_common(options.top):
            print(f"{count:>6}  {endpoint:<38} {field}")
    if options.json:
        rows = [
            {
                "place": o.exchange.place,
                "endpoint": o.exchange.endpoint,
                "differences": [vars(d) for d in rest],
            }
            for o, rest in different
        ]
        options.json.write_text(json.dumps(rows, indent=1), "utf-8")
    print(table)
    print(report.describe_seeding())
    if options.gaps:
        print("\n".join([*report.gaps, *report.refused]))
    if wanted is None and not options.service and not options.endpoint:
        for entry in report.find_unused():
            print(f"listed but not found: {entry}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
