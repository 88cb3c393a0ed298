"""Merged profiles, rules and policies on their way to the nodes of their cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from aggregator.detection import Detection
from aggregator.live import Live
from aggregator.profiles import profile_hash, profile_id
from aggregator.records import MergedProfile
from aggregator.store.protocol import Store
from aggregator.store.thread import StoreThread
from watchkeeper import wire
from watchkeeper.findings import Profile, ProfileKey
from watchkeeper.v1 import uplink_pb2 as pb

DEBOUNCE_SECONDS = 1.0
CHUNK_BYTES = 1 << 20  # agents take larger messages; a profile alone may be larger


class Listener(Protocol):
    """A connected node. ``detection_hash``: of the rules and policies it was last sent."""

    cluster: str
    detection_hash: str

    def offer(self, profile: pb.Profile) -> None:
        """Send it when possible; a newer one of the same key replaces one not yet sent."""
        ...

    def offer_detection(self, hash: str, detection: pb.DetectionSet) -> None:
        """Send it when possible; a newer one replaces one not yet sent."""
        ...


class Push:
    """Remembers every cluster's profiles and rules as messages, so that thousands of nodes can connect at once.
    ``detection`` gives the rules and policies in force now."""

    def __init__(
        self,
        store: StoreThread,
        live: Live,
        listeners: Callable[[], Iterable[Listener]],
        detection: Callable[[], Detection] = Detection,
    ) -> None:
        self._store = store
        self._live = live
        self._listeners = listeners
        self._known: dict[ProfileKey, pb.Profile] = {}
        self._loaded: asyncio.Task[None] | None = None
        self._changed: set[ProfileKey] = set()
        self._task: asyncio.Task[None] | None = None
        self._detection = detection
        self._sets: dict[str, pb.DetectionSet] = {}  # by hash: most clusters have the same
        self._detection_task: asyncio.Task[None] | None = None

    def detection(self, cluster: str) -> tuple[str, pb.DetectionSet]:
        """What each node of the cluster must run, with its hash."""
        current = self._detection()
        hash = current.hash_for(cluster)
        if hash not in self._sets:
            self._sets[hash] = wire.detection_set_message(current.set_for(cluster))
        return hash, self._sets[hash]

    def detection_changed(self) -> None:
        """Push rules and policies soon, once for many changes, to the clusters for which they differ."""
        if self._detection_task is None or self._detection_task.done():
            self._detection_task = asyncio.create_task(self._push_detection())

    async def profiles(self, cluster: str) -> list[pb.Profile]:
        """All merged profiles of a cluster."""
        if self._loaded is None or (self._loaded.done() and (self._loaded.cancelled() or self._loaded.exception())):
            self._loaded = asyncio.create_task(self._load())
        await asyncio.shield(self._loaded)
        return [message for key, message in self._known.items() if key.cluster == cluster]

    def changed(self, keys: Iterable[ProfileKey]) -> None:
        """Push these profiles soon, once for many changes."""
        self._changed.update(keys)
        if self._changed and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._push_later())

    async def now(self, key: ProfileKey) -> None:
        """Push this profile if it differs from what was pushed before."""
        merged = await self._store.call(_find, [key])
        self._offer(merged)

    def close(self) -> None:
        for task in (self._task, self._loaded, self._detection_task):
            if task:
                task.cancel()

    async def _load(self) -> None:
        for merged in await self._store.call(lambda store: store.profiles()):
            self._known.setdefault(merged.key, message(merged))

    async def _push_detection(self) -> None:
        await asyncio.sleep(DEBOUNCE_SECONDS)
        self._sets.clear()
        for listener in self._listeners():
            hash, message = self.detection(listener.cluster)
            if listener.detection_hash != hash:
                listener.offer_detection(hash, message)

    async def _push_later(self) -> None:
        while self._changed:
            await asyncio.sleep(DEBOUNCE_SECONDS)
            keys, self._changed = self._changed, set()
            self._offer(await self._store.call(_find, keys))

    def _offer(self, profiles: Iterable[MergedProfile]) -> None:
        for merged in profiles:
            profile = message(merged)
            if self._known.get(merged.key) == profile:
                continue
            self._known[merged.key] = profile
            for listener in self._listeners():
                if listener.cluster == merged.key.cluster:
                    listener.offer(profile)
            self._live.publish("profile", {"id": profile_id(merged.key)})


def message(merged: MergedProfile) -> pb.Profile:
    """The merged profile as the nodes get it."""
    return wire.profile_message(
        Profile(merged.key, merged.state, merged.entries, merged.inherited_from, profile_hash(merged))
    )


def chunks(profiles: Iterable[pb.Profile], detection: pb.DetectionSet | None = None) -> Iterator[pb.Configuration]:
    """Messages of a moderate size that carry all ``profiles``, and the first one ``detection``; at least one."""
    chunk, size = pb.Configuration(detection=detection), 0
    for profile in profiles:
        if size and size + profile.ByteSize() > CHUNK_BYTES:
            yield chunk
            chunk, size = pb.Configuration(), 0
        chunk.profiles.append(profile)
        size += profile.ByteSize()
    yield chunk


def _find(store: Store, keys: Iterable[ProfileKey]) -> list[MergedProfile]:
    return [merged for merged in map(store.profile, keys) if merged]
