"""One reader of the store for all pages that are open, and what each is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import msgspec

from descentlab.web.live.live_store import LiveStore

LOOK_SECONDS = 1.0
"""Between two looks at the store."""
SHARE = 0.2
"""Of the time, at most, to look at the store."""
WAITING = 16
"""Changes that may wait for a page that takes none; then it gets the whole anew."""


class Feed:
    """Tells every open page the whole first, and then what changes.

    The store is looked at only while a page is open.

    Args:
        live: what is known of the store.
        closing: whether the server is about to end.
    """

    def __init__(self, live: LiveStore, closing: Callable[[], bool]) -> None:
        self._live = live
        self._closing = closing
        self._pages: set[asyncio.Queue[bytes]] = set()
        self._reading = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None

    async def events(self) -> AsyncIterator[bytes]:
        """Server-sent events for one page, until it goes or the server ends."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        async with self._reading:
            if not self._pages:
                await asyncio.to_thread(self._live.look)
            first = await asyncio.to_thread(self._whole)
            self._pages.add(queue)
        try:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            yield b"retry: 1000\n\n"
            yield first
            while not self._closing():
                with suppress(TimeoutError):
                    yield await asyncio.wait_for(queue.get(), LOOK_SECONDS / 2)
        finally:
            self._pages.discard(queue)

    async def _look(self) -> None:
        """Look at the store again and again while pages are open."""
        while self._pages and not self._closing():
            began = time.monotonic()
            async with self._reading:
                told = await asyncio.to_thread(self._live.look)
                event = _event("change", told) if told else _event("beat", None)
                for queue in self._pages:
                    if queue.full():
                        while not queue.empty():
                            queue.get_nowait()
                        event = await asyncio.to_thread(self._whole)
                    queue.put_nowait(event)
            took = time.monotonic() - began
            await asyncio.sleep(max(LOOK_SECONDS - took, took / SHARE - took))

    def _whole(self) -> bytes:
        return _event("whole", self._live.whole())


def _event(name: str, content: object) -> bytes:
    """One server-sent event; JSON as msgspec writes it has no line breaks."""
    data = msgspec.json.encode({"now": round(time.time(), 1), "told": content})
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)
