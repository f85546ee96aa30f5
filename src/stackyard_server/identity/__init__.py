"""Who is calling: passwords, access keys, tokens and roles.

``users``: accounts and access keys, the functions behind ``stackyard server user``. ``passwords``: argon2id.
``tokens``: JWT in ClearML's form. ``authenticator``: from a request's header or cookie to an ``Identity``.
``throttle``: how often one may be wrong. ``roles``: who may what. Imports the store; no HTTP.
"""

from __future__ import annotations

from .authenticator import Authenticator
from .passwords import HASHER
from .roles import ROLES
from .tokens import COOKIE, DAY_SECONDS, LONGEST_ASKED_SECONDS, Identity
from .users import (
    add_credentials,
    add_user,
    disable,
    enable,
    end_sessions,
    find_user,
    found,
    label_credentials,
    no_such_key,
    remove,
    rename,
    revoke_credentials,
    set_password,
    set_role,
)

__all__ = [
    "COOKIE",
    "DAY_SECONDS",
    "HASHER",
    "LONGEST_ASKED_SECONDS",
    "ROLES",
    "Authenticator",
    "Identity",
    "add_credentials",
    "add_user",
    "disable",
    "enable",
    "end_sessions",
    "find_user",
    "found",
    "label_credentials",
    "no_such_key",
    "remove",
    "rename",
    "revoke_credentials",
    "set_password",
    "set_role",
]
