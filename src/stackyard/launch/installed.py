"""Which deployments there are: found by Python entry point, ours declared as a guest package declares its own.

    [project.entry-points."stackyard.deployments"]
    nice = "stackyard_nice:NiceDeployment"

Names are known without loading anything; a deployment's code is loaded when it is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from stackyard.errors import StackyardError
from stackyard.launch.deployment import Deployment

GROUP = "stackyard.deployments"
#: Where nothing else is said: cells without the axis, preparations, examples. The one place that says so.
DEFAULT = "bare"


def names() -> tuple[str, ...]:
    """The deployments a scenario may name: the default one, then the others in alphabetical order.

    Raises:
        StackyardError: this checkout is not installed as it declares itself.
    """
    return (DEFAULT, *sorted(name for name in _declared() if name != DEFAULT))


@functools.cache
def named(name: str) -> type[Deployment]:
    """The deployment of that name.

    Raises:
        StackyardError: no package declares it, two do, or what is declared cannot be loaded, is no deployment or is
            not a whole one.
    """
    declared = _declared().get(name, ())
    if not declared:
        raise StackyardError(
            f"deployment {name!r}: no installed package declares it; there are: {', '.join(names())}"
        )
    if len(declared) > 1:
        raise StackyardError(
            f"deployment {name!r} is declared by several packages ({', '.join(map(_package, declared))}); "
            "keep one and uninstall the others"
        )
    (point,) = declared
    where = f"deployment {name!r} of {_package(point)} ({point.value})"
    try:
        found = point.load()
    except Exception as error:
        raise StackyardError(
            f"{where} cannot be loaded: {type(error).__name__}: {error}; mend or uninstall that package"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Deployment)):
        raise StackyardError(f"{where} is no subclass of stackyard.launch.deployment.Deployment")
    if getattr(found, "name", None) != name:
        raise StackyardError(
            f"{where} calls itself {getattr(found, 'name', None)!r}; entry point and class must bear one name"
        )
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise StackyardError(f"{where} does not define {', '.join(missing)}; mend or uninstall that package")
    about = getattr(found, "about", None)
    if not isinstance(about, str) or not about:
        raise StackyardError(
            f"{where} does not say in a text `about` how its runs are started; mend or uninstall that package"
        )
    return found


@functools.cache
def _declared() -> Mapping[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=GROUP):
        found[point.name] = (*found.get(point.name, ()), point)
    if DEFAULT not in found:
        raise StackyardError(
            "this Python's installation of stackyard is older than the checkout: it declares no deployment; "
            "run `make install`, or `python -m pip install --no-deps -e .` with this Python"
        )
    return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown package"
