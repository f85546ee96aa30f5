"""Whose connections are kept open between requests: everybody's, but of clients that fork.

The ClearML SDK forks its reporter, and scripts fork pools of workers, while connections lie idle in the SDK's pool.
Parent and child then take the same connection at the same time. On the wire stand the headers of one request, then
another whole request, then the body of the first. Nothing can be made of that but a 400, and the SDK gives up.
A client that reads ``Connection: close`` drops the connection, so its pool holds none when it forks. A connection that
waits for its answer at that moment is in no pool. Only the thread that uses it knows it, and the child has no such
thread.
"""

from __future__ import annotations

from .headers import Headers

#: What the SDK calls itself in.
CLIENT = frozenset({b"x-clearml-client", b"x-trains-client"})
#: The official web app uses the SDK's header.
BROWSER = b"webapp"
#: Agents start programs, which inherit no connection.
AGENT = frozenset({b"x-clearml-agent", b"x-trains-agent"})
#: The SDK's uploads and downloads say no more of themselves than this.
LIBRARY = b"python-requests/"


def may_fork(sent: Headers) -> bool:
    """Whether a request comes from a program that may fork and then use its connections on both sides.

    Args:
        sent: The request's headers, names in lower case.
    """
    forks = False
    for name, value in sent:
        if name in AGENT:
            return False
        if name in CLIENT:
            return not value.lower().startswith(BROWSER)
        if name == b"user-agent" and value.startswith(LIBRARY):
            forks = True
    return forks
