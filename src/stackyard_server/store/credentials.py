"""Access keys, and sessions that were ended before their tokens expire."""

from __future__ import annotations

from . import Transaction

#: Ended sessions that are remembered even after their tokens expired.
MOST_ENDED_SESSIONS = 10_000

# Access keys


def add(tx: Transaction, user: str, access_key: str, secret_digest: str, label: str | None) -> None:
    """Give a user a further access key."""
    tx.run(
        "INSERT INTO credential(access_key, secret_digest, user, label) VALUES (?, ?, ?, ?)",
        (access_key, secret_digest, user, label),
    )


def count(tx: Transaction, user: str) -> int:
    """How many access keys a user has."""
    number: int = tx.value("SELECT count(*) FROM credential WHERE user=?", (user,))
    return number


def of(tx: Transaction, user: str) -> list[tuple[str, str | None, int | None, str | None]]:
    """(access key, label, last used at, last used from) of each of a user's keys, in their order."""
    rows = tx.all(
        "SELECT access_key, label, last_used, last_used_from FROM credential WHERE user=? ORDER BY access_key",
        (user,),
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def find(tx: Transaction, access_key: str) -> tuple[str, str] | None:
    """(digest of its secret, user) of an access key."""
    row = tx.one("SELECT secret_digest, user FROM credential WHERE access_key=?", (access_key,))
    return None if row is None else (row[0], row[1])


def belongs_to(tx: Transaction, access_key: str, user: str) -> bool:
    """Whether an access key is that user's."""
    sql = "SELECT 1 FROM credential WHERE access_key=? AND user=?"
    return tx.value(sql, (access_key, user)) is not None


def label(tx: Transaction, user: str, access_key: str, text: str | None) -> bool:
    """Give an access key another label; whether the user has such a key."""
    return bool(
        tx.run("UPDATE credential SET label=? WHERE access_key=? AND user=?", (text, access_key, user))
    )


def note_use(tx: Transaction, access_key: str, now: int, address: str) -> None:
    """Write down when (epoch milliseconds) and from where a key was used."""
    tx.run(
        "UPDATE credential SET last_used=?, last_used_from=? WHERE access_key=?", (now, address, access_key)
    )


def remove(tx: Transaction, user: str, access_key: str) -> int:
    """Take an access key from its user; how many it were."""
    return tx.run("DELETE FROM credential WHERE access_key=? AND user=?", (access_key, user))


def remove_all(tx: Transaction, user: str) -> int:
    """Take every access key from a user; how many it were."""
    return tx.run("DELETE FROM credential WHERE user=?", (user,))


# Ended sessions


def end_session(tx: Transaction, session: str, until: int) -> None:
    """Note that a session is over; its tokens expire by ``until`` (epoch seconds)."""
    tx.run("INSERT OR REPLACE INTO revoked_session VALUES (?, ?)", (session, until))


def expired_sessions() -> str:
    """SQL for the ended sessions that expired before an instant (?, epoch seconds) and are not among the last to.

    A clock may be ahead for a moment. What it calls expired then is good again once it is set back: so many are kept
    whatever it says.
    """
    kept = f"SELECT session FROM revoked_session ORDER BY expires DESC LIMIT {MOST_ENDED_SESSIONS}"
    return f"revoked_session WHERE expires < ? AND session NOT IN ({kept})"


def forget_sessions(tx: Transaction, before: int) -> int:
    """Forget ended sessions whose tokens expired before that (epoch seconds), but for the last of them; how many."""
    if tx.value("SELECT count(*) FROM revoked_session") <= MOST_ENDED_SESSIONS:
        return 0
    return tx.run(f"DELETE FROM {expired_sessions()}", (before,))


def is_ended(tx: Transaction, session: str) -> bool:
    """Whether a session was ended."""
    return tx.value("SELECT 1 FROM revoked_session WHERE session=?", (session,)) is not None
