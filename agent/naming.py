"""Find a container's name: ask every runtime, and fill from its files what they do not know (any more)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent import cri
from agent.container_spec import Facts, facts_of, with_facts
from agent.cri import CriError, Runtime
from agent.oci import Description
from watchkeeper.findings import Container

AT_ONCE = 16  # questions under way
UNKNOWN_TO_CRI = frozenset({"podman", "runc"})


@dataclass(frozen=True, slots=True)
class Answer:
    """``final``: asking again tells nothing new. ``failed``: a runtime did not answer."""

    container: Container
    final: bool
    failed: bool = False


class Naming:
    """Asks the runtimes whose sockets exist at that moment."""

    def __init__(self, sockets: Sequence[Path]) -> None:
        self._sockets = sockets
        self._runtimes: dict[Path, Runtime] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    def can_ask(self, runtime: str) -> bool:
        """Whether anybody could know more of this runtime's containers than their files tell."""
        return runtime not in UNKNOWN_TO_CRI and bool(cri.present(self._sockets))

    async def ask(self, known: Description) -> Answer:
        """One attempt."""
        async with self._places:
            failed = False
            for runtime in self._present():
                try:
                    if found := await _from(runtime, known):
                        return Answer(found, final=True)
                    if known.sandbox and (found := await _after_removal(runtime, known)):
                        return Answer(found, final=True)
                except CriError:
                    failed = True  # told by the answer; another runtime may know it
            complete = bool(known.container.name) and known.container.kind != "sandbox"
            return Answer(known.container, final=complete and not failed, failed=failed)

    async def close(self) -> None:
        for runtime in self._runtimes.values():
            await runtime.close()
        self._runtimes.clear()

    def _present(self) -> list[Runtime]:
        return [self._runtimes.setdefault(path, Runtime(path)) for path in cri.present(self._sockets)]


async def _from(runtime: Runtime, known: Description) -> Container | None:
    """The container as the runtime knows it; None: it does not."""
    identifier = known.container.id
    told = None if known.container.kind == "sandbox" else await runtime.container(identifier)
    if told is None:
        pod = await runtime.pod(identifier)
        if pod is None:
            return None
        found = cri.describe_sandbox(await runtime.name(), pod)
        return with_facts(found, facts_of(known.container))
    status = told.status
    sandbox = told.sandbox or known.sandbox
    pod = await runtime.pod(sandbox) if sandbox else None
    image = None if "@" in status.image_ref else await runtime.image(status.image_ref or status.image.image)
    return cri.describe(await runtime.name(), status, pod, image, _facts(told.facts, known.container))


def _facts(told: Facts, known: Container) -> Facts:
    """A runtime that tells nothing of it leaves what the files told."""
    return told if told.privileged is not None else facts_of(known)


async def _after_removal(runtime: Runtime, known: Description) -> Container | None:
    """The container was removed before it could be asked for: its files name it, its pod and its image remain."""
    container = known.container
    pod = await runtime.pod(known.sandbox)
    image = await runtime.image(container.image) if container.image else None
    if pod is None and image is None:
        return None
    labels = dict(pod.labels) if pod else {}
    return replace(
        container,
        runtime=await runtime.name(),
        image_digest=cri.digest("", image) or container.image_digest,
        labels=cri.own_labels(labels) or container.labels,
        workload=cri.workload(container.name, container.pod_name, labels),
    )
