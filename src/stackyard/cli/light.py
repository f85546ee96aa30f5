"""Commands whose line is read without pydantic: one that is to begin at once waits for nothing that it does not need.

Typer reads every value by pydantic, also one that was not given; to load that takes as long as all else that a command
line needs. Defaults and plain texts are what they are. Any other value is read as ever.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

#: Annotations of which a given text, or a list of them, is the value.
_TEXTS = (str, str | None)
_LISTS = (list[str], list[str] | None)


class LightCommand(TyperCommand):
    """A command that begins at once."""

    def get_params(self, ctx: Any) -> Any:
        """Its options and arguments."""
        return [_light(parameter) for parameter in super().get_params(ctx)]


class LightGroup(TyperGroup):
    """A group with such commands."""

    def get_params(self, ctx: Any) -> Any:
        """Its own options."""
        return [_light(parameter) for parameter in super().get_params(ctx)]


def _light(parameter: Any) -> Any:
    usual = getattr(parameter, "get_runtime_param", None)  # Typer 0.29; those before it read without pydantic
    if usual is not None and not isinstance(usual, _Reading):
        parameter.get_runtime_param = _Reading(usual)
    return parameter


class _Reading:
    """Stands for what reads the values of one parameter."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual

    def __call__(self) -> _Reading:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """A value as the command gets it.

        Raises:
            BadParameter: it is none that is allowed.
        """
        annotation = getattr(getattr(param, "type_descriptor", None), "annotation", None)
        several = param.multiple or param.nargs == -1
        if not several and (value is None or value is param.default):
            return value
        if isinstance(value, str) and annotation in _TEXTS:
            return value
        if several and annotation in _LISTS and all(isinstance(one, str) for one in value or ()):
            return list(value or ())
        return self._usual().coerce(value, param=param, ctx=ctx)
