"""Slots: which agents this machine runs, with which cores or GPU; and for which queues it runs none, and why.

Pure: queues and what the machine offers in, slots out. May import errors and ``queues``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from stackyard.agents.queues import ENVIRONMENTS, Queue
from stackyard.counting import count
from stackyard.errors import BadInputError

#: Memory that no container gets, so that server, agents and the machine itself go on: the greater of the two,
#: but never more than half of what there is.
ROOM_SHARE, ROOM_BYTES = 0.1, 1 << 30
_MIB = 1 << 20


@dataclass(frozen=True)
class Slot:
    """One agent's place on this machine."""

    #: Also its folder's name, and the end of its worker's: "cpu-0".
    name: str
    queue: str
    in_container: bool = False
    #: Its cores; empty: all that we may use.
    cores: tuple[int, ...] = ()
    #: Its GPU's index; ``None``: a CPU slot.
    gpu: int | None = None
    #: What a container gets that asks for nothing, and the most it may ask for; ``None``: no limit, as on the host.
    cpus: float | None = None
    memory_bytes: int | None = None
    shm_bytes: int | None = None
    #: Of ordinary tasks, as its queue says.
    environment: str = ENVIRONMENTS[0]
    default_stack: str | None = None
    stacks: tuple[str, ...] | None = None

    @property
    def makes_environments(self) -> bool:
        """Whether its agent makes its tasks' environments, as agents do without us."""
        return not self.in_container and self.environment == ENVIRONMENTS[1]


@dataclass(frozen=True)
class MachineOffer:
    """What this machine offers."""

    #: Numbers of the cores that may be used.
    cores: tuple[int, ...]
    #: Indexes of its GPUs.
    gpus: tuple[int, ...] = ()
    #: Why there is no GPU; ``None`` where there are some.
    gpu_obstacle: str | None = None
    #: Why no container can be started; ``None``: an engine answers.
    engine_obstacle: str | None = None
    #: Stacks whose images are here.
    images: frozenset[str] = frozenset()
    #: Stacks whose environments are here.
    stacks: frozenset[str] = frozenset()
    #: Bytes of memory that may be used; ``None``: not known.
    memory_bytes: int | None = None


def slots_of(queues: Iterable[Queue], offer: MachineOffer) -> tuple[list[Slot], dict[str, str]]:
    """The slots of this machine, and for each queue it does not serve the reason.

    Raises:
        BadInputError: a queue asks for more cores, CPUs or memory than there are.
    """
    told = {queue.name: queue for queue in queues}
    slots, absent = _places(told.values(), offer)
    boxes = sum(slot.in_container for slot in slots)
    return [_limited(slot, told[slot.queue], boxes, offer) for slot in slots], absent


def _places(queues: Iterable[Queue], offer: MachineOffer) -> tuple[list[Slot], dict[str, str]]:
    slots: list[Slot] = []
    absent: dict[str, str] = {}
    for queue in queues:
        reason = _why_not(queue, offer)
        if reason is not None:
            absent[queue.name] = reason
        elif queue.slots is None:
            slots += [
                Slot(f"{queue.name}-{gpu}", queue.name, queue.in_container, cores, gpu)
                for gpu, cores in zip(offer.gpus, _shares(queue, len(offer.gpus), offer.cores), strict=True)
            ]
        else:
            slots += [
                Slot(f"{queue.name}-{number}", queue.name, queue.in_container, cores)
                for number, cores in enumerate(_shares(queue, queue.slots, offer.cores))
            ]
    return slots, absent


def _limited(slot: Slot, queue: Queue, boxes: int, offer: MachineOffer) -> Slot:
    """A slot with what its queue says of its tasks, and what its containers get: that, or a share of the machine.

    Cores are shared within a queue as for agents; memory is shared among all ``boxes`` container slots of the machine,
    because it cannot be taken back from a neighbour.
    """
    slot = replace(
        slot, environment=queue.environment, default_stack=queue.default_stack, stacks=queue.stacks
    )
    if not slot.in_container:
        return slot
    cores = len(slot.cores or offer.cores)
    if queue.cpus is not None and queue.cpus > cores:
        raise BadInputError(
            f"queue {queue.name}: cpus is {queue.cpus:g}, a slot has {count(cores, 'core')} here; "
            "lower cpus in queues.toml"
        )
    memory = queue.memory_bytes
    if offer.memory_bytes is not None:
        if memory is not None and memory > offer.memory_bytes:
            raise BadInputError(
                f"queue {queue.name}: memory of {memory / _MIB:,.0f} MiB was asked for, this machine has "
                f"{offer.memory_bytes / _MIB:,.0f} MiB; lower memory in queues.toml"
            )
        memory = memory or _memory_share(offer.memory_bytes, boxes)
    shm = queue.shm_bytes
    if shm is not None and memory is not None and shm > memory:
        raise BadInputError(
            f"queue {queue.name}: shm of {shm / _MIB:,.0f} MiB was asked for, a task has {memory / _MIB:,.0f} MiB of "
            "memory, which holds it too; lower shm or raise memory in queues.toml"
        )
    if shm is None and memory is not None:
        shm = memory // 2  # as Linux sizes /dev/shm; what lies there counts as the container's memory
    return replace(slot, cpus=float(queue.cpus or cores), memory_bytes=memory, shm_bytes=shm)


def _memory_share(total: int, boxes: int) -> int:
    """What each of so many containers gets of a machine's memory, in whole MiB."""
    room = min(max(ROOM_BYTES, int(total * ROOM_SHARE)), total // 2)
    return (total - room) // boxes // _MIB * _MIB


def _why_not(queue: Queue, offer: MachineOffer) -> str | None:
    if queue.slots == 0:
        return "queues.toml gives it no slot on this machine"
    if queue.slots is None and not offer.gpus:
        return offer.gpu_obstacle or "no GPU"
    here = offer.images if queue.in_container else offer.stacks
    if queue.in_container and offer.engine_obstacle is not None:
        return offer.engine_obstacle
    if queue.stacks is not None and not any(stack in here for stack in queue.stacks):
        what = "image" if queue.in_container else "environment"
        advice = "stackyard stack image build" if queue.in_container else "stackyard stack build"
        return f"no {what} of {' or '.join(queue.stacks)} is here; make one: {advice} {queue.stacks[0]}"
    if queue.in_container and not here:
        return "no image of a stack is here; make one: stackyard stack image build STACK"
    return None


def _shares(queue: Queue, slots: int, cores: Sequence[int]) -> list[tuple[int, ...]]:
    """The cores of each slot; empty where a slot may use them all."""
    if queue.cores is not None:
        if queue.cores * slots > len(cores):
            raise BadInputError(
                f"queue {queue.name}: {slots} times {count(queue.cores, 'core')} are asked for, "
                f"{count(len(cores), 'core')} can be used here; lower slots or cores in queues.toml"
            )
        return [tuple(cores[n * queue.cores : (n + 1) * queue.cores]) for n in range(slots)]
    if slots <= 1 or len(cores) < slots:
        return [()] * slots
    size = len(cores) // slots
    return [tuple(cores[n * size : (n + 1) * size]) for n in range(slots)]


def allowed_images(queue: Queue, images: Mapping[str, str]) -> dict[str, str]:
    """Of this machine's images (stack -> id), those that may run from ``queue``."""
    return {stack: image for stack, image in images.items() if queue.serves(stack)}
