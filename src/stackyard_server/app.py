"""The assembly: one process, three addresses, one data folder. Nothing of this package imports it.

``Server`` puts the rooms together and serves until it is told to stop: it finishes what it answers, folds the log into
the database and leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import uvicorn
from starlette.routing import Mount, Router
from starlette.types import ASGIApp

from . import endpoints, identity, program
from .api import Api
from .calls import Services
from .calls.readers import Readers
from .failures import Failures
from .files import addresses as file_addresses
from .files import matching
from .files import stored as stored_files
from .files.server import FileServer
from .http import shares
from .http.connections import BoundedProtocol
from .http.edge import Edge
from .http.origins import FILES_PATH
from .moments import Clock
from .protocol import bounds
from .setting_kinds import in_address
from .settings import ServerSettings
from .store import Largest, Store, StoreError, logs, metrics, queues
from .store import check as check_database
from .store.data_folder import FolderLock, check_file_system, close_to_others
from .store.parameters import Keeper
from .upkeep import watchdog
from .upkeep.freeing import Freeing
from .web.site import Pages
from .web.webapp import WebApp

log = logging.getLogger(__name__)

#: How often it is looked whether files of deleted documents may go.
TIDY_SECONDS = 60
#: How often the log is looked at, seconds.
FOLD_SECONDS = 1.0
#: How often points and lines that were removed are cleared, seconds.
CLEAR_SECONDS = 0.5
#: How often it is looked whether a list asked for a parameter whose values are not kept.
KEEP_SECONDS = 1.0
#: How long a stop waits for answers in progress, seconds.
PATIENCE_SECONDS = 6
#: Then the process ends, seconds after it was told to.
LAST_SECONDS = 9.5


class _Listener(uvicorn.Server):
    """A uvicorn server that leaves the process's signals alone: there are three of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """The embedded server on one data folder.

    Raises:
        StoreError: The folder cannot be used, or an address is taken.
        ApartError: Its database is damaged, or not that of its contents; nothing was changed.
    """

    def __init__(self, settings: ServerSettings, clock: Clock = time.time) -> None:
        self.settings = settings
        shares.raise_limit()
        BoundedProtocol.shares = shares.Shares(shares.most_connections, settings.trusted_proxies)
        settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_file_system(settings.folder)
        self.lock = FolderLock(settings.folder)
        try:
            self._open(settings, clock)
        except BaseException:
            for listening in getattr(self, "sockets", {}).values():
                listening.close()
            if hasattr(self, "store"):
                self.store.close()
            self.lock.release()
            raise

    def _open(self, settings: ServerSettings, clock: Clock) -> None:
        if not check_database(settings.folder):
            log.warning(
                "the database is too large to be checked at the start: %s does it",
                program.hint("verify", settings.folder),
            )
        most_bytes = max(bounds.STORED["bytes"], settings.max_body_bytes)
        largest = Largest(most_bytes, bounds.STORED["values"], bounds.STORED["series"], bounds.has_more)
        self.store = Store(settings.folder, serving=True, largest=largest)
        self._keeper = Keeper(self.store)
        matching.check(self.store)
        close_to_others(settings.folder)
        with self.store.writing() as tx:
            self.new = identity.found(tx, int(clock() * 1000))
            queues.found(tx, int(clock() * 1000))
        authenticator = identity.Authenticator(self.store, clock, settings.token_seconds)
        self.services = Services(
            store=self.store, authenticator=authenticator, clock=clock, settings=settings
        )
        self.edge = Edge(settings, self.services.meter)
        self.services.readers = Readers(self.edge.unsent.has_room)
        self.edge.unsent.freed = self.services.readers.let_in
        endpoints.load()
        self.api = Api(self.services, self.edge.origins)
        self.files = FileServer(self.services, self.edge.origins)
        self.sockets = {
            "web": listen(settings.host, settings.web_port),
            "api": listen(settings.host, settings.api_port),
            "files": listen(settings.host, settings.files_port),
        }
        self._settle_files(settings)
        told = {"web": settings.web_url, "api": settings.api_url, "files": settings.files_url}
        self.services.urls.update({name: told[name] or url for name, url in self.urls.items()})
        self._listeners = {name: _Listener(self._config(app)) for name, app in self._applications().items()}
        for listener in self._listeners.values():
            try:
                listener.config.load()
            except OSError as fault:  # ssl.SSLError is one
                raise StoreError(
                    f"TLS cannot be had from {settings.tls_certificate} and {settings.tls_key}: {fault}. "
                    "Expected a PEM certificate chain and its private key, without a passphrase."
                ) from fault

    def _applications(self) -> dict[str, ASGIApp]:
        """What listens on each port; the web port also has API and files, under the origin of its pages."""
        api, files = self.edge.before(self.api), self.edge.before(self.files)
        webapp = self.settings.webapp
        shown = (
            WebApp(webapp, self.services, self.edge.origins)
            if webapp
            else Pages(self.services, self.edge.origins)
        )
        # the pages take the rest: a mount of "/" would leave paths with a line's end to the router's own answer
        web = Router(
            [Mount("/api", api), Mount(FILES_PATH, files)],
            default=self.edge.before(shown),
            redirect_slashes=False,
        )
        return {"web": web, "api": api, "files": files}

    def _config(self, app: ASGIApp) -> uvicorn.Config:
        settings = self.settings
        return uvicorn.Config(
            app,
            lifespan="off",
            http=BoundedProtocol,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=shares.believed(settings.trusted_proxies),
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=PATIENCE_SECONDS,
            ws="none",
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )

    def _settle_files(self, settings: ServerSettings) -> None:
        self.files.stored.clear_incoming()
        present = settings.public_url("files", self.sockets["files"].getsockname()[1])
        if present is not None:
            with self.store.writing() as tx:
                former = file_addresses.settle(tx, present, settings)
            self.services.memory["files_addresses"] = (present, *former)
            self.services.rewrite = file_addresses.rewriter(present, former)
        self._failures = Failures()
        self._freeing = Freeing(self.store, self.services.memory.get("files_addresses", ()))
        public = {name: settings.public_url(name, s.getsockname()[1]) for name, s in self.sockets.items()}
        self.lock.note(urls=self.urls, public=public)

    async def _tidy(self) -> None:
        """What has to go, goes, again and again: the files of what was deleted, then their contents."""
        kept = self.files.stored
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            self.services.expire()
            with self._failures.noted("removing freed files"):
                self._freeing.step()
                while due := kept.due(time.time() - stored_files.GRACE_SECONDS):
                    await asyncio.to_thread(kept.unlink, due)
                    kept.forget(due)

    async def _fold(self) -> None:
        """The database's log is folded in beside the event loop, so that no answer waits for it."""
        while True:
            await asyncio.sleep(FOLD_SECONDS)
            with self._failures.noted("folding the log"):
                if await asyncio.to_thread(self.store.fold):
                    self.store.finish_fold()

    async def _clear(self) -> None:
        """Points of series and console lines that were removed go some at a time: nobody waits for all of them."""
        while True:
            await asyncio.sleep(CLEAR_SECONDS)
            for kind in (metrics, logs):
                with self._failures.noted("removing points or lines"):
                    with self.store.reading() as tx:
                        left = kind.has_gone(tx)
                    if left:
                        with self.store.writing("metrics") as tx:
                            kind.clear_gone(tx)

    async def _keep(self) -> None:
        """The values of parameters that lists asked for are taken in, some tasks at a time."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            with self._failures.noted("taking in the values of a parameter"):
                while (work := await asyncio.to_thread(self._keeper.look)) is not None:
                    work()
                    await asyncio.sleep(0.01)

    @property
    def urls(self) -> dict[str, str]:
        """The addresses as they are listened on, by "web", "api", "files"."""
        scheme, host = "https" if self.settings.tls_certificate else "http", in_address(self.settings.host)
        return {name: f"{scheme}://{host}:{s.getsockname()[1]}" for name, s in self.sockets.items()}

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until ``stop``; ``ready`` is called once all three addresses answer."""
        tasks = [asyncio.create_task(s.serve(sockets=[self.sockets[n]])) for n, s in self._listeners.items()]
        while not all(s.started for s in self._listeners.values()):
            if any(task.done() for task in tasks):
                break
            await asyncio.sleep(0.005)
        ready()
        upkeep = [
            asyncio.create_task(self._tidy()),
            asyncio.create_task(self._fold()),
            asyncio.create_task(self._clear()),
            asyncio.create_task(self._keep()),
            asyncio.create_task(watchdog.watch(self.services, self._failures.noted)),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in upkeep:
                task.cancel()
            await asyncio.gather(*upkeep, return_exceptions=True)
            self._keeper.end()
            self.api.close()
            self.files.close()
            self.services.authenticator.close()
            self.store.close(sealed=True)
            self.lock.release()

    def stop(self) -> None:
        """End gracefully; may be called from any thread and from a signal handler."""
        for listener in self._listeners.values():
            listener.should_exit = True

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve in this thread until SIGINT or SIGTERM; gone within ``LAST_SECONDS`` of it, whatever is under way."""

        def stop(*_: object) -> None:
            self.stop()
            last = threading.Timer(LAST_SECONDS, _leave)
            last.daemon = True
            last.start()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        # What was made so far stays for good: the collector need not walk it again and again while answering.
        gc.collect()
        gc.freeze()
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(self.serve(ready))


def _leave() -> None:
    """End the process as it is: what was answered is on the disk, and the next start reads it from the log."""
    log.warning("The stop took more than %s s: the process ends without waiting any longer.", LAST_SECONDS)
    logging.shutdown()
    os._exit(0)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        StoreError: The address is taken or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as fault:
        listening.close()
        raise StoreError(f"Cannot listen on {host}:{port}: {fault.strerror}. {_way_on(fault)}") from fault
    listening.setblocking(False)
    return listening


def _way_on(fault: OSError) -> str:
    """What to do about an address that cannot be listened on."""
    if isinstance(fault, socket.gaierror):
        return "Set host to an IP address of this machine, or to a name that it knows."
    if fault.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL, errno.ENODEV):
        return "Set host to an address of this machine."
    if fault.errno == errno.EACCES:
        return "Choose a port from 1024 on, or start it as a user who may take lower ones."
    return "Choose another port or stop what uses it."
