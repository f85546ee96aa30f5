"""Another client: ``python -m bench.safety.ping URL TOKEN`` asks ``debug.ping`` again and again.

For each line that it reads it prints the slowest answer since the last one, in milliseconds; a ping under way counts.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

from bench.server import wire

PAUSE_SECONDS = 0.004
#: A ping that is not answered by then counts as that long.
PATIENCE_SECONDS = 120.0


class Pings:
    """The other client, in a process of its own."""

    def __init__(self, url: str, token: str) -> None:
        command = [sys.executable, "-m", "bench.safety.ping", url, token]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.worst_ms()

    def worst_ms(self) -> float:
        """The slowest answer since the last call."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        return float(self._child.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait()


def main() -> None:
    """Ping until the input ends."""
    url, token = sys.argv[1:]
    prepared = wire.request(url, "/v2.34/debug.ping", b"{}", token)
    lock, worst, since = threading.Lock(), [0.0], [time.perf_counter()]

    def ping() -> None:
        parts, connection = urlsplit(url), None
        while True:
            begun = time.perf_counter()
            with lock:
                since[0] = begun
            try:
                if connection is None:
                    address = (str(parts.hostname), int(parts.port or 80))
                    connection = socket.create_connection(address, timeout=PATIENCE_SECONDS)
                connection.sendall(prepared)
                if not connection.recv(65536):
                    raise ConnectionError
                took = time.perf_counter() - begun
            except OSError:
                if connection is not None:
                    connection.close()
                connection, took = None, time.perf_counter() - begun
                time.sleep(0.05)
            with lock:
                worst[0] = max(worst[0], took)
                since[0] = time.perf_counter()
            time.sleep(PAUSE_SECONDS)

    threading.Thread(target=ping, daemon=True).start()
    for _ in sys.stdin:
        with lock:
            told = max(worst[0], time.perf_counter() - since[0])
            worst[0] = 0.0
        print(told * 1000, flush=True)


if __name__ == "__main__":
    main()
