"""How often a run that failed is worth another start, and when. Pure: no clock, no file, no network.

A failure of the infrastructure (a machine, an agent, the network, a signal nobody of ours sent) says nothing about the
task: it is tried again, a bounded number of times, with growing pauses. A failure of the code, of its input or of a
limit would only repeat itself. Which is which, how often and when stands in ``stackyard_server.rules.fate``, where
the server finds it too; a start that the server made again counts like one of ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from stackyard_server.rules import fate
from stackyard_server.rules.fate import Pauses
from stackyard_task.records import Failure


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently a run is started again."""

    #: Starts after the first one, at most; 0: never.
    retries: int = fate.USUAL_RETRIES
    pauses: Pauses = fate.RUN_PAUSES

    def pause_seconds(self, failure: Failure | None, tries: int) -> float | None:
        """How long to wait before the next start; ``None``: there is none.

        Args:
            failure: why the last start failed; ``None``: it completed.
            tries: how often the run was started again so far, by whomever.
        """
        if failure is None or not fate.is_infrastructure(failure.kind) or tries >= self.retries:
            return None
        return self.pauses.seconds(tries)


#: For a user's own command, where a second start would only hide what is wrong.
NEVER = RetryPolicy(retries=0)
