"""Results computed in threads ahead of their use, in order; a bounded number of them waits."""

import collections
import itertools
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def computed_ahead(
    items: Iterable[Item], compute: Callable[[Item], Result], *, threads: int, ahead: int
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Each item, in order, with the future of its result.

    Args:
      items: taken one by one, `ahead` of them before the first result is needed.
      compute: function of an item; the future's `result` raises its exception.
      threads: number of threads that compute.
      ahead: largest number of results in progress or waiting, at least 1.

    Closing it waits for what is in progress.
    """
    source = iter(items)
    waiting: collections.deque[tuple[Item, Future[Result]]] = collections.deque()
    with ThreadPoolExecutor(threads, "ahead") as pool:
        while True:
            # Refilled only when the consumer asks for the next item, so that memory is bounded.
            for item in itertools.islice(source, ahead - len(waiting)):
                waiting.append((item, pool.submit(compute, item)))
            if not waiting:
                return
            yield waiting.popleft()
