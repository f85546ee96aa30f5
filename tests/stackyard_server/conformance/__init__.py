"""The conformance suite: recorded exchanges with a real ClearML server, replayed against another one.

Lives here: reading the recordings (``recordings``), translating what belongs to the recorded server into what belongs
to the one under test (``mapping``), saying what differs (``comparison``), sending one exchange (``player``), putting
into the server what the cut recordings cannot have produced (``sightings``, ``evidence``, ``seeding``,
``statuses``), the whole run (``suite``), and
the command ``python -m tests.stackyard_server.conformance`` (``__main__``). Differences that stay are data:
``differences.json``. ``golden/`` holds a small set of our own server's answers, which need no recordings.

Lives elsewhere: the recordings. They are read from the folder that the environment variable ``STACKYARD_CONTRACT``
names, and are never copied into the project. May import: the standard library; ``suite`` starts our server.
"""
