"""A person's own script with the files around it, for tests of workloads that are commands."""

from __future__ import annotations

from pathlib import Path

#: Plain Python that knows nothing of Stackyard; ``lib/halve.py`` is found by PYTHONPATH.
TRAIN = """
import argparse, json, os, pathlib
import halve

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--epochs", type=int)
parser.add_argument("--data")
parser.add_argument("--out")
asked = parser.parse_args()
text = pathlib.Path(asked.data).read_text()
made = {"test": {"accuracy": halve.of(asked.lr)}, "read": text, "mode": os.environ.get("MODE")}
pathlib.Path("metrics.json").write_text(json.dumps(made))
(pathlib.Path(asked.out) / "model.txt").write_text(f"{text}+{asked.lr}x{asked.epochs}")
print("trained on", text)
"""
COMMAND = """
command = [
    "python", "train.py", "--lr", "{lr}", "--epochs", "{epochs}", "--data", "{inputs.data}", "--out", "{outputs}",
]
code = "code"
inputs = { data = "data.txt" }
environment = { PYTHONPATH = "lib", MODE = "plain" }
metrics.accuracy = "json:metrics.json#test.accuracy"
metrics.read = "json:metrics.json#read"
metrics.mode = "json:metrics.json#mode"
"""
#: The same, declared: ``workloads.toml``.
DECLARED = f"""
[train]
help = "learn something"
{COMMAND.strip()}
[train.parameters]
lr = {{ kind = "number", default = 0.5, low = 0, help = "learning rate" }}
epochs = 3
"""


def written(folder: Path, data: str = "numbers") -> Path:
    """``folder`` with the script, what it imports and what it reads."""
    (folder / "code" / "lib").mkdir(parents=True)
    (folder / "code" / "train.py").write_text(TRAIN)
    (folder / "code" / "lib" / "halve.py").write_text("def of(x):\n    return x / 2\n")
    (folder / "data.txt").write_text(data)
    return folder
