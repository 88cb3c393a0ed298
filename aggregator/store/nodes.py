"""Nodes, their credentials, inventories and how far each spool is acknowledged."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from aggregator.evidence import enrolment_body
from aggregator.records import Node, NodeInventory
from aggregator.store.chain import Chain
from aggregator.store.database import Database
from aggregator.store.finite import finite

_LARGEST = 2**63 - 1  # what SQLite can keep; the wire allows more

_encode = msgspec.json.Encoder().encode
_node = msgspec.json.Decoder(Node).decode
_inventory = msgspec.json.Decoder(NodeInventory).decode


class Nodes:
    """Every method but the reading ones must be called inside a transaction."""

    def __init__(self, database: Database, chain: Chain) -> None:
        self._database = database
        self._chain = chain
        self._nodes: dict[str, Node] | None = None  # as in the database; read for each evaluation
        self._inventories: dict[str, NodeInventory] | None = None

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._nodes = self._inventories = None

    def enrol(self, node: Node) -> None:
        known = self._known().get(node.name)
        if known is None:
            self._enrolled(node)
        elif _identity(known) != _identity(node):
            changed = replace(
                known, cluster=node.cluster, agent_version=node.agent_version, kernel_release=node.kernel_release,
                heartbeat_seconds=node.heartbeat_seconds,
            )  # fmt: skip
            self._enrolled(changed)

    def heartbeat(self, node: Node) -> None:
        known = self._known().get(node.name)
        if known is None:
            self._enrolled(node)
        else:
            self._keep(replace(node, enrolled_at=known.enrolled_at))

    def all(self) -> list[Node]:
        return list(self._known().values())

    def inventory(self, inventory: NodeInventory) -> None:
        inventory = finite(replace(inventory, containers=tuple(map(finite, inventory.containers))))
        self._database.write(
            "INSERT OR REPLACE INTO inventory (node, at, body) VALUES (?, ?, ?)",
            (inventory.node, inventory.at, _encode(inventory).decode()),
        )
        if self._inventories is not None:
            self._inventories[inventory.node] = inventory

    def inventories(self) -> list[NodeInventory]:
        if self._inventories is None:
            rows = self._database.rows("SELECT node, body FROM inventory ORDER BY node")
            self._inventories = {node: _inventory(body) for node, body in rows}
        return list(self._inventories.values())

    def acknowledge(self, node: str, spool: str, sequence: int) -> None:
        self._database.write(
            "INSERT INTO acknowledged (node, spool, sequence) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET sequence = max(sequence, excluded.sequence)",
            (node, spool, min(sequence, _LARGEST)),
        )

    def acknowledged(self, node: str, spool: str) -> int:
        found = self._database.row("SELECT sequence FROM acknowledged WHERE node = ? AND spool = ?", (node, spool))
        return int(found[0]) if found else 0

    def token_hash(self, node: str) -> str | None:
        found = self._database.row("SELECT token_hash FROM node WHERE name = ?", (node,))
        return found[0] if found else None

    def save_token_hash(self, node: str, token_hash: str) -> None:
        self._database.write(
            "INSERT INTO node (name, token_hash) VALUES (?, ?) "
            "ON CONFLICT DO UPDATE SET token_hash = excluded.token_hash",
            (node, token_hash),
        )

    def _known(self) -> dict[str, Node]:
        if self._nodes is None:
            rows = self._database.rows("SELECT name, body FROM node WHERE body IS NOT NULL ORDER BY name")
            self._nodes = {name: _node(body) for name, body in rows}
        return self._nodes

    def _enrolled(self, node: Node) -> None:
        self._keep(node)
        self._chain.append("nodes", "enrolment", node.enrolled_at, enrolment_body(node))

    def _keep(self, node: Node) -> None:
        node = finite(node)
        self._database.write(
            "INSERT INTO node (name, body) VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
            (node.name, _encode(node).decode()),
        )
        self._known()[node.name] = node


def _identity(node: Node) -> tuple[str, str, str, int]:
    return node.cluster, node.agent_version, node.kernel_release, node.heartbeat_seconds
