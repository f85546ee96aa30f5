"""The errors our side raises on purpose. One root; a leaf only where a caller acts differently.

A message says what was seen, what was expected and what to do, in one sentence: the command line prints it
as it is, without a traceback, and exits with the error's ``exit_code``.
"""


class StackyardError(Exception):
    """Root of every error a user may read."""

    exit_code = 1


class BadInputError(StackyardError):
    """A file, option or value the user gave cannot be used."""

    exit_code = 2


class NotRunnableError(StackyardError):
    """Something is well defined but cannot run on this machine: the message is the reason."""

    exit_code = 3


class AwayError(NotRunnableError):
    """What is needed from elsewhere does not answer; it may later."""


class RunsFailedError(StackyardError):
    """The matrix went to its end, but some runs failed."""

    exit_code = 4


class RunsStoppedError(StackyardError):
    """The runs went to their end; none failed, and some were stopped at a limit that they were given."""

    exit_code = 5


class Interrupted(StackyardError):
    """The user stopped it; what was finished is kept."""

    exit_code = 130
