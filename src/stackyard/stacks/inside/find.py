"""Which file pip would install for a requirement, and what that file says of itself, without downloading it.

``pip install --dry-run`` cannot answer this: where an index serves no separate metadata files it downloads
the whole wheel (800 MB for torch). So pip's own finder is asked, with the user's pip configuration,
certificates and credentials, and the metadata is read from the separate file (PEP 658), else by range
requests, else from the local file. These are pip's internals; the pip that a venv of Python 3.9 to 3.13 is
born with has them, and so has 26.3. Where they are missing the answer is an error, never a download.

Arguments: a JSON object ``{"requirement": "torch==2.6.0", "kind": "wheels" | "default" | "url",
"location": folder or address, "timeout_seconds": n}``. Prints one JSON object: ``url, filename, version,
hash, bytes, requires``, or ``error`` with the reason.
"""

from __future__ import annotations

import json
import logging
import sys
import zipfile
from email.parser import Parser
from typing import Any


class _Complaints(logging.Handler):
    """Keeps what pip says about pages it could not read: it goes on without them, and silently."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.lines: list = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        text = record.getMessage()
        if text.startswith(("Could not fetch URL", "Skipping page")):
            self.lines.append(text)


def _requires(link: Any, session: Any) -> tuple:
    """([Requires-Dist...] or None, bytes or None) of the file behind ``link``."""
    if link.is_file:
        import os

        with zipfile.ZipFile(link.file_path) as archive:
            name = next(
                n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1
            )
            text = archive.read(name).decode("utf-8", "replace")
        return Parser().parsestr(text, headersonly=True).get_all("Requires-Dist") or [], os.path.getsize(
            link.file_path
        )
    response = session.head(link.url, headers={"Accept-Encoding": "identity"}, allow_redirects=True)
    length = response.headers.get("Content-Length", "")
    size = int(length) if response.ok and length.isdigit() else None
    beside = link.metadata_link() if hasattr(link, "metadata_link") else None
    if beside is not None:
        response = session.get(beside.url)
        if response.ok:
            return Parser().parsestr(response.text, headersonly=True).get_all("Requires-Dist") or [], size
    try:
        from pip._internal.network.lazy_wheel import dist_from_wheel_url

        distribution = dist_from_wheel_url(link.filename.split("-")[0], link.url_without_fragment, session)
        return distribution.metadata.get_all("Requires-Dist") or [], size
    except Exception:  # noqa: BLE001 - an edge: a server without ranges; the file's name may still say enough
        return None, size


def main() -> int:
    """Print what pip would install."""
    asked = json.loads(sys.argv[1])
    from pip._internal.commands import create_command
    from pip._vendor.packaging.specifiers import SpecifierSet

    complaints = _Complaints()
    pip_log = logging.getLogger("pip")
    pip_log.setLevel(logging.DEBUG)
    pip_log.addHandler(complaints)
    pip_log.propagate = False

    arguments = ["--timeout", str(asked["timeout_seconds"]), "--retries", "0", "--quiet"]
    arguments += {
        "wheels": ["--no-index", "--find-links", asked["location"]],
        "url": ["--index-url", asked["location"]],
        "default": [],
    }[asked["kind"]]
    command: Any = create_command("install")
    options, _rest = command.parse_args(arguments)
    if asked["kind"] != "default":  # this place only, not also those of the configuration
        options.extra_index_urls = []
        options.find_links = [asked["location"]] if asked["kind"] == "wheels" else []
    name, _equals, version = asked["requirement"].partition("==")
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session)
        found = finder.find_best_candidate(name, specifier=SpecifierSet("==" + version)).best_candidate
        if found is None:
            other = finder.find_all_candidates(name)
            answer = {"error": "absent", "complaints": complaints.lines, "other_versions": len(other)}
        else:
            link = found.link
            requires, size = _requires(link, session)
            answer = {
                "url": link.url,
                "filename": link.filename,
                "version": str(found.version),
                "hash": f"{link.hash_name}:{link.hash}" if link.has_hash else None,
                "bytes": size,
                "requires": requires,
            }
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
