"""What of a base stays as it is in every stack on top: torch, its CUDA libraries, and what is built with it.

Compiled code fits one build of torch, and torch one build of CUDA's libraries. All else of a base can be replaced,
where a stack on top is allowed to (``derived.defined``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stackyard.stacks.definition import LockedPackage, StackSpec, canonical, packages

if TYPE_CHECKING:
    from importlib import metadata

#: Packages with a build for each build of torch, told by the same local tag and served where torch is.
BUILT_WITH_TORCH = ("torchvision", "torchaudio")
_NAMES = {"torch", "triton", *BUILT_WITH_TORCH}
#: CUDA's libraries as wheels: "nvidia-cublas-cu12", of CUDA 13 on "nvidia-cublas", "cuda-bindings".
_LIBRARY = re.compile(r"(nvidia|cuda|pytorch-triton)-.*|pytorch-triton")
#: It only asks the driver, and torch does not need it.
_NO_LIBRARY = {"nvidia-ml-py"}
_NEEDS_TORCH = re.compile(r"torch\s*([(<>=!~;]|$)")


def holds(name: str) -> bool:
    """Whether a package of that name belongs to the core of every base that has it."""
    name = canonical(name)
    return name in _NAMES or (name not in _NO_LIBRARY and _LIBRARY.fullmatch(name) is not None)


def of(base: StackSpec, python: Path) -> dict[str, str]:
    """The core of a built base: name -> version, as pip sees it there (torch with its local tag, if its wheel has one).

    Args:
        base: the stack.
        python: the interpreter of its environment.
    """
    from importlib import metadata  # slow to load, and not needed to say what a name belongs to

    pinned = {canonical(package.name): package for package in packages(base)}
    (site,) = python.parent.parent.glob("lib/python3*/site-packages")
    found = {}
    for one in metadata.distributions(path=[str(site)]):
        name = canonical(one.metadata["Name"] or "")
        if name in pinned and (holds(name) or _built_with_torch(one)):
            found[name] = one.version
    return {name: found.get(name, package.version) for name, package in _core(pinned, found).items()}


def _core(pinned: Mapping[str, LockedPackage], found: Mapping[str, str]) -> dict[str, LockedPackage]:
    return {name: package for name, package in pinned.items() if holds(name) or name in found}


def _built_with_torch(one: metadata.Distribution) -> bool:
    """Whether a package has compiled code and needs torch."""
    needs = any(_NEEDS_TORCH.match(line) for line in one.requires or () if "extra" not in line)
    return needs and any(str(file).endswith(".so") for file in one.files or ())
