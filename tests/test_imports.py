"""The import directions of docs/architecture.md, checked on the source itself."""

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"

#: Libraries that only the named files of the task's side may import, and never at import of the package.
OWNED = {
    "torch": {"detector", "child"},
    "numpy": {"detector", "readers"},
    "orjson": {"readers"},
    "safetensors": {"detector"},
    "pynvml": {"measure"},
    "psutil": {"measure"},
    "clearml": {"clearml_sdk", "clearml_inputs", "clearml_pipeline"},
    "opentelemetry": {"telemetry"},
}
#: room of stackyard -> rooms it may import, none that it does not need; "*": any.
ALLOWED = {
    "errors": set(),
    "counting": set(),
    "git_words": set(),
    "settings": set(),
    "extras": {"errors"},
    "toml_tables": {"errors"},
    "command_tables": {"errors", "toml_tables"},
    "stop_tables": {"errors", "toml_tables"},
    "machine": {"errors", "counting", "extras", "toml_tables"},
    "stacks": {"errors", "counting", "settings", "toml_tables", "machine"},
    "ordinary": {"errors", "git_words", "settings", "machine", "stacks"},
    "workloads": {"errors", "counting", "toml_tables", "command_tables"},
    "scenarios": {"errors", "toml_tables", "command_tables", "stop_tables", "machine"},
    "clearml": {"errors", "extras", "settings", "toml_tables", "command_tables", "workloads", "scenarios"},
    "launch": {"errors", "settings", "toml_tables", "machine", "stacks", "workloads", "clearml"},
    "tuning": {
        "machine",
        "errors",
        "counting",
        "extras",
        "toml_tables",
        "stop_tables",
        "scenarios",
        "launch",
        "matrix",
        "reports",
    },
    "matrix": {"errors", "counting", "settings", "machine", "stacks", "workloads", "scenarios", "launch"},
    "agents": {"errors", "counting", "settings", "toml_tables", "clearml"},
    "services": {
        "errors",
        "counting",
        "git_words",
        "extras",
        "settings",
        "machine",
        "stacks",
        "clearml",
        "agents",
    },
    "bundle": {"errors", "counting", "settings", "machine", "stacks"},
    "official": {"errors", "counting", "extras", "clearml"},
    "reports": {"errors", "counting", "extras"},
    "comparing": {"errors", "counting", "clearml", "reports"},
    "web": {"errors", "counting", "extras", "clearml", "reports", "comparing", "tuning"},
    "cli": {"*"},
}
#: What our side may see of the task's side.
SEAM = {
    "stackyard_task.records",
    "stackyard_task.workloads",
    "stackyard_task.commands",
    "stackyard_task.criteria",
    "stackyard_task.metric_sources",
    "stackyard_task.manifest",
    "stackyard_task.figure_names",
    "stackyard_task.studies",
    "stackyard_task.wishes",
    "stackyard_task.installed",
    "stackyard_task.run_folders",
}
#: And what the gate may, which an agent starts beside its tasks.
AT_AGENTS = {"stackyard_task.box"}
#: What a workload may see of the harness.
GUEST_SEAM = {"stackyard_task.channel", "stackyard_task.records", "stackyard_task.workloads"}
GUESTS = ("stackyard_detector", "stackyard_tabular")
#: What the second guest imports inside its functions only.
HEAVY = {"numpy", "pandas", "pyarrow", "scipy", "sklearn", "threadpoolctl"}


def modules(package: str) -> list[Path]:
    return sorted((SOURCE / package).rglob("*.py"))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports(path: Path) -> set[str]:
    """Absolute dotted names a file imports, anywhere in it."""
    inside = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    base = inside.split(".")[:-1]
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = base[: len(base) - node.level + 1] if node.level else []
            module = ".".join([*stem, node.module] if node.module else stem)
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def loaded(path: Path) -> set[str]:
    """The packages that a file imports when it is loaded: outside of functions, and not for types alone."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(parsed(path).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(
                (node.module or "").split(".")[0] if not node.level else path.relative_to(SOURCE).parts[0]
            )
        waiting += ast.iter_child_nodes(node)
    return found


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[1].removesuffix(".py")


@pytest.mark.parametrize(
    "path", [path for guest in GUESTS for path in modules(guest)], ids=lambda p: str(p.relative_to(SOURCE))
)
def test_a_guest_knows_the_harness_by_its_interface_only(path: Path) -> None:
    names = imports(path)
    others = {"stackyard", "stackyard_server", *GUESTS} - {path.relative_to(SOURCE).parts[0]}
    assert not [n for n in names if n.split(".")[0] in others]
    seen = {".".join(n.split(".")[:2]) for n in names if n.startswith("stackyard_task")}
    assert seen - {"stackyard_task"} <= GUEST_SEAM
    for library, owners in OWNED.items() if path.is_relative_to(SOURCE / "stackyard_detector") else ():
        if any(n.split(".")[0] == library for n in names):
            assert room(path) in owners, f"{library} belongs to {owners}"


@pytest.mark.parametrize("path", modules("stackyard_tabular"), ids=lambda p: str(p.relative_to(SOURCE)))
def test_the_tabular_guest_is_imported_without_its_libraries(path: Path) -> None:
    top = {
        (getattr(node, "module", None) or node.names[0].name).split(".")[0]
        for node in parsed(path).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert top <= set(sys.stdlib_module_names) | {"stackyard_tabular", "stackyard_task"}
    assert {n.split(".")[0] for n in imports(path)} <= top | HEAVY | set(sys.stdlib_module_names)


def test_the_harness_knows_no_guest() -> None:
    for path in modules("stackyard_task"):
        assert not [n for n in imports(path) if n.split(".")[0] in GUESTS], path


@pytest.mark.parametrize("path", modules("stackyard_task"), ids=lambda p: str(p.relative_to(SOURCE)))
def test_task_side_imports_neither_our_side_nor_foreign_rooms(path: Path) -> None:
    names = imports(path)
    assert not [n for n in names if n.split(".")[0] in {"stackyard", "stackyard_server"}]
    for library, owners in OWNED.items():
        if any(n.split(".")[0] == library for n in names):
            assert room(path) in owners, f"{library} belongs to {owners}"
    if room(path) == "child":
        assert not [n for n in names if n.startswith(("stackyard_task.run", "stackyard_task.measure"))]


@pytest.mark.parametrize("path", modules("stackyard"), ids=lambda p: str(p.relative_to(SOURCE)))
def test_our_side_follows_the_table(path: Path) -> None:
    names = imports(path)
    if (
        path.name == "contract_work.py"
    ):  # a workload: it travels into tasks, beside the packages of a snapshot
        assert not [n for n in names if n.split(".")[0] in {"stackyard", "stackyard_server"}]
        return
    seen = {".".join(n.split(".")[:2]) for n in names if n.startswith("stackyard_task")}
    at_agents = AT_AGENTS if path.name == "gate.py" else set()
    assert seen - {"stackyard_task"} <= SEAM | at_agents
    # the SDK keeps global state and prints: it runs in a process of its own
    assert path.name == "dataset_upload.py" or not [n for n in names if n.split(".")[0] == "clearml"]
    allowed = ALLOWED[room(path)] if room(path) != "__init__" else set()
    for name in names:
        parts = name.split(".")
        if parts[0] == "stackyard" and len(parts) > 1 and parts[1] not in (room(path), "__version__"):
            assert allowed == {"*"} or parts[1] in allowed, f"{room(path)} may not import {parts[1]}"


def test_nobody_asks_for_a_deployment_by_name() -> None:
    """Which deployments there are, and which is the default, stands in ``launch/installed.py`` alone."""
    files = (
        "bare",
        "agent",
        "container",
        "dispatch",
        "offer",
        "slurm",
        "kubernetes",
        "scheduled",
        "scheduled_deployment",
    )
    ours = {f"stackyard.launch.{name}" for name in files}
    for path in modules("stackyard"):
        if room(path) != "launch":
            assert not imports(path) & ours, path
            words = [
                n.value for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Constant)
            ]
            assert "bare" not in words, path


def test_pytest_is_needed_by_those_who_run_the_contract_only() -> None:
    contract = SOURCE / "stackyard" / "launch" / "contract"
    for path in modules("stackyard"):
        if contract not in path.parents:
            names = imports(path)
            assert not [
                n for n in names if n.split(".")[0] == "pytest" or n.startswith("stackyard.launch.contract")
            ]


def test_pure_rooms_touch_no_clock_file_or_network() -> None:
    impure = {"time", "datetime", "os", "io", "socket", "httpx", "subprocess", "random", "tempfile", "shutil"}
    pure = [
        "stackyard/scenarios",
        "stackyard/machine/hardware_spec",
        "stackyard/matrix/estimate",
        "stackyard/reports/statistics",
        "stackyard_server/rules",
    ]
    found = [path for name in pure for path in [SOURCE / f"{name}.py", *(SOURCE / name).glob("*.py")]]
    # of tuning whatever says that it is
    told = [path for path in modules("stackyard/tuning") if "Pure" in (ast.get_docstring(parsed(path)) or "")]
    assert {"engine", "space", "packing", "room", "observed", "ahead", "surrogate", "charts"} <= {
        path.stem for path in told
    }
    for path in [*found, *told]:
        if path.exists():
            # dice that a study's seed decides are no chance
            dice = {"random"} if path.stem == "skipping" else set()
            assert not {n.split(".")[0] for n in imports(path)} & impure - dice, path
            machine = {n for n in imports(path) if n.startswith("stackyard.machine.")}
            assert all(n.startswith("stackyard.machine.hardware_spec") for n in machine), path


def test_importing_the_task_side_needs_the_standard_library_only() -> None:
    """Of every module, but for the few that are loaded for a task that needs the SDK."""
    for path in modules("stackyard_task"):
        foreign = loaded(path) - set(sys.stdlib_module_names) - {"stackyard_task"}
        assert foreign == ({"clearml"} if path.stem in OWNED["clearml"] else set()), path


def test_optuna_is_loaded_by_whoever_asks_for_what_is_its_own() -> None:
    owners = {SOURCE / "stackyard" / "tuning" / room / "library.py" for room in ("samplers", "pruners")}
    asking = {path for path in modules("stackyard") if "optuna" in {n.split(".")[0] for n in imports(path)}}
    assert asking == owners
    assert not [path for path in owners if "optuna" in loaded(path)]


#: room of stackyard_server -> rooms (or files of them) it may not import; who is not named may import those below it.
SERVER_TOP = {"app", "admin", "web", "endpoints"}
SERVER_FORBIDDEN = {
    "moments": {"*"},
    "protocol": {"*"},
    "rules": SERVER_TOP | {"store", "calls", "api", "identity", "files", "upkeep", "http"},
    "store": SERVER_TOP | {"calls", "api", "identity", "files", "upkeep", "http", "listing", "protocol"},
    "identity": SERVER_TOP | {"api", "files", "upkeep", "calls", "http"},
    # the edge knows who may be told apart, not what is asked for: no port, no endpoint, no call
    "http": SERVER_TOP | {"api", "files", "upkeep", "calls", "protocol.envelope", "rules"},
    "upkeep": SERVER_TOP | {"api", "http"},
    "files": {"app", "admin", "web", "endpoints", "api", "calls.dispatch"},
    "monitoring": SERVER_TOP | {"api", "files", "upkeep", "calls", "identity", "http"},
    "calls": {
        "app",
        "admin",
        "web",
        "api",
        "files",
        "upkeep",
        "http",
        "listing",
        "tasks",
        "projects",
        "reported",
    },
    "api": {"app", "admin", "web", "files"},
    "endpoints": {"app", "admin", "web", "api"},
    "web": {"app", "admin", "endpoints", "api", "files"},
}


@pytest.mark.parametrize("path", modules("stackyard_server"), ids=lambda p: str(p.relative_to(SOURCE)))
def test_the_server_follows_its_table_and_knows_nobody_else(path: Path) -> None:
    names = imports(path)
    assert not [n for n in names if n.split(".")[0] in {"stackyard", "stackyard_task", "clearml"}]
    banned = SERVER_FORBIDDEN.get(room(path), set() if room(path) in ("admin", "__main__") else {"app"})
    for name in names:
        parts = name.split(".")
        if parts[0] == "stackyard_server" and len(parts) > 1 and parts[1] != room(path):
            below = (SOURCE / "stackyard_server" / f"{parts[1]}.py").exists() or (
                SOURCE / "stackyard_server" / parts[1]
            ).is_dir()
            assert not (below and "*" in banned), f"{room(path)} stands below all rooms"
            assert not {parts[1], ".".join(parts[1:3])} & banned, f"{room(path)} may not import {name}"


#: What a piece of SQL holds, and the methods of a ``Transaction`` that take some.
SQL = re.compile(
    r"\b(SELECT|INSERT (OR \w+ )?INTO|UPDATE \S+ SET|DELETE FROM|PRAGMA|WITH RECURSIVE|ORDER BY|GROUP BY)\b"
    r"|\b(json_each|json_extract|EXISTS ?)\(|\bd\.[a-z_]+ ?(=|<|>|IN\b|IS\b)| WHERE | (NOT )?IN \("
)
ASKING = {"all", "one", "value", "run", "many"}


def texts(tree: ast.Module) -> Iterator[str]:
    """The texts of a module, pieces of f-strings too, without its docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_sql_is_written_in_the_store_only() -> None:
    """No statement, no piece of one, and no call that takes one stands above the store."""
    for path in modules("stackyard_server"):
        if room(path) == "store":
            continue
        assert "sqlite3" not in imports(path), path
        tree = parsed(path)
        assert not [text for text in texts(tree) if SQL.search(text)], path
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).rpartition(".")[2] == "tx":
                assert node.attr not in ASKING | {"connection"}, f"{path}: {ast.unparse(node)}"


def test_endpoints_do_not_know_each_other() -> None:
    for path in modules("stackyard_server/endpoints"):
        mine = path.stem
        for name in imports(path):
            parts = name.split(".")
            if parts[:2] == ["stackyard_server", "endpoints"] and len(parts) > 2:
                assert parts[2] == mine, f"{path.name} imports {name}"


#: The server's doors, and the rooms of our side that may enter by each.
DOORS = {
    "stackyard_server.app": {"cli", "services"},
    "stackyard_server.admin": {"cli", "services"},
    "stackyard_server.command": {"cli"},
    "stackyard_server.once": {"cli"},
    "stackyard_server.rules.fate": {"agents", "clearml", "launch", "services"},
}


def test_our_side_enters_the_server_by_its_doors() -> None:
    for path in modules("stackyard"):
        for name in imports(path):
            if name.startswith("stackyard_server.") and name != "stackyard_server.rules":
                doors = [door for door in DOORS if f"{name}.".startswith(f"{door}.")]
                assert doors, f"{path} enters by {name}"
                assert room(path) in DOORS[doors[0]], f"{room(path)} may not enter by {doors[0]}"


def test_the_third_door_needs_the_standard_library_only() -> None:
    """So that our side may decide as the server does where no server of ours is installed."""
    for module, ours in (
        ("rules/fate", {"stackyard_server.rules.task_status"}),
        ("rules/task_status", set()),
    ):
        for name in imports(SOURCE / "stackyard_server" / f"{module}.py"):
            known = name.split(".")[0] in sys.stdlib_module_names or any(name.startswith(o) for o in ours)
            assert known or name == "stackyard_server.rules", f"{module} imports {name}"
    assert not imports(SOURCE / "stackyard_server" / "__init__.py") - {"__future__"}
    assert not imports(SOURCE / "stackyard_server" / "rules" / "__init__.py") - {"__future__"}


FATE = SOURCE / "stackyard_server" / "rules" / "fate.py"
#: Beginnings and parts of what only the owner of a task's fate may say.
ITS_WORDS = re.compile(
    r"^(infrastructure|time_limit): |^stackyard_retries$|^user abort$|stopped by tasks\.stop|worker vanished"
    r"|; queued again|tried again|killed by signal|goes on without it|aborted by stackyard|stop when asked|no queue to"
)
#: Names of what only it may bound.
ITS_BOUNDS = re.compile(r"retries|requeue_limit|backoff", re.IGNORECASE)


def bounds(tree: ast.Module) -> list[tuple[int, str]]:
    """Line and name of everything that is given a number other than 0: a name, a field, a default, an argument."""
    found: list[tuple[int, str, ast.expr | None]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            found += [(node.lineno, t.id, node.value) for t in node.targets if isinstance(t, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.append((node.lineno, node.target.id, node.value))
        elif isinstance(node, ast.keyword) and node.arg:
            found.append((node.value.lineno, node.arg, node.value))
        elif isinstance(node, ast.arguments):
            plain = [*node.posonlyargs, *node.args]
            given = [
                *zip(plain[::-1], node.defaults[::-1], strict=False),
                *zip(node.kwonlyargs, node.kw_defaults),
            ]
            found += [(a.lineno, a.arg, default) for a, default in given]
    return [
        (line, name)
        for line, name, value in found
        if isinstance(value, ast.Constant) and type(value.value) in (int, float) and value.value != 0
    ]


@pytest.mark.parametrize("package", ["stackyard", "stackyard_server", "stackyard_task"])
def test_a_tasks_fate_has_one_owner(package: str) -> None:
    for path in modules(package):
        if path == FATE:
            continue
        tree = parsed(path)
        said = [text for text in texts(tree) if ITS_WORDS.search(text)]
        bounded = [(line, name) for line, name in bounds(tree) if ITS_BOUNDS.search(name)]
        assert not said, f"{path} says itself what becomes of a task: {said}"
        assert not bounded, f"{path} says itself how often a task is tried again: {bounded}"


def test_the_owners_words_and_bounds_are_found_where_they_are() -> None:
    """The two looks above see what they are to see: in the owner itself."""
    tree = parsed(FATE)
    said = {match[0] for text in texts(tree) if (match := ITS_WORDS.search(text))}
    assert len(said) >= 8
    assert {name for _, name in bounds(tree) if ITS_BOUNDS.search(name)} == {"USUAL_RETRIES", "MOST_RETRIES"}


def test_one_file_speaks_to_the_docker_engine_and_the_gate_waits_for_no_library() -> None:
    for path in modules("stackyard"):
        if path.name != "docker_engine.py":
            assert not [n for n in imports(path) if n.split(".")[0] == "docker"], path
    gate = imports(SOURCE / "stackyard" / "agents" / "gate.py")
    rules = imports(SOURCE / "stackyard" / "agents" / "container_rules.py")
    ours = {n for n in gate | rules if n.startswith("stackyard") and not n.endswith("Error")}
    # of the standard library too, and loaded for the ordinary tasks only: test_gate.py
    ours -= {"stackyard_task", "stackyard_task.box", "stackyard_task.box.Box"}
    assert ours <= {"stackyard.agents", "stackyard.agents.container_rules", "stackyard.errors"}
    assert not {n.split(".")[0] for n in rules} & {"os", "time", "subprocess", "socket", "pathlib", "io"}


def test_no_pickle_anywhere() -> None:
    packages = ("stackyard", "stackyard_task", *GUESTS, "stackyard_server")
    for path in [path for package in packages for path in modules(package)]:
        names = {n.split(".")[0] for n in imports(path)}
        assert not names & {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}, path
        text = path.read_text(encoding="utf-8")
        assert "torch.save(" not in text, path
        assert "torch.load(" not in text, path
