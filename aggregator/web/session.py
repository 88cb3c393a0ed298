"""Log in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from aggregator.api import secrets
from aggregator.api.authentication import refuse_foreign_origin
from aggregator.api.context import ContextOf
from aggregator.api.sessions import COOKIE, LIFETIME
from aggregator.web.rendering import page
from aggregator.web.visitor import local_address

router = APIRouter()


@router.get("/login")
async def form(request: Request, context: ContextOf, next: str = "/") -> Response:
    return page(request, "login.html", next=local_address(next), error="", directory=context.settings.state_directory)


@router.post("/login")
async def log_in(
    request: Request,
    context: ContextOf,
    token: Annotated[str, Form(max_length=500)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    refuse_foreign_origin(request)
    address, now = request.client.host if request.client else "", context.clock()
    wait = context.guesses.wait_seconds(address, now)
    if wait:
        return _again(request, context, next, 429, f"Too many wrong tokens. Try again in {int(wait) + 1} s.")
    if not secrets.equal(token.strip(), context.token):
        context.guesses.failed(address, now)
        return _again(request, context, next, 401, "That is not the token.")
    context.guesses.succeeded(address)
    answer = RedirectResponse(local_address(next), 303)
    answer.set_cookie(
        COOKIE, context.sessions.begin(now), max_age=int(LIFETIME), httponly=True, samesite="strict", secure=context.tls
    )
    return answer


@router.post("/logout")
async def log_out(request: Request, context: ContextOf) -> Response:
    refuse_foreign_origin(request)
    context.sessions.end(request.cookies.get(COOKIE, ""), context.clock())
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer


def _again(request: Request, context: ContextOf, next_page: str, status: int, error: str) -> Response:
    directory = context.settings.state_directory
    return page(request, "login.html", status, next=local_address(next_page), error=error, directory=directory)
