"""Whether a bundle is as its manifest says, and its manifest the one that was meant."""

from __future__ import annotations

from pathlib import Path

from stackyard.bundle import archive, manifest
from stackyard.errors import BadInputError
from stackyard.stacks.installation import Progress


def verify(folder: Path, digest: str | None = None, say: Progress = lambda text: None) -> list[str]:
    """What is wrong with a bundle, each as a sentence; empty: nothing.

    Args:
        folder: the bundle's.
        digest: the manifest's, as ``create`` printed it; ``None``: the manifest is believed.
        say: called with one line whenever there is something new to show.

    Raises:
        BadInputError: there is no manifest, or another than was meant.
    """
    told = manifest.read(folder)
    found = manifest.digest(folder)
    if digest is not None and digest.lower() != found:
        raise BadInputError(f"{folder}: another bundle than was meant: its digest is {found}, not {digest}")
    faults: list[str] = []
    for component in told.components:
        say(f"verifying {component.name}")
        faults += archive.faults(component, folder)
    known = {component.file for component in told.components} | {manifest.FILE, "SHA256SUMS"}
    faults += [
        f"{path.name}: not in the manifest" for path in sorted(folder.iterdir()) if path.name not in known
    ]
    return faults
