"""Whether a run that failed is worth another start, and when. Pure: no clock, no file, no network.

A failure of the infrastructure (a machine, an agent, the network, a signal nobody of ours sent) says nothing about the
task: it is tried again, a bounded number of times, with growing pauses. A failure of the code, of its input or of a
limit would only repeat itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from stackyard_task.records import FAILURE_KINDS, Failure

#: Failures that are not the task's: "killed" is a signal from outside (an operator, the kernel on a full machine).
INFRASTRUCTURE = ("infrastructure", "killed")


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently a run is started again."""

    #: Starts after the first one, at most; 0: never.
    retries: int = 2
    first_pause_seconds: float = 5.0
    #: Each pause is so many times the one before.
    growth: float = 4.0
    longest_pause_seconds: float = 300.0

    def pause_seconds(self, failure: Failure | None, retried: int) -> float | None:
        """How long to wait before the next start; ``None``: there is none.

        Args:
            failure: why the last start failed; ``None``: it completed.
            retried: how often the run was started again so far.
        """
        if failure is None or not is_infrastructure(failure.kind) or retried >= self.retries:
            return None
        return min(self.longest_pause_seconds, self.first_pause_seconds * self.growth**retried)


#: For a user's own command, where a second start would only hide what is wrong.
NEVER = RetryPolicy(retries=0)


def is_infrastructure(kind: str) -> bool:
    """Whether a failure of that kind is not the task's own; an unknown kind is the task's."""
    return kind in INFRASTRUCTURE and kind in FAILURE_KINDS
