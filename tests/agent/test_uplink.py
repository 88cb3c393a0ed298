"""The uplink against a real aggregator: what arrives, and what is said when nothing can."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agent.uplink import Uplink
from tests.rig_transport import Agent, Aggregator, aggregator, finding, free_port, until
from watchkeeper import wire
from watchkeeper.findings import Behaviour, BehaviourClass, ProfileDelta, ProfileEntry, ProfileKey, ProfileState


async def error_of(agent: Agent) -> str:
    """The first reason the uplink gives for not being connected."""
    async with agent.running():
        await until(lambda: bool(agent.uplink.last_error))
    return agent.uplink.last_error


async def test_what_is_spooled_arrives_and_leaves_the_spool(tmp_path: Path) -> None:
    """Records appended before and after connecting are stored once and forgotten by the agent."""
    async with aggregator(tmp_path / "g") as served:
        agent = Agent(served.agent_settings(token=await served.token()), tmp_path / "a")
        agent.append(1, 2)
        async with agent.running():
            await until(lambda: agent.uplink.connected)
            agent.append(3)
            await until(lambda: agent.spool.records == 0)
            assert agent.uplink.last_error == ""
        assert await served.titles() == ["finding 1", "finding 2", "finding 3"]


async def test_a_heartbeat_makes_the_node_known(tmp_path: Path) -> None:
    """The node is stored with what its heartbeat says and the aggregator's clock."""
    async with aggregator(tmp_path / "g") as served:
        agent = Agent(served.agent_settings(token=await served.token()), tmp_path / "a")

        async def beaten() -> bool:
            return any(node.heartbeat_at > 0 for node in await served.store.call("nodes"))

        async with agent.running():
            await until(beaten)
        (node,) = await served.store.call("nodes")
        assert (node.name, node.cluster, node.probe_state) == ("n1", "c1", "attached")


async def test_a_token_file_is_enough(tmp_path: Path) -> None:
    """The token is read from its file, with the newline an editor leaves."""
    async with aggregator(tmp_path / "g") as served:
        (tmp_path / "token").write_text(await served.token() + "\n")
        agent = Agent(served.agent_settings(token_file=str(tmp_path / "token")), tmp_path / "a")
        async with agent.running():
            await until(lambda: agent.uplink.connected)


def certificate(served: Aggregator, directory: Path, days: float, node: str = "n1") -> dict[str, str]:
    pem, key = served.authority.issue_client(node, days)
    (directory / "tls.crt").write_bytes(pem)
    (directory / "tls.key").write_bytes(key)
    return {
        "address": f"127.0.0.1:{served.mtls_port}",
        "certificate_file": str(directory / "tls.crt"),
        "key_file": str(directory / "tls.key"),
    }


async def test_a_client_certificate_is_enough(tmp_path: Path) -> None:
    """On the port for mutual TLS the certificate alone says which node speaks."""
    async with aggregator(tmp_path / "g") as served:
        agent = Agent(served.agent_settings(**certificate(served, tmp_path, 1)), tmp_path / "a")
        agent.append(1)
        async with agent.running():
            await until(lambda: agent.uplink.connected and agent.spool.records == 0)
        assert await served.titles() == ["finding 1"]


async def test_an_expired_client_certificate_is_named(tmp_path: Path) -> None:
    """The agent says which file expired and when, before it connects."""
    async with aggregator(tmp_path / "g") as served:
        files = certificate(served, tmp_path, -1)
        error = await error_of(Agent(served.agent_settings(**files), tmp_path / "a"))
    assert error.startswith(f"uplink.certificate_file: {files['certificate_file']}: expired on 20")
    assert error.endswith(" UTC. Issue a new certificate for this node.")


async def test_a_wrong_token_is_named(tmp_path: Path) -> None:
    """The aggregator refuses the token, and the agent says so."""
    async with aggregator(tmp_path / "g") as served:
        await served.token()
        settings = served.agent_settings(token="n1.wrong")
        assert await error_of(Agent(settings, tmp_path / "a")) == (
            f"127.0.0.1:{served.port}: refused this node's credential: "
            "the token is not valid: make a new one for this node and give it to its agent"
        )


async def test_another_nodes_token_is_named(tmp_path: Path) -> None:
    """A node with the token of another is told both names."""
    async with aggregator(tmp_path / "g") as served:
        settings = served.agent_settings("n2", token=await served.token("n1"))
        assert await error_of(Agent(settings, tmp_path / "a")) == (
            f"127.0.0.1:{served.port}: refused this node: this credential is for node 'n1', but Hello says 'n2'. "
            "Set node to the name the credential was made for."
        )


async def test_no_credential_is_named(tmp_path: Path) -> None:
    """Without token and certificate the agent says which key to set."""
    async with aggregator(tmp_path / "g") as served:
        assert await error_of(Agent(served.agent_settings(), tmp_path / "a")) == (
            "set uplink.token_file or uplink.certificate_file: the aggregator must know who speaks"
        )


async def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    """The key and the path are in the message."""
    async with aggregator(tmp_path / "g") as served:
        settings = served.agent_settings(token=await served.token(), ca_file="/nowhere/ca.pem")
        assert await error_of(Agent(settings, tmp_path / "a")) == (
            "uplink.ca_file: /nowhere/ca.pem: can not be read: No such file or directory"
        )


async def test_a_wrong_authority_is_named(tmp_path: Path) -> None:
    """A server certificate of another authority is not trusted."""
    async with aggregator(tmp_path / "g") as served, aggregator(tmp_path / "other") as other:
        settings = served.agent_settings(token=await served.token(), ca_file=str(other.authority.ca_path))
        assert await error_of(Agent(settings, tmp_path / "a")) == (
            f"127.0.0.1:{served.port}: its certificate is not signed by the authority in uplink.ca_file."
        )


async def test_an_expired_server_certificate_is_named(tmp_path: Path) -> None:
    """The agent does not trust it, and says what makes a new one."""
    async with aggregator(tmp_path / "g", server_days=-1) as served:
        settings = served.agent_settings(token=await served.token())
        assert await error_of(Agent(settings, tmp_path / "a")) == (
            f"127.0.0.1:{served.port}: its certificate has expired. Restart the aggregator: it renews its certificate."
        )


async def test_a_wrong_server_name_is_named(tmp_path: Path) -> None:
    """A server certificate without the expected name is not trusted."""
    async with aggregator(tmp_path / "g") as served:
        settings = served.agent_settings(token=await served.token(), server_name="elsewhere.example")
        assert await error_of(Agent(settings, tmp_path / "a")) == (
            f"127.0.0.1:{served.port}: its certificate is for another name. "
            "Set uplink.server_name or ingest.server_names."
        )


async def test_an_unreachable_address_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The reason is logged once, however often the agent tries again."""
    async with aggregator(tmp_path / "g") as served:
        settings = served.agent_settings(token=await served.token(), address=f"127.0.0.1:{free_port()}")
        agent = Agent(settings, tmp_path / "a")
        attempts = 0
        judge = Uplink._judge

        def counted(*arguments: object) -> str:
            nonlocal attempts
            attempts += 1
            return judge(*arguments)  # type: ignore[arg-type]

        with caplog.at_level(logging.WARNING, "agent.uplink"), pytest.MonkeyPatch.context() as patch:
            patch.setattr(Uplink, "_judge", counted)
            async with agent.running():
                await until(lambda: attempts >= 3)
    reason = f"{settings.uplink.address}: can not be reached: nothing listens there."
    assert agent.uplink.last_error == reason
    assert [record.getMessage() for record in caplog.records] == [f"not connected: {reason}"]


async def test_an_aggregator_that_comes_back_is_found(tmp_path: Path) -> None:
    """What was spooled meanwhile arrives after a restart, once."""
    async with aggregator(tmp_path / "g") as served:
        agent = Agent(served.agent_settings(token=await served.token()), tmp_path / "a")
        async with agent.running():
            agent.append(1)
            await until(lambda: agent.spool.records == 0)
            await served.stop()
            agent.append(2)
            await until(lambda: not agent.uplink.connected)
            await served.start()
            await until(lambda: agent.spool.records == 0)
        assert await served.titles() == ["finding 1", "finding 2"]


async def test_an_oversized_record_is_counted_and_does_not_block(tmp_path: Path) -> None:
    """A record larger than any message is discarded with a trace on both sides; the next one arrives."""
    async with aggregator(tmp_path / "g", maximum_message_bytes=1 << 16) as served:
        agent = Agent(served.agent_settings(token=await served.token()), tmp_path / "a")
        agent.append(1)
        assert agent.spool.append("inventory", bytes(1 << 17))
        agent.append(2)
        async with agent.running():
            await until(lambda: agent.spool.records == 0 and agent.uplink.connected)
        assert await served.titles() == ["finding 1", "finding 2"]
        assert agent.spool.discarded == {"inventory": 1}
        (refused,) = await served.evidence("refused")
        assert '"reason":"payload: withheld: 131232 bytes are more than the 64512 that fit into a message"' in refused


async def test_many_records_come_in_batches_below_the_limit(tmp_path: Path) -> None:
    """300 findings of 1 kB pass a limit of 64 KiB a message."""
    async with aggregator(tmp_path / "g", maximum_message_bytes=1 << 16) as served:
        agent = Agent(served.agent_settings(token=await served.token()), tmp_path / "a")
        for number in range(300):
            assert agent.spool.append(*wire.pack(finding(number, fields=(("x", "y" * 1000),))))
        async with agent.running():
            await until(lambda: agent.uplink.connected and agent.spool.records == 0)
        assert len(await served.titles()) == 300


async def test_an_aggregator_that_lost_its_memory_gets_what_is_left(tmp_path: Path) -> None:
    """A gap in the sequence is refused once; then the spool is sealed anew and delivered."""
    async with aggregator(tmp_path / "g") as served:
        settings = served.agent_settings(token=await served.token())
        agent = Agent(settings, tmp_path / "a")
        agent.append(1, 2, 3)
        agent.spool.acknowledge(2)
        async with agent.running():
            await until(lambda: agent.uplink.connected and agent.spool.records == 0)
        assert await served.titles() == ["finding 3"]
        (refused,) = await served.evidence("refused")
        assert "record 3 came after record 0: those between are missing" in refused


async def test_a_merged_profile_comes_back(tmp_path: Path) -> None:
    """What one node learned is pushed to another node of the cluster, now and when it connects."""
    key = ProfileKey("c1", "ns", "Deployment/web", "web", "sha256:1")
    entry = ProfileEntry(Behaviour(BehaviourClass.EXECUTED, "/bin/sh", "/bin/ls"), 1.0, 2.0)
    async with aggregator(tmp_path / "g") as served:
        one = Agent(served.agent_settings("n1", token=await served.token("n1")), tmp_path / "a1")
        two = Agent(served.agent_settings("n2", token=await served.token("n2")), tmp_path / "a2")
        three = Agent(served.agent_settings("n3", token=await served.token("n3")), tmp_path / "a3")

        def learned(agent: Agent) -> list[tuple[ProfileEntry, ...]]:
            return [wire.profile(each).entries for sent in agent.configurations for each in sent.profiles]

        async with one.running(), two.running():
            await until(lambda: two.uplink.connected)
            one.spool.append(*wire.pack(ProfileDelta(key, ProfileState.LEARNING, 5.0, (entry,), 2.0)))
            one.uplink.wake()
            await until(lambda: bool(learned(two)))
            async with three.running():
                await until(lambda: three.uplink.connected)
        assert learned(two) == learned(three) == [(entry,)]
