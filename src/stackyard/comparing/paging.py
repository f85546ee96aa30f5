"""Pages of tasks, read ahead and bounded; a page that is too large comes in smaller ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stackyard.clearml.client import Client, TooLargeError

#: Of one answer; and of all answers together.
PAGE_BYTES, ALL_BYTES = 64 << 20, 512 << 20
PAGE_SIZES = (250, 50, 5, 1)


class TooMuchError(Exception):
    """The tasks hold more than ALL_BYTES."""


def documents(
    client: Client,
    asks: Mapping[str, Any],
    order_by: Sequence[str],
    too_large: Callable[[], None] = lambda: None,
) -> Iterator[Mapping[str, Any]]:
    """The documents of tasks in order. The server works on the next page while this one is looked at.

    Args:
        client: of the server.
        asks: fields of ``tasks.get_all_ex``, but for order and page.
        order_by: the order; the last of it tells any two tasks apart.
        too_large: is called for each task that is left out, for it alone is more than PAGE_BYTES.

    Raises:
        TooMuchError: the tasks hold more than ALL_BYTES.
        ServerError: the server refuses.
        UnreachableError: it does not answer.
    """

    def page(position: int, size: int, most_bytes: int) -> tuple[list[Any], int]:
        answer, read = client.read(
            "tasks.get_all_ex",
            most_bytes,
            **asks,
            order_by=list(order_by),
            page=position // size,
            page_size=size,
        )
        tasks = answer.get("tasks")
        return tasks if isinstance(tasks, list) else [], read

    position, left, sizes = 0, ALL_BYTES, list(PAGE_SIZES)
    with ThreadPoolExecutor(1, "pages") as pool:
        coming = pool.submit(page, position, sizes[0], PAGE_BYTES)
        while True:
            size = sizes[0]
            try:
                tasks, read = coming.result()
            except TooLargeError:
                # a place that no smaller page begins at cannot be: each size divides those before it
                if len(sizes) > 1:
                    del sizes[0]
                else:
                    too_large()
                    position += 1
                coming = pool.submit(page, position, sizes[0], PAGE_BYTES)
                continue
            left -= read
            if left < 0:
                raise TooMuchError
            position += size
            last = len(tasks) < size
            if not last:
                coming = pool.submit(page, position, size, PAGE_BYTES)
            yield from (task for task in tasks if isinstance(task, dict))
            if last:
                return
