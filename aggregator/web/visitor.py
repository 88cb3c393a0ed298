"""Who looks at the dashboard: logged in, or sent to the log-in page."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request

from aggregator.api.authentication import ADMIN, has_session, refuse_foreign_origin
from aggregator.api.context import ContextOf
from aggregator.api.problems import Problem


async def visitor(request: Request, context: ContextOf) -> str:
    """The visitor's name; without a session a redirect to the log-in, which leads back here."""
    if not has_session(request, context):
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        raise Problem(303, "Please log in.", headers={"location": f"/login?next={quote(back, safe='')}"})
    refuse_foreign_origin(request)
    return ADMIN


Visitor = Annotated[str, Depends(visitor)]


def local_address(address: str) -> str:
    """``address`` if it is a path of this dashboard, else the start page: never lead to another site."""
    is_local = address.startswith("/") and not address.startswith("//") and "\\" not in address
    return address if is_local and address.isprintable() else "/"
