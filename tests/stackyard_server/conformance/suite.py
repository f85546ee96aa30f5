"""The whole run: servers started, flows replayed in order, differences judged.

Lives here: one server under test for each recorded server, the users and keys it is given, what is prepared for
exchanges whose making was cut out of the recordings, and the sums over all exchanges.
Lives elsewhere: one exchange (``player``), documents put in beforehand (``seeding``).
May import: the suite's rooms, our server's test fixture.
"""

from __future__ import annotations

import contextlib
import datetime
import fnmatch
import functools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import statuses
from .bodies import find_stored_contents
from .comparison import Difference
from .mapping import Mapping
from .player import Outcome, Player, Target
from .recordings import INTERLEAVED, PASSWORD_SERVER, SERVERS, Exchange, find_needed_flows
from .seeding import Seeder
from .sightings import Knowledge

LOST_FILE = Path(__file__).parent / "lost.json"
LISTED_FILE = Path(__file__).parent / "differences.json"
REASONS = frozenset({"security", "bug not copied", "out of scope"})
MOST_LISTED = 40

RECORDED_USER = "__tests__"
RECORDED_WEB_USER = "47186607148f428786c41945dfc08841"
RECORDED_PASSWORD_USER = "36b3f7c5061d41548b7b262794759f30"
RECORDED_COMPANY = "d1bd92a3b039400cbafc60a7a5b1e52b"
USER_KEY = "LABUSERACCESSKEY0000000000000C"
SYSTEM_KEY = "LABWEBSERVERKEY00000000000000D"
RECORDED_ADDRESSES = {
    "web": "http://127.0.0.1:18080",
    "api": "http://127.0.0.1:18008",
    "files": "http://127.0.0.1:18081",
}


@dataclass(frozen=True)
class Listed:
    """One accepted difference.

    Attributes:
        endpoint: Which endpoints, as a glob.
        field: Which fields, as a glob.
        exchange: Which exchanges (``flow#index`` or a name), as a glob.
        reason: One of ``REASONS``.
    """

    endpoint: str
    field: str
    reason: str
    why: str
    exchange: str = "*"

    def covers(self, exchange: Exchange, difference: Difference) -> bool:
        """Whether it accepts this difference."""
        return (
            fnmatch.fnmatchcase(exchange.endpoint, self.endpoint)
            and fnmatch.fnmatchcase(difference.field, self.field)
            and (
                fnmatch.fnmatchcase(exchange.place, self.exchange)
                or fnmatch.fnmatchcase(exchange.name, self.exchange)
            )
        )


def load_listed(path: Path = LISTED_FILE) -> list[Listed]:
    """The accepted differences.

    Raises:
        ValueError: An entry gives no known reason, or there are too many.
    """
    entries = [Listed(**entry) for entry in json.loads(path.read_text("utf-8"))]
    if len(entries) > MOST_LISTED:
        raise ValueError(f"{len(entries)} listed differences, at most {MOST_LISTED} are allowed")
    for entry in entries:
        if entry.reason not in REASONS or not entry.why:
            raise ValueError(f"{entry}: reason must be one of {sorted(REASONS)}, why must say something")
    return entries


@dataclass
class Report:
    """Every exchange played, and what was accepted."""

    outcomes: list[Outcome] = field(default_factory=list)
    listed: list[Listed] = field(default_factory=list)
    used: Counter[int] = field(default_factory=Counter)
    prepared: int = 0
    put_in: int = 0
    made_again: int = 0
    amended: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def judge(self, outcome: Outcome) -> list[Difference]:
        """The differences that no entry accepts."""
        rest = []
        for difference in outcome.differences:
            for number, entry in enumerate(self.listed):
                if entry.covers(outcome.exchange, difference):
                    self.used[number] += 1
                    break
            else:
                rest.append(difference)
        return rest

    def summarise(self) -> tuple[str, list[tuple[Outcome, list[Difference]]]]:
        """Per service: replayed, equal, listed, different; and the exchanges that differ unlisted."""
        self.used.clear()
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        different = []
        for outcome in self.outcomes:
            rest = self.judge(outcome)
            kind = "different" if rest else "listed" if outcome.differences else "equal"
            for service in (outcome.exchange.service, "all"):
                counts[service].update(("replayed", kind, *(("seeded",) if outcome.seeded else ())))
            if rest:
                different.append((outcome, rest))
        columns = ("replayed", "equal", "listed", "different", "seeded")
        lines = [f"{'service':<14}" + "".join(f"{name:>11}" for name in columns)]
        for service in [*sorted(set(counts) - {"all"}), *(["all"] if counts else [])]:
            lines.append(f"{service:<14}" + "".join(f"{counts[service][name]:>11}" for name in columns))
        return "\n".join(lines), different

    def describe_seeding(self) -> str:
        """One line on what did not come from replayed exchanges."""
        fields = ", ".join(f"{name} {count}" for name, count in self.amended.most_common())
        return (
            f"{self.prepared} tasks led to their status through the API; {self.made_again} lost calls made again; "
            f"{self.put_in} documents put in or amended "
            f"through the import door (fields set: {fields or 'none'}); {len(self.refused)} refused there"
        )

    def find_unused(self) -> list[Listed]:
        """Entries that accepted nothing; call after ``summarise``."""
        return [entry for number, entry in enumerate(self.listed) if not self.used[number]]


@contextlib.contextmanager
def start_our_server(flows: tuple[str, ...]) -> Iterator[tuple[Target, Mapping, Any]]:
    """Our server on free ports with the users and keys of one recorded server."""
    from stackyard_server import identity
    from stackyard_server.store import meta
    from stackyard_server.store.documents import USER
    from tests.stackyard_server.running import running_server

    with running_server(role="user") as running:
        mapping = Mapping(
            {RECORDED_ADDRESSES[name]: getattr(running, name) for name in ("web", "api", "files")}
        )
        with running.store.writing() as tx:
            now = 1_795_293_737_817
            USER.update(
                tx, running.user_id, {"name": "Default User", "created": now, "created_in_version": None}
            )
            admin = identity.add_user(tx, now, name="conformance", role="admin")
            system_key = identity.add_credentials(tx, admin)
            company = meta.company(tx)
            tx.run("UPDATE meta SET value='clearml' WHERE key='company_name'")
            if flows == PASSWORD_SERVER:
                ada = identity.add_user(
                    tx, now, name="Ada Lab", role="user", login="ada", password="lab-password-1", given_name="Ada",
                    family_name="Lab",
                )  # fmt: skip
                mapping.bind(RECORDED_PASSWORD_USER, ada)
        # The recorded user had one name in its token and another in its document.
        mapping.replace_text("tests", "Default User")
        mapping.addresses["Stopped by tests"] = "Stopped by Default User"
        mapping.bind(RECORDED_COMPANY, company)
        mapping.bind(RECORDED_USER, running.user_id)
        running.server.services.authenticator.forget()

        def open_session(user: str) -> str:
            name = running.user_id
            with running.store.writing() as tx:
                if user == "web":
                    name = mapping.find_ours(RECORDED_WEB_USER) or identity.add_user(
                        tx, now, name="Ada Lab", role="user", given_name="Ada", family_name="Lab"
                    )
                    mapping.bind(RECORDED_WEB_USER, name)
                account = USER.get(tx, name) or {}
                who = identity.Identity(name, account["name"], account["role"], company, "clearml")
            return running.server.services.authenticator.issue(who)

        target = Target(
            api=running.api,
            files=running.files,
            web=running.web,
            open_session=open_session,
            key_of={USER_KEY: (running.access_key, running.secret_key), SYSTEM_KEY: system_key},
            hidden_ids={admin},
        )
        if flows == PASSWORD_SERVER:
            target.key_of = {}
        yield target, mapping, running


@contextlib.contextmanager
def reach_other_server(
    api: str, files: str, web: str, key: str, secret: str, system_key: str = "", system_secret: str = ""
) -> Iterator[tuple[Target, Mapping, None]]:
    """A server that is already running, an official one for instance.

    Args:
        api: Its addresses.
        files: See ``api``.
        web: See ``api``.
        key: An access key of the user who plays the recorded one.
        secret: See ``key``.
        system_key: The key with which the official web app signs users in; without it the one user plays all.
        system_secret: See ``system_key``.
    """
    import httpx

    mapping = Mapping(dict(zip(RECORDED_ADDRESSES.values(), (web, api, files), strict=True)))

    def sign_in(pair: tuple[str, str], **headers: str) -> str:
        answer = httpx.post(f"{api}/auth.login", auth=pair, headers=headers, json={}).json()
        token: str = answer["data"]["token"]
        return token

    def open_session(user: str) -> str:
        web_user = mapping.find_ours(RECORDED_WEB_USER)
        if user == "web" and system_key and web_user:
            return sign_in((system_key, system_secret), **{"X-Clearml-Impersonate-As": web_user})
        return sign_in((key, secret))

    headers = {"Authorization": f"Bearer {open_session(RECORDED_USER)}"}
    user = httpx.post(f"{api}/users.get_current_user", headers=headers, json={}).json()["data"]["user"]
    mapping.bind(RECORDED_USER, user["id"])
    mapping.bind(RECORDED_COMPANY, user["company"]["id"])
    mapping.addresses["Stopped by tests"] = f"Stopped by {user['name']}"
    names = {"Default User": user["name"], "tests": user["name"], "clearml": user["company"]["name"]}
    for recorded, ours in names.items():
        mapping.replace_text(recorded, ours)
    keys = {USER_KEY: (key, secret), **({SYSTEM_KEY: (system_key, system_secret)} if system_key else {})}
    yield Target(api, files, web, open_session, keys), mapping, None


def run_flows(
    flows: dict[str, list[Exchange]], wanted: list[str] | None = None, other: dict[str, str] | None = None
) -> Report:
    """Replays flows and reports the wanted ones.

    Args:
        flows: Every flow.
        wanted: Names of the flows to report, all when None; what they need is replayed before them.
        other: What ``reach_other_server`` takes, for a server that is already running.
    """
    report = Report(listed=load_listed())
    chosen = list(flows) if wanted is None else wanted
    needed = find_needed_flows(flows, chosen)
    for server in SERVERS:
        names = [flow for flow in server if flow in needed]
        if not names:
            continue
        starting = reach_other_server(**other) if other else start_our_server(server)
        with starting as (target, mapping, running):
            stored = find_stored_contents([e for name in names for e in flows[name]])
            player = Player(target, mapping, stored)
            future = Knowledge()
            # Backwards, so that the first sight of each field wins: what comes later is replayed, or a gap that shows.
            for exchange in reversed([e for name in server for e in flows[name]]):
                future.learn(exchange)
            seeder = Seeder(running.store, mapping, future) if running else None
            try:
                for exchange in order_exchanges(flows, names):
                    outcome = play_in_context(player, seeder, exchange, report)
                    if exchange.flow in chosen:
                        report.outcomes.append(outcome)
            finally:
                player.close()
            if seeder:
                report.put_in += len(seeder.touched)
                report.amended.update(seeder.amended)
                report.refused += seeder.refused
                report.gaps += seeder.gaps
                report.made_again += seeder.made_again
    return report


def order_exchanges(flows: dict[str, list[Exchange]], names: list[str]) -> Iterator[Exchange]:
    """The exchanges of the named flows, those that ran beside another at their place in it."""
    later = {
        inner for place, beside in INTERLEAVED.items() if place.split("#")[0] in names for inner in beside
    }
    for name in (name for name in names if name not in later):
        for exchange in flows[name]:
            for inner in INTERLEAVED.get(exchange.place, ()):
                yield from flows[inner] if inner in names else ()
            yield exchange


def play_in_context(player: Player, seeder: Seeder | None, exchange: Exchange, report: Report) -> Outcome:
    """Plays one exchange after what the recordings lack before it."""

    def ask(endpoint: str, data: dict[str, Any]) -> dict[str, Any]:
        return player.ask(exchange, endpoint, data)

    if seeder:
        seeder.ask = ask
    for entry in load_lost().get(exchange.place, ()):
        if "document" in entry:
            if seeder and not seeder.put_lost(entry["kind"], entry["document"]):
                report.refused.append(str(entry))
            continue
        for recorded in entry["request"].values():
            if seeder and isinstance(recorded, str):
                seeder.put_named(recorded)
        meta = ask(entry["endpoint"], player.mapping.translate(entry["request"]))["meta"]
        report.made_again += 1
        if meta["result_code"] != 200:
            report.refused.append(f"{entry}: {meta['result_msg']}")
    report.prepared += exchange.flow == "p_state" and prepare_state(player, exchange)
    # The direct probes were recorded whole; what they lack is prepared above.
    gap = seeder is not None and not exchange.flow.startswith("p_") and seeder.fill_gaps(exchange, ask)
    outcome = player.play(exchange)
    if seeder:
        seeder.knowledge.learn(exchange)
        seeder.evidence.note_call(exchange, seeder.knowledge)
        if outcome.differences:
            seeder.make_up_for(exchange, datetime.datetime.now(datetime.UTC).isoformat())
        outcome.seeded = gap or not seeder.touched.isdisjoint(exchange.asked_ids | exchange.answered_ids)
    return outcome


@functools.cache
def load_lost() -> dict[str, list[dict[str, Any]]]:
    """Place -> calls and documents before it that the recordings lack, though later answers show them."""
    calls: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in json.loads(LOST_FILE.read_text("utf-8")):
        calls[entry["before"]].append(entry)
    return calls


def prepare_state(player: Player, exchange: Exchange) -> bool:
    """Makes the task of a state probe, whose creation was cut out: ``status -> call [force]`` is the probe's name."""
    status, arrow, _ = exchange.name.partition(" -> ")
    tasks = [n for n in exchange.asked_ids if player.mapping.find_ours(n) is None]
    if not arrow or status not in statuses.STEPS or len(tasks) != 1:
        return False
    recorded_project, recorded_queue = _find_state_places(player)

    def ask(endpoint: str, data: dict[str, Any]) -> dict[str, Any]:
        return player.ask(exchange, endpoint, data)

    try:
        task = statuses.create_task(ask, recorded_project, f"st {status}")
        player.mapping.bind(tasks[0], task)
        statuses.bring_to(ask, task, status, recorded_queue)
    except statuses.CannotPrepare:
        return False
    return True


# The project and the queue that the state probe made for itself.
STATE_PROJECT = "ca5549efe7f7441eb23ce9d5c9cbba12"
STATE_QUEUE = "e9246c0fd3af413281706b7ef842c695"


def _find_state_places(player: Player) -> tuple[str, str]:
    return player.mapping.find_ours(STATE_PROJECT) or "", player.mapping.find_ours(STATE_QUEUE) or ""
