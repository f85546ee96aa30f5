"""Pages ask the API what any client asks it, without the detour over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .. import API_VERSION
from ..calls import Call, Services, dispatch, pieces
from ..identity import Identity
from ..protocol import envelope
from ..store import Reading


class Caller:
    """Calls endpoints for one signed-in user; roles and field checks hold as for every client."""

    def __init__(
        self,
        services: Services,
        who: Identity,
        address: str,
        gone: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        self.services = services
        self.who = who
        self.address = address
        #: Returns once whoever asks has left.
        self._gone = gone

    async def __call__(self, name: str, /, **data: Any) -> dict[str, Any]:
        """The data of the answer.

        Raises:
            ApiError: What the endpoint refused.
        """
        entry = dispatch.find(name, API_VERSION)
        dispatch.allow(entry, self.who)
        call = Call(
            name=name,
            version=envelope.parse_version(API_VERSION),
            data=data,
            tx=None,  # type: ignore[arg-type]  # set by dispatch.answer
            services=self.services,
            who=self.who,
            now=int(self.services.clock() * 1000),
            address=self.address,
        )
        if not entry.slow:
            answer: dict[str, Any]
            if entry.pieces == "steps":
                answer = await pieces.steps(entry, call)
            else:
                answer = dispatch.answer(entry, call)
            return answer

        def read(reading: Reading) -> Any:
            call.reading = reading
            return dispatch.answer(entry, call)

        answer = await self.services.readers.read(self.who.user, read, self._gone)
        return answer
