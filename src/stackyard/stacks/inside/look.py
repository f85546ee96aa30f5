"""What this Python really loads: versions, a tensor operation, installed packages. Prints one JSON object.

Arguments: what is to be tried. "torch" makes a product; "numpy" beside it passes an array through
``torch.from_numpy`` (with a NumPy it was not built for torch imports, and only this raises). "numpy" alone makes the
product. "extensions" imports every package that has compiled code and needs torch: such code fits one build of torch.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from typing import Any, Dict


def _installed() -> Dict[str, str]:
    """Name -> version of every installed distribution."""
    from importlib import metadata

    return {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}


def _extensions() -> Dict[str, str]:
    """Name -> what it raised, of every package that is built against torch and cannot be loaded with this one."""
    from importlib import import_module, metadata

    refused = {}
    for found in metadata.distributions():
        files = [str(file) for file in found.files or ()]
        needs = any(
            re.match(r"torch\s*([(<>=!~;]|$)", line) for line in found.requires or () if "extra" not in line
        )
        if not needs or not any(file.endswith(".so") for file in files):
            continue
        for name in sorted(
            {file.split("/")[0] for file in files if file.count("/") == 1 and file.endswith("/__init__.py")}
        ):
            try:
                import_module(name)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - an edge: whatever it raises is what we came to see
                refused[found.metadata["Name"]] = _said(error)
    return refused


def _said(error: BaseException) -> str:
    return "{}: {}".format(type(error).__name__, str(error).splitlines()[0] if str(error) else "")


def main() -> int:
    """Print what was found; failures are findings too."""
    seen: Dict[str, Any] = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "installed": _installed(),
    }
    tried = sys.argv[1:]
    try:
        # 0..5 as 2 x 3, times its transpose: [[5, 14], [14, 50]], sum 83.
        rows = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
        if "torch" in tried:
            import torch

            seen["torch"] = str(torch.__version__)
            seen["cuda"] = torch.version.cuda or "cpu"
            matrix = torch.tensor(rows)
            seen["operation"] = float((matrix @ matrix.t()).sum())
            if "numpy" in tried:
                import numpy

                array = numpy.arange(6, dtype=numpy.float32)
                seen["from_numpy"] = float(torch.from_numpy(array).sum())
                seen["to_numpy"] = float(matrix.numpy().sum())
            seen["gpus"] = torch.cuda.device_count() if torch.cuda.is_available() else 0
        elif "numpy" in tried:
            import numpy

            array = numpy.array(rows)
            seen["operation"] = float((array @ array.T).sum())
    except Exception as error:  # noqa: BLE001 - an edge: whatever they raise here is what we came to see
        seen["error"] = _said(error)
    if "extensions" in tried and "error" not in seen:
        seen["refused"] = _extensions()
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
