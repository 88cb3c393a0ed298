"""/api/v1/nodes: the machines that are watched, and their credentials."""

from __future__ import annotations

from fastapi import APIRouter

from aggregator.api import models, representation
from aggregator.api.context import Context, ContextOf
from aggregator.api.problems import not_found
from aggregator.identity import issue_token
from aggregator.records import Node

router = APIRouter(tags=["nodes"])


@router.get("/nodes")
async def nodes(context: ContextOf) -> models.Nodes:
    """Every node that ever reported, and those of the population that never did."""
    return await all_nodes(context)


@router.get("/nodes/{name}", responses={404: {"model": models.Error}})
async def node(context: ContextOf, name: str) -> models.Node:
    """One node with its newest heartbeat."""
    return representation.node(await record(context, name), context.clock(), context.definitions.current)


@router.post("/nodes/{name}/token")
async def token(context: ContextOf, name: models.Name) -> models.NodeToken:
    """A new token for this node's agent; an older one ends. It is shown once: only its hash is kept."""
    return models.NodeToken(token=await context.store.call(issue_token, name))


async def all_nodes(context: Context) -> models.Nodes:
    records: list[Node] = await context.store.call("nodes")
    now, detection = context.clock(), context.definitions.current
    missing = sorted(set(context.settings.population.nodes) - {record.name for record in records})
    return models.Nodes(nodes=[representation.node(record, now, detection) for record in records], missing=missing)


async def record(context: Context, name: str) -> Node:
    found: Node | None = await context.store.call(lambda s: next((n for n in s.nodes() if n.name == name), None))
    if found is None:
        raise not_found("node", name, "See GET /api/v1/nodes; a node appears when its agent first reports.")
    return found
