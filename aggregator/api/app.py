"""The web application: API, documentation and dashboard in one."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.staticfiles import StaticFiles

import watchkeeper
from aggregator.alerts.outbox import Counters
from aggregator.api import (
    authentication,
    controls,
    events,
    evidence,
    findings,
    health,
    middleware,
    models,
    nodes,
    policies,
    problems,
    profiles,
    rules,
)
from aggregator.api.context import Authority, Context
from aggregator.api.sessions import Sessions
from aggregator.config import Settings
from aggregator.definitions import Definitions
from aggregator.evaluation import Evaluation
from aggregator.live import Live
from aggregator.store.thread import StoreThread
from aggregator.web import pages
from watchkeeper.findings import ProfileKey

MAXIMUM_BODY_BYTES = 64 * 1024

DESCRIPTION = """\
Which SOC 2 controls hold, which do not, and which nobody can know; with the evidence.

Send the token from `api-token` in the state directory: `Authorization: Bearer <token>`.
Times are unix seconds. An error is `{"error": "what is wrong", "remedy": "what helps"}`.
"""


def create_app(
    store: StoreThread,
    evaluation: Evaluation,
    definitions: Definitions,
    live: Live,
    authority: Authority,
    settings: Settings,
    *,
    token: str,
    session_key: str,
    tls: bool = False,
    push_profile: Callable[[ProfileKey], Awaitable[None]] | None = None,
    evaluate: Callable[[], Awaitable[None]] | None = None,
    alerts: Callable[[], Mapping[str, Counters]] | None = None,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """Everything it works with is passed in; the app starts and closes none of it."""
    app = FastAPI(
        title="Watchkeeper",
        version=watchkeeper.__version__,
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,  # FastAPI's own page loads its scripts from elsewhere; ours is aggregator/web/reference.py
        redoc_url=None,
    )
    given: dict[str, Any] = {"push_profile": push_profile, "evaluate": evaluate, "alerts": alerts}
    app.state.context = Context(
        store, evaluation, definitions, live, authority, settings, token, Sessions(session_key, token), tls, clock,
        **{name: function for name, function in given.items() if function is not None},
    )  # fmt: skip
    app.include_router(_version_1())
    app.include_router(health.router)
    app.include_router(pages.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=pages.STATIC), name="static")
    problems.install(app)
    app.add_middleware(middleware.BodyLimit, maximum=MAXIMUM_BODY_BYTES)
    app.add_middleware(middleware.SecurityHeaders, tls=tls)
    return app


def _version_1() -> APIRouter:
    answers: dict[int | str, dict[str, Any]] = {
        401: {"model": models.Error, "description": "The token is missing or wrong"},
        422: {"model": models.Error, "description": "A parameter or the body is not as expected"},
    }
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(authentication.require)], responses=answers)
    for part in (controls, findings, nodes, profiles, policies, rules, evidence, events):
        router.include_router(part.router)
    return router
