"""The TLS front's certificate: an authority of this installation's own and one server certificate under it.

Made with the ``openssl`` program. Whoever has certificates of their lab puts them in place of these.
"""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from pathlib import Path

from stackyard.errors import NotRunnableError, StackyardError

DAYS = 825
FILES = ("ca.key", "ca.crt", "tls.key", "tls.crt")


def make(folder: Path, name: str, *, organisation: str = "Stackyard") -> None:
    """Write ca.key, ca.crt, tls.key and tls.crt for a server's name, which also answers as localhost.

    Raises:
        NotRunnableError: there is no ``openssl``.
        StackyardError: it refused.
    """
    if shutil.which("openssl") is None:
        raise NotRunnableError(
            "openssl is missing, which makes the TLS certificate (Debian: apt-get install openssl)"
        )
    alternatives = ",".join(dict.fromkeys([_alternative(name), "DNS:localhost", "IP:127.0.0.1", "DNS:front"]))
    request, extensions = folder / "tls.csr", folder / "tls.ext"
    extensions.write_text(
        f"subjectAltName={alternatives}\nbasicConstraints=critical,CA:FALSE\n"
        "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
        encoding="utf-8",
    )
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    try:
        _openssl(
            *[
                "req",
                "-x509",
                *new_key,
                "-days",
                str(DAYS),
                "-subj",
                f"/O={organisation}/CN={organisation} lab",
            ],
            *[
                "-addext",
                "basicConstraints=critical,CA:TRUE",
                "-addext",
                "keyUsage=critical,keyCertSign,cRLSign",
            ],
            *["-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt")],
        )
        _openssl(
            *["req", *new_key, "-subj", f"/O={organisation}/CN={name[:64]}"],
            *["-keyout", str(folder / "tls.key"), "-out", str(request)],
        )
        _openssl(
            *[
                "x509",
                "-req",
                "-in",
                str(request),
                "-CA",
                str(folder / "ca.crt"),
                "-CAkey",
                str(folder / "ca.key"),
            ],
            *["-CAcreateserial", "-CAserial", str(folder / "ca.srl"), "-days", str(DAYS)],
            *["-extfile", str(extensions), "-out", str(folder / "tls.crt")],
        )
    finally:
        for path in (request, extensions, folder / "ca.srl"):
            path.unlink(missing_ok=True)


def _alternative(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackyardError(f"openssl {arguments[0]}: {done.stderr.strip().splitlines()[-1:]}")
