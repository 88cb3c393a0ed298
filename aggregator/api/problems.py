"""Errors as clients see them: what is wrong and what helps; never a traceback."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from aggregator.store.protocol import StoreError

log = logging.getLogger(__name__)

_REMEDIES = {
    404: "See /api/docs for every address.",
    405: "See /api/docs for the methods of this address.",
    413: "Send less at once.",
}


class Problem(Exception):
    """Ends a request with ``status``; both texts are shown to the client."""

    def __init__(self, status: int, error: str, remedy: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.remedy = remedy
        self.headers = headers or {}


def not_found(what: str, name: str, remedy: str) -> Problem:
    return Problem(404, f'There is no {what} "{name}".', remedy)


def install(app: FastAPI) -> None:
    """Have every kind of error answered in the same shape."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StoreError, _store)
    app.add_exception_handler(Exception, _unexpected)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _answer(request, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    remedy = _REMEDIES.get(error.status_code, "")
    headers = dict(error.headers or {})
    return _answer(request, Problem(error.status_code, str(error.detail), remedy, headers))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return _answer(request, Problem(422, f"{where}: {first['msg']}", "See /api/docs for what is expected."))


async def _store(request: Request, error: Exception) -> Response:
    log.error("store: %s", error)
    return _answer(request, Problem(503, str(error)))


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(request, Problem(500, "Something went wrong here.", "The aggregator's log has the details."))


def _answer(request: Request, problem: Problem) -> Response:
    """JSON for programs, a page for people in the dashboard."""
    machine = request.url.path.startswith(("/api/", "/healthz", "/readyz", "/metrics", "/webhooks/"))
    if not machine:
        from aggregator.web.pages import problem_page  # the pages import this module

        return problem_page(request, problem)
    body = {"error": problem.error} | ({"remedy": problem.remedy} if problem.remedy else {})
    return JSONResponse(body, problem.status, problem.headers)
