"""What a page says once, above all else, after a form or an address led there: sentences of our own, by a word.

The address has the word. So a link that somebody made can show none but these.
"""

from __future__ import annotations

SENTENCES = {
    "archived": "Archived.",
    "copied": "The draft was made. Edit it here; to have it run, choose a queue.",
    "saved": "Saved.",
    "saved-not-enqueued": "It was saved, but it was not put into the queue. Look whether the queue is still there.",
    "key-revoked": "The key was revoked.",
    "not-enqueued": "The copy was made, but it was not put into the queue. Look whether the queue is still there.",
    "no-hyper-datasets": "Hyper-Datasets are not part of this server. These are its data sets.",
    "no-enterprise": "That page belongs to ClearML's paid server. This server has no such page.",
}


def sentence(word: str) -> str:
    """What stands behind a word; nothing behind any other."""
    return SENTENCES.get(word, "")
