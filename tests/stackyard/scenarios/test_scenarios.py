"""Scenario files: what they become, how they are refused, and what they expand to."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard import scenarios, workloads
from stackyard.errors import BadInputError
from stackyard.scenarios import Cell, Known, References, Scenario, reading
from stackyard_task import commands
from stackyard_task.commands import Command
from stackyard_task.workloads import Parameter, Workload, checked

DATA = Parameter("data", "data", None, "sessions", required=True)
WORKLOADS = (
    Workload("learn", "x:y", "", (DATA, Parameter("epochs", "integer", 5, "passes", low=1))),
    Workload("apply", "x:y", "", (DATA, Parameter("model", "model", None, "model", required=True))),
    Workload("simulate", "x:y", ""),
)
DEPLOYMENTS = ("bare", "agent", "container")
KNOWN = Known(["old", "new"], "new", DEPLOYMENTS, "bare", {w.name: w for w in WORKLOADS})

GOOD = """
name = "demo"
repeats = 6
seed = 7

[axes]
stack = ["old", "new"]
hardware = ["one", "machine"]
workload = ["train", "infer"]

[hardware.one]
cores = 0.5
memory = "2 GB"

[data.benign]
sources = [{ path = "prepared:sessions/train.csv", format = "csv-sequences" }]

[workloads.train]
workload = "learn"
parameters = { data = "data:benign", epochs = 2 }

[workloads.infer]
workload = "apply"
parameters = { data = "data:benign", model = "prepared:model/model" }

[prepare.model]
workload = "learn"
parameters = { data = "data:benign" }

[prepare.sessions]
workload = "simulate"

[[exclude]]
stack = "old"
hardware = "machine"
"""


def read(text: str) -> Scenario:
    return scenarios.read(text, "demo.toml", KNOWN)


def test_a_file_becomes_cells_in_axis_order_without_the_excluded() -> None:
    scenario = read(GOOD)
    assert [cell.slug for cell in scenarios.cells(scenario)] == [
        "bare-old-one-train",
        "bare-old-one-infer",
        "bare-new-one-train",
        "bare-new-one-infer",
        "bare-new-machine-train",
        "bare-new-machine-infer",
    ]
    assert scenario.hardware["one"].cores == 0.5
    assert scenario.hardware["one"].memory_bytes == 2_000_000_000


def test_the_shortest_file_runs_its_workloads_on_the_default_stack_without_limits() -> None:
    scenario = read('name = "s"\n[workloads.w]\nworkload = "simulate"\n')
    (cell,) = scenarios.cells(scenario)
    assert dict(cell.axes) == {"deployment": "bare", "stack": "new", "hardware": "machine", "workload": "w"}
    settings = scenarios.settings_of(scenario, cell)
    assert settings.hardware.cores is None
    assert settings.threads is None
    assert settings.tunables is None


def test_preparations_come_in_the_order_they_need_each_other() -> None:
    assert [p.name for p in read(GOOD).preparations] == ["sessions", "model"]
    assert {p.stack for p in read(GOOD).preparations} == {"new"}


def test_references_become_paths() -> None:
    scenario = read(GOOD)
    cell = scenarios.cells(scenario)[1]
    parameters = scenarios.settings_of(scenario, cell).parameters
    replace = References(
        dataset=lambda name: f"/cache/{name}",
        prepared=lambda name: f"/out/{name}",
        beside=lambda p: f"/here/{p}",
    )
    assert scenarios.resolved(parameters, scenario.data, replace) == {
        "data": {"sources": [{"path": "/out/sessions/train.csv", "format": "csv-sequences"}]},
        "model": "/out/model/model",
    }
    relative = {"data": {"sources": [{"path": "mine.csv"}, {"path": "dataset:a/b"}, {"path": "/abs"}]}}
    sources = scenarios.resolved(relative, {}, replace)["data"]["sources"]
    assert [s["path"] for s in sources] == ["/here/mine.csv", "/cache/dataset:a/b", "/abs"]


def test_axes_of_the_files_own_set_environment_and_parameters() -> None:
    text = GOOD.replace("[axes]", '[axes]\nallocator = ["plain", "tuned"]\nthreads = ["auto", 2]').replace(
        'workload = ["train", "infer"]', 'workload = ["train"]\ntunables = ["stack", "none", "mine"]'
    )
    text += """
[choices.allocator.plain]
[choices.allocator.tuned]
environment = { MALLOC_ARENA_MAX = 1 }
parameters = { epochs = 9 }
[tunables.mine]
OMP_WAIT_POLICY = "PASSIVE"
"""
    scenario = read(text)
    by_axes = {
        (c.axes["allocator"], c.axes["threads"], c.axes["tunables"]): scenarios.settings_of(scenario, c)
        for c in scenarios.cells(scenario)
    }
    tuned = by_axes["tuned", "2", "mine"]
    assert tuned.environment == {"MALLOC_ARENA_MAX": "1"}
    assert tuned.parameters["epochs"] == 9
    assert tuned.threads == 2
    assert tuned.tunables == {"OMP_WAIT_POLICY": "PASSIVE"}
    plain = by_axes["plain", "auto", "none"]
    assert plain.parameters["epochs"] == 2
    assert plain.tunables == {}
    assert by_axes["plain", "auto", "stack"].tunables is None


BROKEN = {
    "syntax": (GOOD + "[", "not TOML"),
    "unknown key": (GOOD.replace("repeats", "repeat"), "repeat is an unknown key.*did you mean 'repeats'"),
    "no name": (GOOD.replace('name = "demo"', ""), "name is missing"),
    "name with a slash": (
        GOOD.replace('"demo"', '"de/mo"'),
        "name is 'de/mo', expected a name of ASCII letters",
    ),
    "unknown axis": (
        GOOD.replace("hardware = [", "hardwear = ["),
        "axes.hardwear is an unknown axis.*hardware",
    ),
    "axis of one's own without its values": (
        GOOD.replace("hardware = [", "lr = [0.1, 0.2]\nhardware = ["),
        r"axes.lr is an unknown axis.*a table \[choices.lr.NAME\] for each value",
    ),
    "empty axis": (GOOD.replace('stack = ["old", "new"]', "stack = []"), r"axes.stack is \[\].*at least one"),
    "number in place of a name": (
        GOOD.replace("hardware = [", "lr = [0.1]\nhardware = [")
        + '[choices.lr."0.1".parameters]\nepochs = 1\n',
        r'axes.lr holds 0.1, expected the name in quotes: "0.1"',
    ),
    "twice": (GOOD.replace('["old", "new"]', '["old", "old"]'), "axes.stack holds 'old' twice"),
    "unknown stack": (
        GOOD.replace('["old", "new"]', '["odl"]'),
        "axes.stack holds 'odl'.*did you mean 'old'",
    ),
    "unknown deployment": (
        GOOD.replace("[axes]", '[axes]\ndeployment=["kubernetes"]'),
        "'kubernetes', expected one of bare, agent, container",
    ),
    "negative cores": (GOOD.replace("0.5", "-1"), "hardware.one.cores is -1, expected a number above 0"),
    "not a number": (GOOD.replace("0.5", "nan"), "hardware.one.cores is nan"),
    "negative memory": (GOOD.replace('"2 GB"', '"-2 GB"'), "hardware.one.memory is '-2 GB', expected a size"),
    "memory without unit": (GOOD.replace('"2 GB"', '"2"'), "hardware.one.memory is '2'"),
    "no repeats": (
        GOOD.replace("repeats = 6", "repeats = 0"),
        "repeats is 0, expected a whole number from 1",
    ),
    "half repeats": (GOOD.replace("repeats = 6", "repeats = 1.5"), "repeats is 1.5"),
    "unknown workload": (GOOD.replace('"learn"', '"leran"'), "workload is 'leran'.*did you mean 'learn'"),
    "unknown parameter": (GOOD.replace("epochs", "epoch"), "workloads.train.*'epoch'.*did you mean 'epochs'"),
    "parameter out of range": (
        GOOD.replace("epochs = 2", "epochs = 0"),
        "'epochs' is 0, expected at least 1",
    ),
    "unknown data": (
        GOOD.replace('"data:benign", epochs', '"data:malign", epochs'),
        "refers to 'data:malign'",
    ),
    "unknown preparation": (
        GOOD.replace("prepared:model", "prepared:modle"),
        "'prepared:modle'.*mean 'model'",
    ),
    "all excluded": (GOOD + '[[exclude]]\nworkload = ["train", "infer"]\n', "exclude leaves no cell"),
    "exclude unknown": (GOOD + '[[exclude]]\nworkload = "tune"\n', r"exclude\[1\].workload is 'tune'"),
    "exclude nothing": (GOOD + "[[exclude]]\n", r"exclude\[1\] is \{\}"),
    "circle": (
        GOOD
        + '[prepare.a]\nworkload="learn"\nparameters={data={sources=[{path="prepared:a/x",format="f"}]}}\n',
        "wait for each other",
    ),
    "zero threads": (GOOD.replace("[axes]", "[axes]\nthreads = [0]"), "axes.threads holds 0"),
    "choice without axis": (GOOD + "[choices.batch.small]\n", r"choices.batch has no line in \[axes\]"),
    "source without format": (GOOD.replace(', format = "csv-sequences"', ""), r"sources\[0\].format is None"),
    "time limit": (GOOD.replace("seed = 7", "time_limit_seconds = -5"), "time_limit_seconds is -5"),
    "no workloads": ('name = "x"', "workloads is missing"),
    "empty": ("", "name is missing"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_file_is_refused_in_one_sentence_that_names_file_and_key(name: str) -> None:
    text, expected = BROKEN[name]
    with pytest.raises(BadInputError, match=expected) as caught:
        read(text)
    assert str(caught.value).startswith("demo.toml: ")
    assert "\n" not in str(caught.value)


def test_cells_are_bounded_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    product = math.prod(len(values) for values in read(GOOD).axes.values())
    monkeypatch.setattr(reading, "MOST_CELLS", product)
    read(GOOD)
    monkeypatch.setattr(reading, "MOST_CELLS", product - 1)
    with pytest.raises(
        BadInputError, match=f"axes multiply to {product} cells, expected at most {product - 1}"
    ):
        read(GOOD)


def test_only_narrows_and_refuses_what_it_does_not_know() -> None:
    scenario = read(GOOD)
    every = scenarios.cells(scenario)
    left = scenarios.narrowed(every, [("stack", "new"), ("workload", "train")], scenario.axes)
    assert [c.slug for c in left] == ["bare-new-one-train", "bare-new-machine-train"]
    both = scenarios.narrowed(every, [("stack", "new"), ("stack", "old")], scenario.axes)
    assert len(both) == len(every)
    with pytest.raises(BadInputError, match="there is no axis 'stak'"):
        scenarios.narrowed(every, [("stak", "new")], scenario.axes)
    with pytest.raises(BadInputError, match="has the values: old, new"):
        scenarios.narrowed(every, [("stack", "older")], scenario.axes)
    with pytest.raises(BadInputError, match="no cell"):
        scenarios.narrowed(every, [("stack", "old"), ("hardware", "machine")], scenario.axes)


def _cells(count: int) -> list[Cell]:
    return [Cell(axes={"stack": f"s{n}"}) for n in range(count)]


@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 3), st.integers())
def test_every_block_is_one_run_of_every_cell(count: int, repeats: int, warm_ups: int, seed: int) -> None:
    found = _cells(count)
    blocks = scenarios.arranged(found, repeats, warm_ups, seed)
    assert [b.name for b in blocks] == [f"w{n:02d}" for n in range(1, warm_ups + 1)] + [
        f"b{n:02d}" for n in range(1, repeats + 1)
    ]
    for block in blocks:
        assert Counter(c.slug for c in block.order) == Counter(c.slug for c in found)


def test_order_depends_on_the_seed_alone_and_stays_when_blocks_or_cells_are_added() -> None:
    found = _cells(6)
    first = scenarios.arranged(found, 4, 0, seed=3)
    assert scenarios.arranged(list(reversed(found)), 4, 0, seed=3) == first
    assert scenarios.arranged(found, 9, 0, seed=3)[:4] == first
    assert scenarios.arranged(found, 4, 0, seed=4) != first
    without = [tuple(c for c in b.order if c.slug != "s0") for b in first]
    assert [b.order for b in scenarios.arranged(found[1:], 4, 0, seed=3)] == without


def test_orders_are_as_good_as_random() -> None:
    """Over 600 blocks every cell stands at every place about equally often (chi-square test)."""
    found, repeats = _cells(4), 600
    places: Counter[tuple[str, int]] = Counter()
    for block in scenarios.arranged(found, repeats, 0, seed=1):
        places.update((cell.slug, place) for place, cell in enumerate(block.order))
    expected = repeats / len(found)
    chi_square = sum((places[c.slug, p] - expected) ** 2 / expected for c in found for p in range(4))
    assert chi_square < 45


def test_differences_name_the_keys() -> None:
    old = scenarios.plain(read(GOOD))
    new = scenarios.plain(read(GOOD.replace("epochs = 2", "epochs = 3").replace("cores = 0.5", "cores = 1")))
    assert scenarios.differences(old, old) == []
    assert scenarios.differences(old, new) == [
        "hardware.one.cores: 0.5 then, 1.0 now",
        "workloads.train.parameters.epochs: 2 then, 3 now",
    ]


ROOT = Path(__file__).resolve().parents[3]
SHIPPED = Known(
    *(
        ["torch-2.13.0-cpu", "torch-1.10.2-cu102", "torch-2.6.0-cu124", "sklearn-1.9.1-cpu"],
        "torch-2.13.0-cpu",
        DEPLOYMENTS,
        "bare",
    ),
    workloads=workloads.load().declared,
)


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.toml")), ids=lambda p: p.name)
def test_shipped_files_are_good_and_ask_for_the_six_blocks_of_a_verdict(path: Path) -> None:
    known = replace(SHIPPED, deployments=(*DEPLOYMENTS, "slurm", "kubernetes"))
    scenario = scenarios.read(path.read_text(encoding="utf-8"), path.name, known)
    assert scenario.name == path.stem
    assert scenario.repeats >= (3 if path.stem == "tuning-study" else 6)  # as many as the thesis had
    if path.stem not in ("tabular-stages", "stages-study", "tuning-study"):  # of stages, and of tables
        assert set(scenario.axes["workload"]) <= {"train", "infer"}


def test_files_in_the_document_are_good() -> None:
    text = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    smallest, whole, choices, stacks, *_ = re.findall(r"```toml[a-z ]*\n(.*?)```", text, flags=re.DOTALL)
    assert len(scenarios.cells(scenarios.read(smallest, "smallest", SHIPPED))) == 1
    assert len(scenarios.cells(scenarios.read(whole, "whole", SHIPPED))) == 7
    more = 'name = "x"\n[workloads.w]\nworkload = "detector-train"\nparameters = { data = "data:d" }\n'
    more += '[data.d]\nsources = [{ path = "x", format = "sequences" }]\n'
    scenario = scenarios.read(more + choices, "choices", SHIPPED)
    settings = [scenarios.settings_of(scenario, cell) for cell in scenarios.cells(scenario)]
    assert [s.parameters["batch_size"] for s in settings] == [64, 2048]
    assert [dict(s.environment) for s in settings] == [{}, {"MALLOC_ARENA_MAX": "1"}]
    scenario = scenarios.read(more + stacks, "stacks", SHIPPED)
    assert scenario.axes["stack"] == ("torch-2.13.0-cpu", "mine")
    without = re.sub(r"(?m)^(\[axes\]|stack = ).*\n", "", stacks)  # the comment of that line
    assert scenarios.read(more + without, "stacks", SHIPPED).axes["stack"] == ("mine",)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ('[tunables.t]\nCUDA_VISIBLE_DEVICES = "1"', "tunables.t"),
        ('[choices.c.d]\nenvironment = { CUDA_VISIBLE_DEVICES = "1" }', "choices.c.d.environment"),
    ],
)
def test_the_gpus_a_run_sees_are_the_hardwares_to_say(more: str, key: str) -> None:
    with pytest.raises(
        BadInputError, match=re.escape(f"{key}.CUDA_VISIBLE_DEVICES is '1', expected nothing: `gpus`")
    ):
        read(f"{GOOD}\n{more}\n")


DEEP = "[" * 80 + "]" * 80


@pytest.mark.parametrize("place", ["workloads.own", "prepare.own", "choices.c.d", "data"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nan", "is nan, expected a finite number"),
        ("-inf", "is -inf, expected a finite number"),
        ("2026-01-02", 'is a date, expected a text such as "2026-01-02"'),
        (
            "2026-01-02T03:04:05Z",
            'is a date with a time, expected a text such as "2026-01-02T03:04:05+00:00"',
        ),
        ("03:04:05", 'is a time, expected a text such as "03:04:05"'),
        (DEEP, "is nested too deeply, expected at most 56 levels"),
        ("{ a" + ".a" * 80 + " = 1 }", "is nested too deeply, expected at most 56 levels"),
    ],
)
def test_values_that_no_task_can_carry_are_refused_where_they_stand(
    place: str, value: str, words: str
) -> None:
    if place == "data":
        more = f'[data.odd]\nsources = [{{ path = "a", format = "csv", since = {value} }}]'
        key = "data.odd.sources[0].since"
    else:
        workload = "" if place.startswith("choices") else 'workload = "work.py:main"\n'
        more = f"[{place}]\n{workload}parameters = {{ x = {value} }}"
        key = f"{place}.parameters.x"
    with pytest.raises(BadInputError, match=rf"^demo.toml: {re.escape(key)}(\.a|\[0\])* {re.escape(words)}"):
        read(f"{GOOD}\n{more}\n")


def test_data_may_not_make_a_parameter_deeper_than_a_task_can_carry() -> None:
    deep = "[" * 40 + '"data:benign"' + "]" * 40
    text = GOOD.replace('format = "csv-sequences"', 'format = "csv-sequences", more = ' + "[" * 40 + "]" * 40)
    own = f'\n[prepare.own]\nworkload = "work.py:main"\nparameters = {{ x = {deep} }}\n'
    with pytest.raises(BadInputError, match=r"prepare\.own\.parameters\.x.* is nested too deeply"):
        read(text + own)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "[axes]",
            "[axes]\nthreads = [9223372036854775808]",
            "axes.threads holds 9223372036854775808, expected",
        ),
        (
            "[axes]",
            "[axes]\nworkers = [9223372036854775808]",
            "axes.workers holds 9223372036854775808, expected",
        ),
        ("[axes]", '[tunables.t]\nA = "\\u0000"\n[axes]', r"tunables.t.A is '\x00', expected a text without"),
    ],
)
def test_what_no_process_can_be_given_is_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(BadInputError, match=re.escape(words)):
        read(GOOD.replace(old, new, 1))


#: A command that ``workloads.toml`` declares, and a scenario that runs it twice.
DRIVE = Workload(
    "drive",
    "",
    "",
    (Parameter("lr", "number", 0.1, ""),),
    command=Command(("drive", "{lr}", "{inputs.data}"), code="code", inputs={"data": "data"}),
)
DECLARED = """
name = "demo"
[workloads.drive]
workload = "drive"
[workloads.other]
workload = "drive"
parameters = { lr = 2 }
inputs = { data = "prepared:make/x" }
[prepare.make]
command = ["sh", "-c", "{say}"]
parameters = { say = "hello" }
"""


def test_a_declared_command_is_run_as_one_that_the_file_itself_declares() -> None:
    known = replace(KNOWN, workloads={**KNOWN.workloads, "drive": DRIVE})
    scenario = scenarios.read(DECLARED, "f.toml", known)
    drive, other = scenario.workloads["drive"], scenario.workloads["other"]
    assert (drive.workload, drive.key, drive.inputs) == ("drive", "drive", {"data": "data"})
    assert (other.workload, other.key, other.inputs) == ("drive", "other", {"data": "prepared:make/x"})
    assert other.command is not None
    assert other.command.code == "code"
    for change, says in (
        (("make/x", "mak/x"), "workloads.other.inputs refers to 'prepared:mak'"),
        (("data =", "dat ="), "workloads.other.inputs.dat is no input of it, expected one of data"),
        (("lr = 2", "l = 2"), "drive has no parameter 'l'"),
        (("lr = 2", 'lr = "2"'), "'lr' is '2', expected a number"),
        (('"drive"\n[w', '"simulate"\ninputs = {}\n[w'), "workloads.drive.inputs stands beside a workload"),
        (
            ("[prepare.make]", "[prepare.drive]"),
            "prepare.drive would be called 'drive' as workloads.drive is",
        ),
    ):
        text = DECLARED.replace(*change).replace(
            "prepared:make", "prepared:make" if "drive]" not in change[1] else "prepared:drive"
        )
        with pytest.raises(BadInputError) as refused:
            scenarios.read(text, "f.toml", known)
        assert says in str(refused.value)


def test_folders_for_imports_are_absolute_but_those_of_a_command() -> None:
    scenario = read(
        DECLARED.split("[workloads.other]")[0].replace(
            'workload = "drive"', 'command = ["a"]\nenvironment = { PYTHONPATH = "lib:/b" }'
        )
    )
    command = scenario.workloads["drive"].command
    assert command is not None
    assert command.environment == {"PYTHONPATH": "lib:/b"}
    read(GOOD + '[tunables.t]\nPYTHONPATH = "/srv/lib:/srv/more"\n')
    with pytest.raises(BadInputError, match=r"tunables.t.PYTHONPATH holds 'lib', expected absolute folders"):
        read(GOOD + '[tunables.t]\nPYTHONPATH = "/srv/lib:lib"\n')


def test_what_one_choice_gives_a_command_is_no_default_of_the_others() -> None:
    head = """
name = "optional"
[axes]
amp = ["on", "off"]
[choices.amp.on.parameters]
amp = true
[choices.amp.off]
[workloads.train]
"""
    scenario = scenarios.read(head + 'command = ["train"]\narguments = "gnu"\n', "optional", SHIPPED)
    made = {}
    for cell in scenarios.cells(scenario):
        settings = scenarios.settings_of(scenario, cell)
        declared = scenarios.declared_of(settings)
        assert declared is not None
        assert declared.command is not None
        values = checked(declared, settings.parameters)
        made[cell.axes["amp"]] = commands.words(declared.command, values, commands.Places("out"))
    assert made == {"on": ["train", "--amp"], "off": ["train"]}
    with pytest.raises(BadInputError, match=r"workloads.train: nothing fills \{amp\}"):
        scenarios.read(head + 'command = ["train", "{amp}"]\n', "optional", SHIPPED)


def test_an_axis_named_as_a_parameter_gives_each_of_its_values() -> None:
    scenario = read(
        """name = "x"
        [axes]
        lr = [0.01, 1e-05]
        nesterov = [true, false]
        [workloads.w]
        command = ["train", "--lr", "{lr}", "{nesterov}"]
        parameters = { lr = 1 }
        """
    )
    cells = scenarios.cells(scenario)
    assert [dict(scenarios.settings_of(scenario, cell).parameters) for cell in cells] == [
        {"lr": 0.01, "nesterov": True},
        {"lr": 0.01, "nesterov": False},
        {"lr": 1e-05, "nesterov": True},
        {"lr": 1e-05, "nesterov": False},
    ]
    assert scenario.axes["lr"] == ("0.01", "1e-05")
    assert scenario.axes["nesterov"] == ("true", "false")


def test_a_value_that_is_no_name_is_told_to_take_one() -> None:
    with pytest.raises(BadInputError, match=r"axes.lr is '-1', expected a name"):
        read('name = "x"\n[axes]\nlr = [-1]\n[workloads.w]\ncommand = ["a", "{lr}"]\n')


def test_a_parameter_and_an_axis_may_have_a_hyphen_in_their_name() -> None:
    text = 'name = "s"\n[axes]\nbatch-size = [8, 64]\n[workloads.w]\ncommand = ["true"]\narguments = "gnu"\n'
    scenario = read(text + "parameters = { batch-size = 8, num-workers = 2 }\n")
    found = [scenarios.settings_of(scenario, cell).parameters for cell in scenarios.cells(scenario)]
    assert found == [{"batch-size": 8, "num-workers": 2}, {"batch-size": 64, "num-workers": 2}]


STACKS = """
name = "s"
[stacks.mine]
base = "new"
requirements = "requirements.txt"
[workloads.w]
command = ["true"]
"""


def test_stacks_that_the_file_defines_are_run_on_where_no_axis_says_otherwise() -> None:
    assert read(STACKS).axes["stack"] == ("mine",)
    assert read(STACKS.replace("[stacks.mine]", '[axes]\nstack = ["old"]\n[stacks.mine]')).axes["stack"] == (
        "old",
    )
    assert read(
        STACKS.replace("[stacks.mine]", '[stacks.its]\nbase = "old"\nrequirements = "r"\n[stacks.mine]')
    ).axes["stack"] == ("its", "mine")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('stack = "mine"', 'workloads.w.stack is an axis, expected stack = ["mine"] under [axes]'),
        ("threads = 2", "workloads.w.threads is an axis, expected threads = [2] under [axes]"),
        ('hardware = ["one"]', 'workloads.w.hardware is an axis, expected hardware = ["one"] under [axes]'),
    ],
)
def test_an_axis_in_a_workload_is_told_where_it_belongs(line: str, said: str) -> None:
    for text in (STACKS, STACKS.replace('command = ["true"]', 'workload = "detector-train"')):
        with pytest.raises(BadInputError) as refused:
            read(text + line)
        assert said in str(refused.value)
