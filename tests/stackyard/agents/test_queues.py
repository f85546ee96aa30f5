"""queues.toml and slots: what is read, what is refused with a sentence, who gets which cores."""

from pathlib import Path

import pytest

from stackyard.agents import queues
from stackyard.agents.queues import Queue
from stackyard.agents.slots import MachineOffer, allowed_images, slots_of
from stackyard.errors import BadInputError


def written(folder: Path, text: str) -> Path:
    path = folder / "queues.toml"
    path.write_text(text)
    return path


def test_the_checkouts_own_file_names_the_queues_of_the_documentation() -> None:
    found = queues.read(queues.default_path())
    assert {name: queue.deployment for name, queue in found.queues.items()} == {
        "cpu": "agent",
        "cpu-container": "container",
        "gpu": "agent",
        "gpu-container": "container",
        "services": "agent",
    }
    assert all(queue.time_limit_seconds and queue.retries is not None for queue in found.queues.values())


def test_limits_become_metadata_the_server_can_read(tmp_path: Path) -> None:
    found = queues.read(written(tmp_path, "[queues.a]\ntime_limit_seconds = 90.5\nretries = 0\n"))
    assert found.queues["a"].metadata() == {"time_limit_seconds": "90.5", "retries": "0"}
    path = tmp_path / "long.toml"
    path.write_text("[queues.a]\ntime_limit_seconds = 1234567.25\n")
    assert queues.read(path).queues["a"].metadata() == {"time_limit_seconds": "1234567.25"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no queue"),
        ("[queues.a]\ntime_limit = 5\n", "queues.a.time_limit is an unknown key, expected one of"),
        (
            "[queues.a]\ndeployment = 'bare'\n",
            "queues.a.deployment is 'bare', expected one of agent, container",
        ),
        ("[queues.a]\nslots = 1.5\n", "queues.a.slots is 1.5, expected a whole number"),
        ("[queues.a]\nretries = -1\n", "queues.a.retries is -1, expected a whole number from 0"),
        (
            "[queues.a]\ntime_limit_seconds = 0\n",
            "queues.a.time_limit_seconds is 0, expected a number above 0",
        ),
        ("[queues.'a b']\n", "letters, digits"),
        (
            "[queues.a]\ndeployment = 'container'\nenvironment = 'agent'\n",
            "queues.a.environment is 'agent', expected it left out: in a container nothing is installed; such a queue "
            'has deployment = "agent"',
        ),
        (
            "[queues.a]\n[agents]\npass_environment = ['A-B']\n",
            "agents.pass_environment is ['A-B'], expected a list of var",
        ),
        ("[queues.a]\n[containers]\nmounts = ['data:/data']\n", "expected a list of /HOST:/CONTAINER"),
        (
            "[queues.a]\nmemory = '4 GiB'\n",
            "queues.a.memory is '4 GiB', expected nothing: a task on the host is held by \"cores\" alone",
        ),
        (
            "[queues.a]\ndeployment = 'container'\nmemory = 'lots'\n",
            "queues.a.memory is 'lots', expected a size above 0",
        ),
        (
            "[queues.a]\ndeployment = 'container'\ncpus = 0\n",
            "queues.a.cpus is 0, expected a number above 0",
        ),
        ("[queues.a", "not TOML"),
        ("queues = 3", "expected a table"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_that_names_the_place(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(BadInputError, match=r"queues\.toml") as caught:
        queues.read(written(tmp_path, text))
    assert words in str(caught.value)


def test_slots_share_the_cores_evenly_and_never_overlap() -> None:
    slots, absent = slots_of([Queue("cpu", "agent", slots=2)], MachineOffer(cores=(0, 1, 2, 5)))
    assert [(slot.name, slot.cores) for slot in slots] == [("cpu-0", (0, 1)), ("cpu-1", (2, 5))]
    assert absent == {}
    (one,), _ = slots_of([Queue("cpu", "agent")], MachineOffer(cores=(0, 1)))
    assert one.cores == (), "a single slot may use them all"
    (small,), _ = slots_of([Queue("cpu", "agent", cores=1)], MachineOffer(cores=(3, 4)))
    assert small.cores == (3,)
    with pytest.raises(BadInputError, match="3 times 2 cores are asked for, 4 cores"):
        slots_of([Queue("cpu", "agent", slots=3, cores=2)], MachineOffer(cores=(0, 1, 2, 3)))


def test_one_slot_for_each_gpu_and_a_reason_where_there_is_none() -> None:
    queue = Queue("gpu", "agent", slots=None)
    slots, _ = slots_of([queue], MachineOffer(cores=(0, 1, 2, 3), gpus=(0, 1)))
    assert [(slot.name, slot.gpu, slot.cores) for slot in slots] == [
        ("gpu-0", 0, (0, 1)),
        ("gpu-1", 1, (2, 3)),
    ]
    slots, absent = slots_of([queue], MachineOffer(cores=(0,), gpu_obstacle="no NVIDIA driver"))
    assert (slots, absent) == ([], {"gpu": "no NVIDIA driver"})


def test_container_queues_exist_only_where_engine_and_image_do() -> None:
    queue = Queue("c", "container", stacks=("old", "new"))
    assert slots_of([queue], MachineOffer((0,), engine_obstacle="no engine"))[1] == {"c": "no engine"}
    assert (
        "no image of old or new is here"
        in slots_of([queue], MachineOffer((0,), images=frozenset({"x"})))[1]["c"]
    )
    (slot,), _ = slots_of([queue], MachineOffer((0,), images=frozenset({"new"})))
    assert slot.in_container
    assert allowed_images(queue, {"new": "sha256:1", "x": "sha256:2"}) == {"new": "sha256:1"}


GIB = 1 << 30


def machine(memory_gib: float = 24, cores: int = 8) -> MachineOffer:
    """A machine that can serve containers."""
    return MachineOffer(
        cores=tuple(range(cores)), images=frozenset({"new"}), memory_bytes=int(memory_gib * GIB)
    )


@pytest.mark.promise("container-limits")
def test_a_container_queue_that_says_nothing_gets_limits_from_the_machine() -> None:
    (slot,), _ = slots_of([Queue("c", "container")], machine(24, 8))
    assert (slot.cpus, slot.cores) == (8, ())
    assert slot.memory_bytes is not None
    assert slot.memory_bytes <= 24 * GIB * 0.9, "room is left for server and agents"
    assert slot.memory_bytes > 21 * GIB
    assert slot.shm_bytes == slot.memory_bytes // 2, "as Linux sizes it"
    (small,), _ = slots_of([Queue("c", "container")], machine(1.5, 1))
    assert small.memory_bytes == 0.75 * GIB, "a small machine keeps half"


@pytest.mark.promise("container-limits")
@pytest.mark.parametrize("memory_gib", [1.9, 8, 24, 2000])
def test_all_containers_of_a_machine_together_leave_room_for_server_and_agents(memory_gib: float) -> None:
    queues = [Queue("a", "container", slots=3), Queue("b", "container", slots=2), Queue("host", "agent")]
    slots, _ = slots_of(queues, machine(memory_gib))
    shares = [slot.memory_bytes for slot in slots if slot.memory_bytes is not None]
    assert len(shares) == 5
    assert memory_gib * GIB - sum(shares) >= min(GIB, memory_gib * GIB / 2)
    assert [slot.cpus for slot in slots] == [2, 2, 2, 4, 4, None]


def test_a_queue_says_what_its_containers_get(tmp_path: Path) -> None:
    text = "[queues.c]\ndeployment = 'container'\ncpus = 1.5\nmemory = '4 GiB'\nshm = '512 MiB'\n"
    (slot,), _ = slots_of(queues.read(written(tmp_path, text)).queues.values(), machine())
    assert (slot.cpus, slot.memory_bytes, slot.shm_bytes) == (1.5, 4 * GIB, GIB // 2)


@pytest.mark.parametrize(
    ("queue", "words"),
    [
        (Queue("c", "container", cpus=64), "queue c: cpus is 64, a slot has 8 cores here"),
        (Queue("c", "container", cpus=2, cores=1), "queue c: cpus is 2, a slot has 1 core here"),
        (
            Queue("c", "container", memory_bytes=900 << 40),
            "queue c: memory of 943,718,400 MiB was asked for, this machine has 24,576 MiB",
        ),
        (
            Queue("c", "container", memory_bytes=GIB, shm_bytes=2 * GIB),
            "queue c: shm of 2,048 MiB was asked for, a task has 1,024 MiB of memory",
        ),
    ],
)
def test_limits_beyond_the_machine_are_one_sentence(queue: Queue, words: str) -> None:
    with pytest.raises(BadInputError) as caught:
        slots_of([queue], machine())
    assert words in str(caught.value)
    assert str(caught.value).endswith("in queues.toml")
