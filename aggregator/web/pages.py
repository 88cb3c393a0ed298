"""The dashboard's addresses together, and the page for what went wrong."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from aggregator.api.problems import Problem
from aggregator.web import controls, evidence, findings, nodes, policies, profiles, reference, session
from aggregator.web.rendering import STATIC, page

__all__ = ["STATIC", "problem_page", "router"]

router = APIRouter()
for part in (session, controls, findings, nodes, profiles, policies, evidence, reference):
    router.include_router(part.router)


def problem_page(request: Request, problem: Problem) -> Response:
    """For people: what is wrong, what helps, and a way on."""
    if 300 <= problem.status < 400:
        return RedirectResponse(problem.headers["location"], problem.status)
    answer = page(request, "problem.html", problem.status, problem=problem)
    answer.headers.update(problem.headers)
    return answer
