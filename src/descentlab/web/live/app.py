"""What the live view answers: the page, its events, and a run that was opened."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from importlib.resources import files

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from descentlab.web.live.curve import Part
from descentlab.web.live.feed import Feed
from descentlab.web.live.guard import Guard
from descentlab.web.live.live_store import LiveStore
from descentlab.web.live.opened_run import imported_curve, open_imported, open_run, read_curve

RUN_ID = re.compile(r"[0-9a-f]{16}(\.[0-9]{1,9})?", re.ASCII)
"""Of a run, or of an imported file and one of its rows."""
MOST_CURVES = 64
"""In one answer."""
JAVASCRIPT, CSS = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
PAGES = {
    "/": ("live/page/index.html", "text/html; charset=utf-8"),
    "/base.css": ("assets/base.css", CSS),
    "/live.css": ("live/page/live.css", CSS),
    **{
        f"/{name}.js": (f"live/page/{name}.js", JAVASCRIPT)
        for name in ("main", "state", "words", "progress", "chart", "table", "races", "opened")
    },
}
"""By path, the file of the package and its type; nothing else of the disk can be asked for."""


def live_app(live: LiveStore, *, port: int, closing: Callable[[], bool] = lambda: False) -> ASGIApp:
    """The live view of a store.

    Args:
        live: the store, as it is followed.
        port: that it is served on, which requests have to name.
        closing: whether the server is about to end; streams end then.
    """
    feed = Feed(live, closing)

    async def events(request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        return StreamingResponse(feed.events(), media_type="text/event-stream")

    async def opened(request: Request) -> Response:
        run_id = _checked(request.path_params["run_id"], live)
        return _json(await asyncio.to_thread(_open, live, run_id))

    async def curves(request: Request) -> Response:
        asked = request.query_params.get("runs", "").split(",")
        if len(asked) > MOST_CURVES:
            raise HTTPException(400, f"at most {MOST_CURVES} curves at once")
        found = [_checked(each, live) for each in asked if each]
        return _json(await asyncio.to_thread(lambda: {each: _curve(live, each) for each in found}))

    routes = [
        *(Route(path, _static(*PAGES[path])) for path in PAGES),
        Route("/events", events),
        Route("/curves", curves),
        Route("/runs/{run_id}", opened),
    ]
    return Guard(Starlette(routes=routes), port=port)


def _static(path: str, kind: str) -> Callable[[Request], Response]:
    content = files("descentlab.web").joinpath(path).read_bytes()
    return lambda request: Response(content, media_type=kind)


def _checked(run_id: str, live: LiveStore) -> str:
    """A run's id from a request.

    Raises:
        HTTPException: 404 if it is none, or of no run that is known.
    """
    if not RUN_ID.fullmatch(run_id) or run_id not in live.rows:
        raise HTTPException(404, "no such run")
    return run_id


def _open(live: LiveStore, run_id: str) -> object:
    if (run := live.imported.get(run_id)) is not None:
        return open_imported(run_id, run)
    return open_run(live.store, run_id)


def _curve(live: LiveStore, run_id: str) -> Part:
    if (run := live.imported.get(run_id)) is not None:
        return imported_curve(run)
    return read_curve(live.store, run_id)[0]


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
