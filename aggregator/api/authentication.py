"""Who may ask: the bearer of the API token, or a dashboard session."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from aggregator.api import secrets
from aggregator.api.context import Context, ContextOf
from aggregator.api.problems import Problem
from aggregator.api.sessions import COOKIE

ADMIN = "admin"  # who decides, as evidence names it; there is one token, and this is its name

_BEARER = HTTPBearer(auto_error=False, description="The token in `api-token` of the state directory.")
_COOKIE = APIKeyCookie(name=COOKIE, auto_error=False, description="A dashboard session.")


async def require(
    request: Request,
    context: ContextOf,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    cookie: Annotated[str | None, Depends(_COOKIE)],
) -> str:
    """The name of who asks; Problem 401 without a valid credential."""
    if bearer is not None and secrets.equal(bearer.credentials, context.token):
        return ADMIN
    if bearer is None and cookie and context.sessions.is_valid(cookie, context.clock()):
        refuse_foreign_origin(request)
        return ADMIN
    raise Problem(
        401,
        "A valid token is needed.",
        f"Send `Authorization: Bearer <token>`; the token is in {context.settings.state_directory}/api-token.",
        {"www-authenticate": "Bearer"},
    )


def has_session(request: Request, context: Context) -> bool:
    return context.sessions.is_valid(request.cookies.get(COOKIE, ""), context.clock())


def refuse_foreign_origin(request: Request) -> None:
    """A second lock beside SameSite=Strict: another site's page can not act with a visitor's session."""
    origin = request.headers.get("origin")
    if request.method in ("GET", "HEAD") or origin is None:
        return
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise Problem(403, "This request came from another site's page.", "Act from the dashboard itself.")


Who = Annotated[str, Depends(require)]
