"""Results computed ahead of their use, in threads: they come in order, and a bounded number waits."""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def computed_ahead(
    items: Iterable[Item], compute: Callable[[Item], Result], *, threads: int, ahead: int
) -> Iterator[tuple[Item, Future[Result]]]:
    """Each item, in order, with the future of its result.

    Args:
      items: taken one by one, `ahead` of them before the first result is asked for.
      compute: of an item; its exception is raised by the future's `result`.
      threads: that compute.
      ahead: results that may be under way or waiting, at least 1.
    """
    source = iter(items)
    waiting: collections.deque[tuple[Item, Future[Result]]] = collections.deque()
    with ThreadPoolExecutor(threads, "ahead") as pool:
        while True:
            for item in itertools.islice(source, ahead - len(waiting)):
                waiting.append((item, pool.submit(compute, item)))
            if not waiting:
                return
            yield waiting.popleft()
