"""Who speaks: tokens and certificates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import pytest

from aggregator.identity import Identity, IdentityError, issue_token
from aggregator.store.sqlite import SqliteStore
from aggregator.store.thread import StoreThread


class Call:
    """What gRPC knows of a call."""

    def __init__(self, token: str = "", names: Iterable[bytes] = ()) -> None:
        self._token = token
        self._names = list(names)

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return [("user-agent", "x"), *([("authorization", self._token)] if self._token else [])]

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return {"x509_subject_alternative_name": self._names} if self._names else {}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StoreThread]:
    thread = StoreThread(SqliteStore(tmp_path / "store.sqlite"))
    yield thread
    thread.close()


async def test_a_token_proves_its_node(store: StoreThread) -> None:
    """Names with dots, too, and the store never sees the secret."""
    token = await store.call(issue_token, "ip-10-0-0-1.ec2.internal")
    assert await Identity(store).of(Call(f"Bearer {token}")) == "ip-10-0-0-1.ec2.internal"
    stored = await store.call("node_token_hash", "ip-10-0-0-1.ec2.internal")
    assert len(stored) == 64
    assert token.rpartition(".")[2] not in stored


async def test_a_new_token_ends_the_old_one(store: StoreThread) -> None:
    """Each node has one token."""
    old = await store.call(issue_token, "n1")
    new = await store.call(issue_token, "n1")
    assert await Identity(store).of(Call(f"Bearer {new}")) == "n1"
    with pytest.raises(IdentityError, match=r"^the token is not valid"):
        await Identity(store).of(Call(f"Bearer {old}"))


@pytest.mark.parametrize("change", ["n2{}", "n1{}x", "n9{}", "n1."])
async def test_a_token_proves_nothing_else(store: StoreThread, change: str) -> None:
    """The secret of one node is worth nothing with another's name, and none is worth nothing."""
    secret = (await store.call(issue_token, "n1")).removeprefix("n1")
    await store.call(issue_token, "n2")
    with pytest.raises(IdentityError):
        await Identity(store).of(Call("Bearer " + change.format(secret)))


async def test_without_credential_the_remedy_is_told(store: StoreThread) -> None:
    """The message names the keys of the agent's configuration."""
    with pytest.raises(IdentityError) as caught:
        await Identity(store).of(Call())
    assert str(caught.value) == ("no token and no client certificate: set uplink.token_file or uplink.certificate_file")


async def test_a_certificate_proves_its_node(store: StoreThread) -> None:
    """The URI counts, not any other name in the certificate."""
    names = [b"localhost", b"watchkeeper://node/n1"]
    assert await Identity(store).of(Call(names=names)) == "n1"
    with pytest.raises(IdentityError):
        await Identity(store).of(Call(names=[b"n1", b"https://watchkeeper/node/n1"]))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "a.", "ü", "x" * 254, "a\n"])
async def test_a_token_is_made_for_names_of_nodes_only(store: StoreThread, name: str) -> None:
    """Anything else is refused by name."""
    with pytest.raises(ValueError, match="is no name of a node"):
        await store.call(issue_token, name)
