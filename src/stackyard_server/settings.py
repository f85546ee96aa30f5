"""What the server is told: folder, addresses, limits. A plain value; read from TOML and options by ``admin``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Every setting with its default. Ports: 0 takes a free one."""

    folder: Path
    host: str = "127.0.0.1"
    web_port: int = 8080
    api_port: int = 8008
    files_port: int = 8081
    #: The addresses clients use, where they differ from host and port (a proxy, a DNS name).
    web_url: str | None = None
    api_url: str | None = None
    files_url: str | None = None
    #: A build of the official web app to serve instead of our own pages.
    webapp: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    token_seconds: int = 24 * 3600
    #: Origins that may call the API from a browser; none by default.
    cors_origins: tuple[str, ...] = ()
    #: Addresses of reverse proxies whose X-Forwarded-For is believed; none by default.
    trusted_proxies: tuple[str, ...] = ()
    max_body_bytes: int = 64 * 1024 * 1024
    max_upload_bytes: int = 50 * 1024**3
    #: What the data folder may use before uploads are refused; None is no limit.
    disk_budget_bytes: int | None = None
    #: A running task nobody reported on for so long is stopped by the watchdog.
    watchdog_minutes: float = 120.0
    #: How often a task whose worker vanished goes back to its queue.
    requeue_limit: int = 0
    #: Addresses that stood in stored file URLs before; rewritten on read.
    former_files_urls: tuple[str, ...] = field(default=())

    @property
    def behind_tls(self) -> bool:
        """Whether browsers reach the server by TLS, its own or a proxy's."""
        return self.tls_certificate is not None or (self.web_url or self.api_url or "").startswith("https:")
