"""``stackyard server``: the server's own command line, with our home, our errors and our word for a missing extra."""

from __future__ import annotations

from stackyard import extras
from stackyard.errors import BadInputError, StackyardError
from stackyard.settings import Settings
from stackyard_server import command

app = command.app
command.mount(
    command.Mount(
        home=lambda: Settings.from_environment().home,
        refusal=lambda message, usage: (BadInputError if usage else StackyardError)(message),
        check=lambda: extras.check("server", "the embedded server cannot be used"),
    )
)
folder_of = command.folder_of
