"""The HTTP sink against a real receiver."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aggregator.alerts.http import HttpSink, Receiver, read_headers, retry_after
from aggregator.alerts.sink import AlertsError, RefusedError, UnavailableError
from aggregator.authority import Authority

BODY = b'{"rule":"r"}'


async def outcome(sink: HttpSink) -> Any:
    """ "delivered", or the error; the sink is closed."""
    try:
        await sink.deliver(BODY)
        return "delivered"
    except (RefusedError, UnavailableError) as error:
        return error
    finally:
        await sink.close()


async def test_an_alert_is_posted_with_its_headers(receiver: Any, tmp_path: Path) -> None:
    """The body is the alert, and the headers of the file come with it."""
    headers = tmp_path / "headers"
    headers.write_text("Authorization: Bearer s3cret\n\nX-Tenant: a: b\n")
    assert await outcome(HttpSink(Receiver(receiver.url, headers))) == "delivered"
    assert receiver.bodies == [{"rule": "r"}]
    sent = {name: receiver.headers[0][name] for name in ("authorization", "x-tenant", "content-type", "user-agent")}
    assert sent == {
        "authorization": "Bearer s3cret",
        "x-tenant": "a: b",
        "content-type": "application/json",
        "user-agent": "watchkeeper",
    }


@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait"),
    [
        (204, {}, str, None),
        (301, {"Location": "http://127.0.0.1:1/"}, RefusedError, None),
        (400, {}, RefusedError, None),
        (403, {}, RefusedError, None),
        (404, {}, RefusedError, None),
        (408, {}, UnavailableError, 0.0),
        (429, {"Retry-After": "7"}, UnavailableError, 7.0),
        (500, {}, UnavailableError, 0.0),
        (503, {"Retry-After": "120"}, UnavailableError, 120.0),
        (503, {"Retry-After": "soon"}, UnavailableError, 0.0),
    ],
)
async def test_what_an_answer_means(
    receiver: Any, status: int, headers: dict[str, str], kind: type, wait: float | None
) -> None:
    """What may pass is tried again, no sooner than told; what will not is refused; no redirect is followed."""
    receiver.answers = [(status, headers)]
    found = await outcome(HttpSink(Receiver(receiver.url)))
    assert type(found) is kind
    assert getattr(found, "retry_after", None) == wait
    assert len(receiver.times) == 1


async def test_a_slow_receiver_is_unavailable(receiver: Any) -> None:
    """The time for an answer is bounded."""
    receiver.gate.clear()
    found = await outcome(HttpSink(Receiver(receiver.url, timeout_seconds=0.1)))
    assert isinstance(found, UnavailableError)
    receiver.gate.set()


async def test_a_receiver_that_is_down_is_unavailable(receiver: Any) -> None:
    """No connection is told as such, without the URL, which may hold a secret."""
    await receiver.stop()
    found = await outcome(HttpSink(Receiver(receiver.url + "?token=s3cret")))
    assert (type(found), str(found)) == (UnavailableError, "the receiver can not be reached: ConnectError")


async def test_a_renewed_token_is_read_again(receiver: Any, tmp_path: Path) -> None:
    """A denied request makes the headers be read anew."""
    headers = tmp_path / "headers"
    headers.write_text("Authorization: old")
    sink = HttpSink(Receiver(receiver.url, headers))
    receiver.answers = [(401, {})]
    headers.write_text("Authorization: new")
    with pytest.raises(UnavailableError):
        await sink.deliver(BODY)
    assert await outcome(sink) == "delivered"
    assert [each["authorization"] for each in receiver.headers] == ["old", "new"]


async def test_certificates_are_verified(receiver: Any, tmp_path: Path) -> None:
    """An authority that is not named is not trusted; the one in the file is."""
    import ssl

    authority = Authority(tmp_path)
    authority.server_certificate(("127.0.0.1",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server_certificate_path, authority.server_key_path)
    await receiver.stop()
    await receiver.start(context)
    url = receiver.url.replace("http:", "https:")
    assert isinstance(await outcome(HttpSink(Receiver(url))), UnavailableError)
    assert await outcome(HttpSink(Receiver(url, ca_file=tmp_path / "ca.pem"))) == "delivered"


async def test_an_endless_answer_is_not_read_to_its_end(receiver: Any) -> None:
    """An answer of any length costs a bounded time."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await outcome(HttpSink(Receiver(f"http://127.0.0.1:{port}/"))) == "delivered"
    server.close()


@pytest.mark.parametrize("text", ["no colon", ": value", "Bad Name: x", "X: a\x01b", "X: ü"])
def test_a_wrong_header_is_named_without_its_value(tmp_path: Path, text: str) -> None:
    """The line is named; what it says may be a secret."""
    path = tmp_path / "headers"
    path.write_text(f"A: b\n{text}\n")
    with pytest.raises(AlertsError) as raised:
        read_headers(path)
    assert str(raised.value) == f'alerts.http_headers_file: {path}: line 2 must be "Name: value"'


def test_files_that_can_not_be_read_are_named(tmp_path: Path) -> None:
    """A missing file is an error that names key and file."""
    missing = tmp_path / "missing"
    with pytest.raises(AlertsError, match=r"alerts\.http_headers_file: .*missing: No such file"):
        HttpSink(Receiver("http://127.0.0.1/", headers_file=missing))
    with pytest.raises(AlertsError, match=r"alerts\.http_ca_file: .*missing: No such file"):
        HttpSink(Receiver("http://127.0.0.1/", ca_file=missing))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 0.0),
        ("0", 0.0),
        ("30", 30.0),
        ("-1", 0.0),
        ("1.5", 0.0),
        ("²", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 0.0),
        ("9" * 400, 999999999.0),
    ],
)
def test_when_to_try_again_is_read(value: str, seconds: float) -> None:
    """Seconds or a date; nothing for anything else."""
    assert retry_after(value, 60.0) == seconds
