"""Options that may be given once: a second one is refused, where else it would silently win over the first.

It stands here because the server's command line is a program of its own too; ``stackyard`` holds all of its commands to
the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any


def hold(command: Any, refusal: Callable[[str], Exception]) -> None:
    """Have a command, or each command of a group, refuse a second value of an option that takes one.

    A flag may stand twice, for it says the same; ``--x`` and ``--no-x`` are two ends of one switch, the last of which
    counts.

    Args:
        command: as Typer makes it; what it loads later is not looked for.
        refusal: the sentence -> the error that ends the program with it.
    """
    for inner in vars(command).get("commands", {}).values():
        hold(inner, refusal)
    usual = command.make_parser

    def make_parser(ctx: Any) -> Any:
        parser = usual(ctx)
        read = parser.parse_args

        def parse_args(args: list[str]) -> Any:
            found = read(args=args)
            if not ctx.resilient_parsing:
                for option, times in Counter(filter(_takes_one, found[2])).items():
                    if times > 1:
                        raise refusal(f"{option.opts[0]} is given {_words(times)}; give it once")
            return found

        parser.parse_args = parse_args
        return parser

    command.make_parser = make_parser


def _takes_one(parameter: Any) -> bool:
    return bool(
        parameter.param_type_name == "option"
        and not (parameter.multiple or parameter.is_flag or getattr(parameter, "count", False))
    )


def _words(times: int) -> str:
    return "twice" if times == 2 else f"{times} times"
