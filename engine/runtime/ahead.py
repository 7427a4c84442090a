"""Results computed in threads ahead of their use; a bounded number of them waits."""

import collections
import concurrent.futures
import itertools
from collections.abc import Callable, Generator, Iterable, Sequence
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


def as_they_come(sources: Sequence[Generator[Item, None, None]]) -> Generator[Item, None, None]:
    """Items of several generators, which run in as many threads, each at most one item ahead.

    What one of them raises is raised here. Then, or when this is closed, all are closed as soon as each has
    made the item that it has in progress, and items that wait are dropped.
    """
    with ThreadPoolExecutor(len(sources), "source") as pool:
        making = {pool.submit(_next, source): source for source in sources}
        try:
            while making:
                made, _ = concurrent.futures.wait(making, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in made:
                    source = making.pop(future)
                    for item in future.result():
                        making[pool.submit(_next, source)] = source
                        yield item
        finally:
            concurrent.futures.wait(making)
            for source in sources:
                source.close()


def _next(source: Generator[Item, None, None]) -> list[Item]:
    """Its next item; none at its end."""
    return list(itertools.islice(source, 1))
