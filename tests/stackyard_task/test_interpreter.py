"""What stands where an agent looks for Python: what it measures, what it lets through, and where else it stands."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stackyard_task import interpreter

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    """The program as an agent is given it."""
    script = tmp_path / "wrapper"
    script.write_text(
        f'#!/bin/sh\n[ -n "$STACKYARD_PYTHON" ] || STACKYARD_PYTHON={sys.executable}\n'
        'export STACKYARD_PYTHON STACKYARD_WRAPPER="$0"\n'
        f"exec {sys.executable} -I -S -c 'import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        f'from stackyard_task.interpreter import main\nsys.exit(main())\' {SOURCE} "$@"\n'
    )
    script.chmod(0o755)
    return script


def ran(wrapper: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        [str(wrapper), *words], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "words",
    [["-V"], ["-c", "print('Python 3')"], ["-m", "pip", "--version"], ["-u", "-m", "pip", "--version"]],
    ids=" ".join,
)
def test_probes_of_an_agent_are_pythons(wrapper: Path, words: list[str]) -> None:
    done = ran(wrapper, *words, CLEARML_TASK_ID="one")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3" in done.stdout


def test_a_script_outside_any_task_is_pythons(wrapper: Path, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text("import sys; print(sys.argv[1:], sys.executable); sys.exit(7)")
    done = ran(wrapper, "-u", str(tmp_path / "work.py"), "--lr", "0.1")
    assert (done.returncode, done.stdout) == (7, f"['--lr', '0.1'] {sys.executable}\n")


def test_what_a_measured_script_starts_is_not_measured_again(wrapper: Path, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text("print('ran')")
    done = ran(
        wrapper, str(tmp_path / "work.py"), CLEARML_TASK_ID="one", **{interpreter.MEASURED_VARIABLE: "one"}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_a_task_of_ours_measures_itself(wrapper: Path, tmp_path: Path) -> None:
    own = tmp_path / "dispatched.py"
    own.write_text("print('itself')\nif False:\n    from stackyard_task import dispatched\n")
    assert ran(wrapper, "-u", str(own), CLEARML_TASK_ID="one").stdout == "itself\n"
    # a user's script of that name is a task like any other
    own.write_text("print('itself')\n")
    done = ran(wrapper, "-u", str(own), CLEARML_TASK_ID="one")
    assert done.stderr == (
        "stackyard: not measured: no ClearML server is named: neither CLEARML_API_HOST nor CLEARML_CONFIG_FILE says "
        "one\n"
    )
    assert done.stdout == "itself\n", "a machine that is nobody's goes on as it would without us"


def test_with_an_environment_settled_nothing_runs_in_another(wrapper: Path, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text("print('ran')")
    done = ran(
        wrapper,
        str(tmp_path / "work.py"),
        CLEARML_TASK_ID="one",
        STACKYARD_TASKS_FILE=str(tmp_path / "tasks.json"),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "no ClearML server is named" in done.stderr


@pytest.mark.parametrize("maker", ["venv", "virtualenv"])
def test_the_wrapper_stands_in_an_environment_that_is_made_through_it(
    wrapper: Path, tmp_path: Path, maker: str
) -> None:
    pytest.importorskip(maker)
    made = tmp_path / "made"
    options = ["--without-pip"] if maker == "venv" else ["--no-pip"]
    done = ran(wrapper, "-m", maker, *options, str(made), HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    (tmp_path / "work.py").write_text("print('ran')")
    python = made / "bin" / "python"
    assert stat.S_ISREG(python.lstat().st_mode)
    prefix = ran(python, "-c", "import sys; print(sys.prefix)").stdout.strip()
    assert prefix == str(made), "it is the environment's own Python that runs"
    task = ran(python, str(tmp_path / "work.py"), CLEARML_TASK_ID="one")
    assert "not measured" in task.stderr, "a task's script comes to us"
    for other in made.glob("bin/python3*"):
        assert ran(other, "-c", "import sys; print(sys.prefix)", CLEARML_TASK_ID="one").stdout.strip() == str(
            made
        )


def test_an_environment_that_cannot_be_made_is_not_touched(wrapper: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = ran(wrapper, "-m", "venv", str(tmp_path / "file" / "made"))
    assert done.returncode != 0
    interpreter.lay(str(tmp_path / "none"), str(wrapper))
    assert not (tmp_path / "none").exists()
