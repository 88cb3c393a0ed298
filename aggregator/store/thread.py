"""The one thread that uses the store, and how coroutines ask it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, overload

from aggregator.store.protocol import Store

T = TypeVar("T")


class StoreThread:
    """Runs functions of the store one after the other, away from the event loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    @overload
    async def call(self, function: str, *arguments: Any, **named: Any) -> Any: ...

    @overload
    async def call(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T: ...

    async def call(self, function: Callable[..., Any] | str, *arguments: Any, **named: Any) -> Any:
        """``function`` is a name of the store's, or called with the store first. Raises what it raises.

        A caller that is cancelled does not stop work that has begun: the transaction completes.
        """

        def work() -> Any:
            if isinstance(function, str):
                return getattr(self.store, function)(*arguments, **named)
            return function(self.store, *arguments, **named)

        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """Finish what was asked, then close the store."""
        self._executor.submit(self.store.close).result()
        self._executor.shutdown(wait=True)
