"""Passwords: argon2id, 19 MiB, t=2, p=1 (OWASP Password Storage Cheat Sheet). Nothing else is ever stored.

Hashing takes about 30 ms and 19 MiB: callers on the event loop go through ``Authenticator.admitted``, which
does it in a thread.
"""

from __future__ import annotations

import functools
import secrets

import argon2

from ..protocol.error_table import error

HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
#: OWASP ASVS 5.0, 6.2.1 and 6.2.9.
SHORTEST, LONGEST = 8, 256


def hashed(password: str) -> str:
    """What is stored of a password.

    Raises:
        ApiError: 400/800 too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise error("data_validation", password=f"{SHORTEST} to {LONGEST} characters are needed")
    return HASHER.hash(password)


def fits(stored: str | None, password: str) -> bool:
    """Whether the password is the one stored; takes as long when there is none."""
    if len(password) > LONGEST:
        password, stored = "", None
    try:
        return HASHER.verify(stored or _decoy(), password) and stored is not None
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError, UnicodeError):
        return False


@functools.cache
def _decoy() -> str:
    """A hash nobody has the password of, so that unknown logins take as long as known ones."""
    return HASHER.hash(secrets.token_urlsafe())
