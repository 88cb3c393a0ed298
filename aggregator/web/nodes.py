"""The nodes, each node's page, and enrolling a new one."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from aggregator.api import nodes as api
from aggregator.api import representation
from aggregator.api.context import ContextOf
from aggregator.api.problems import Problem
from aggregator.records import UNDER_WAY
from aggregator.web.noise import noisiest
from aggregator.web.rendering import page
from aggregator.web.visitor import Visitor

router = APIRouter()

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


@router.get("/nodes")
async def nodes(request: Request, context: ContextOf, _: Visitor) -> Response:
    return page(request, "nodes.html", fleet=await api.all_nodes(context))


@router.get("/nodes/{name}")
async def node(request: Request, context: ContextOf, _: Visitor, name: str) -> Response:
    record = await api.record(context, name)
    shown = representation.node(record, context.clock(), context.definitions.current)
    return page(request, "node.html", node=shown, noisy=noisiest(shown.novelty or []), under_way=UNDER_WAY)


@router.post("/nodes")
async def enrol(
    request: Request, context: ContextOf, _: Visitor, name: Annotated[str, Form(max_length=253)]
) -> Response:
    """Shows the token once; only its hash is kept."""
    if not _NAME.fullmatch(name):
        raise Problem(422, "That is no name of a node.", "Use the name the cluster knows it by: letters, digits, . _ -")
    made = await api.token(context, name)
    authority = context.authority.ca_pem.decode()
    listen = context.settings.ingest.listen
    return page(request, "enrolled.html", name=name, token=made.token, authority=authority, listen=listen)
