"""The ``stackyard`` command: mounts every command and turns every outcome into a sentence and an exit status.

Exit status: 0 done; 1 failed; 2 input that cannot be used; 3 cannot run on this machine; 4 some runs failed;
130 interrupted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

#: Ctrl-C while modules are being loaded ends this process as it ends any other: there is nothing to say yet.
_USUAL = signal.getsignal(signal.SIGINT) is signal.default_int_handler
with contextlib.suppress(ValueError):  # not the main thread
    _USUAL and signal.signal(signal.SIGINT, signal.SIG_DFL)

import typer  # noqa: E402
from typer.main import get_command  # noqa: E402

from stackyard import __version__  # noqa: E402
from stackyard.cli import deferred, own, services, web  # noqa: E402
from stackyard.cli.light import LightGroup  # noqa: E402
from stackyard.errors import BadInputError, StackyardError  # noqa: E402
from stackyard_server import once  # noqa: E402

with contextlib.suppress(ValueError):
    _USUAL and signal.signal(signal.SIGINT, signal.default_int_handler)

INTERRUPTED = 130

app = typer.Typer(
    name="stackyard",
    cls=LightGroup,
    help="Measured comparisons of PyTorch/CUDA stacks, hardware limits and deployments on your own machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
own.add_to(app)
services.add_to(app)
web.add_to(app)
for name, help in (
    ("scenario", "Run scenario matrices and report on them."),
    ("stack", "Build, verify and remove the pinned stacks."),
    ("workload", "What can be run: the declared workloads, and one measured run by hand."),
    ("data", "Data: what a log becomes, presets for logs, public data sets."),
    ("doctor", "Say what this machine can run and what is missing."),
    ("server", "The embedded ClearML-compatible server: start, stop, users, keys, backups."),
    ("task", "Tasks on a ClearML server: publish templates, submit, list, show, abort, follow."),
    ("tune", "Tuning: search for the best parameters, stopping what breaks a limit or cannot pay."),
    ("pipeline", "Pipelines: prepare, train, evaluate, infer on queues; re-run where something changed."),
    ("bundle", "Bundles: all that a lab's hosts install, for labs without internet."),
    ("official", "The official ClearML server (docker compose): secrets, users, keys, backup, moving."),
):
    deferred.add_to(app, name, help)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"stackyard {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
    ),
) -> None:
    """Options that come before the command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process.

    Args:
        arguments: instead of the process' own.
    """
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Run the command line; answers the exit status. Errors a user may read end as one sentence on stderr."""
    # Accepted anywhere on the line: who meets an error repeats the command with --debug behind it.
    # Behind the -- is somebody else's command, whose own --debug stays.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    of_a_command = arguments[:1] in (["run"], ["compare"]) and arguments[:2] != ["compare", "tasks"]
    if end == len(arguments) and of_a_command:
        end = 1
    debug = "--debug" in arguments[:end]
    arguments = [word for index, word in enumerate(arguments) if word != "--debug" or index >= end]
    try:
        whole = get_command(app)
        once.hold(whole, BadInputError)
        whole.main(args=arguments, prog_name="stackyard")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except StackyardError as error:
        if debug:
            raise
        print(f"stackyard: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output left: nothing to say, and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or str(error)
        print(f"stackyard: {where}{reason}; see the traceback with --debug", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    main()
