"""What a server keeps once, as text by key: its company, its signing key, and what single services remember."""

from __future__ import annotations

from collections.abc import Mapping

from . import Transaction

#: Keys that every data folder has.
COMPANY, COMPANY_NAME, TOKEN_KEY = "company", "company_name", "token_key"


def get(tx: Transaction, key: str) -> str | None:
    """The text under that key; None where there is none."""
    text: str | None = tx.value("SELECT value FROM meta WHERE key=?", (key,))
    return text


def put(tx: Transaction, key: str, text: str) -> None:
    """Keep a text under a key, in place of what was there."""
    tx.run("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", (key, text))


def add(tx: Transaction, texts: Mapping[str, str]) -> None:
    """Keep texts under keys that are new."""
    tx.many("INSERT INTO meta(key, value) VALUES (?, ?)", texts.items())


def token_key(tx: Transaction) -> str:
    """What tokens are signed with."""
    key: str = tx.value("SELECT value FROM meta WHERE key='token_key'")
    return key


def company(tx: Transaction) -> str:
    """The id of the one company."""
    id: str = tx.value("SELECT value FROM meta WHERE key='company'")
    return id


def company_name(tx: Transaction) -> str:
    """The name of the one company."""
    name: str = tx.value("SELECT value FROM meta WHERE key='company_name'")
    return name
