"""The extras of this installation: which are here, and what to say where one is missing.

Core is scenarios, deployment ``bare``, stacks and the plain report. ``pyproject.toml`` says what each extra brings.
"""

from __future__ import annotations

from importlib.util import find_spec

from stackyard.errors import NotRunnableError

#: Extra -> the modules that its code cannot do without.
MODULES = {
    "clearml": ("bcrypt", "clearml", "clearml_agent", "prometheus_client", "pyhocon"),
    "containers": ("docker",),
    "reports": ("jinja2", "plotly"),
    "tuning": ("optuna",),
    "server": (
        "argon2",
        "httptools",
        "jinja2",
        "jwt",
        "orjson",
        "prometheus_client",
        "python_multipart",
        "re2",
        "starlette",
        "uvicorn",
    ),
    "web": ("jinja2", "starlette", "uvicorn"),
}


def why_not(extra: str) -> str | None:
    """Why what an extra brings cannot be used, in one sentence; ``None``: it is here."""
    if all(find_spec(module) is not None for module in MODULES[extra]):
        return None
    return f"the extra [{extra}] is not installed; add it from the checkout with `make install-{extra}`"


def check(extra: str, what: str) -> None:
    """That what an extra brings is here.

    Args:
        extra: its name.
        what: what cannot be done without it: the begin of the sentence.

    Raises:
        NotRunnableError: it is not; the message says how to add it.
    """
    reason = why_not(extra)
    if reason is not None:
        raise NotRunnableError(f"{what}: {reason}")
