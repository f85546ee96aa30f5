"""Groups of commands whose module is imported when one of them is called, not when the command line starts."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from stackyard.errors import BadInputError
from stackyard_server import once


class Deferred(TyperGroup):
    """Stands for the group of ``stackyard.cli.<name>``: name and help are known, the rest is looked up there.

    Whoever lists the commands sees name and help; who calls one, or asks for its commands or parameters, loads it.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        # what only the module knows: __getattr__ finds it there
        del self.commands, self.params

    def __getattr__(self, name: str) -> Any:
        if name in ("commands", "params"):
            return getattr(self._real(), name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def make_context(self, *given: Any, **further: Any) -> Any:
        """The context of the real group, which runs from here on."""
        return self._real().make_context(*given, **further)

    def _real(self) -> TyperGroup:
        group = get_group(importlib.import_module(f"stackyard.cli.{self.name}").app)
        group.name, group.help = self.name, self.help
        once.hold(group, BadInputError)
        return group


def add_to(app: typer.Typer, name: str, help: str) -> None:
    """Mount the group of the module ``stackyard.cli.<name>``, its ``app``, without importing it."""
    app.add_typer(typer.Typer(cls=Deferred), name=name, help=help)
