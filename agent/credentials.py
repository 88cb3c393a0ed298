"""How the node proves who it is and whom it trusts, and what it means when that fails."""

from __future__ import annotations

import time
from pathlib import Path

import grpc

from agent.certificate import expires_at
from agent.config import UplinkSettings


class CredentialError(Exception):
    """A token, certificate or key can not be used; the message names the file and the remedy."""


def credentials(uplink: UplinkSettings) -> grpc.ChannelCredentials:
    """Read anew for each connection, so that renewed files are found. Raises CredentialError."""
    roots = _read("uplink.ca_file", uplink.ca_file) if uplink.ca_file else None
    if not uplink.certificate_file:
        return grpc.ssl_channel_credentials(roots)
    path = Path(uplink.certificate_file)
    certificate = _read("uplink.certificate_file", uplink.certificate_file)
    try:
        until = expires_at(path)
    except ValueError as error:
        raise CredentialError(f"uplink.certificate_file: {path}: {error}") from error
    if until <= time.time():
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(until))
        raise CredentialError(
            f"uplink.certificate_file: {path}: expired on {moment}. Issue a new certificate for this node."
        )
    return grpc.ssl_channel_credentials(roots, _read("uplink.key_file", uplink.key_file), certificate)


def metadata(uplink: UplinkSettings) -> tuple[tuple[str, str], ...]:
    """The token as gRPC sends it; empty when a client certificate speaks. Raises CredentialError."""
    token = uplink.token
    if uplink.token_file:
        token = _read("uplink.token_file", uplink.token_file).decode(errors="replace").strip()
        if not token:
            raise CredentialError(f"uplink.token_file: {uplink.token_file}: is empty. Write this node's token into it.")
    if token:
        if not token.isascii() or not token.isprintable() or " " in token:
            raise CredentialError("the token holds characters that no token has. Copy it again.")
        return (("authorization", f"Bearer {token}"),)
    if uplink.certificate_file:
        return ()
    raise CredentialError("set uplink.token_file or uplink.certificate_file: the aggregator must know who speaks")


def explain(code: grpc.StatusCode, details: str, address: str) -> str:
    """A failed stream in words an operator can act on."""
    match code:
        case grpc.StatusCode.UNAUTHENTICATED:
            return f"{address}: refused this node's credential: {details}"
        case grpc.StatusCode.PERMISSION_DENIED:
            return f"{address}: refused this node: {details}. Set node to the name the credential was made for."
        case grpc.StatusCode.ABORTED:
            return f"{address}: ended the stream: {details}"
        case grpc.StatusCode.UNAVAILABLE:
            return f"{address}: {_unavailable(details)}"
    return f"{address}: {code.name}: {_short(details)}"


def _unavailable(details: str) -> str:
    known = (
        ("certificate has expired", "its certificate has expired. Restart the aggregator: it renews its certificate."),
        ("certificate is not yet valid", "its certificate is not valid yet. Set the clocks."),
        ("ertificate verify failed", "its certificate is not signed by the authority in uplink.ca_file."),
        ("CERTIFICATE_VERIFY_FAILED", "its certificate is not signed by the authority in uplink.ca_file."),
        ("Hostname Verif", "its certificate is for another name. Set uplink.server_name or ingest.server_names."),
        (
            "CERTIFICATE_REQUIRED",
            "it asks for a client certificate. Set uplink.certificate_file or use its token port.",
        ),
        ("WRONG_VERSION_NUMBER", "does not speak TLS. Is it the aggregator's port for agents?"),
        ("Connection refused", "can not be reached: nothing listens there."),
        ("DNS resolution failed", "its name can not be resolved."),
        ("could not store", details),
    )
    for sign, meaning in known:
        if sign in details:
            return meaning
    return f"can not be reached: {_short(details)}"


def _short(details: str) -> str:
    return details if len(details) <= 300 else details[:299] + "…"


def _read(key: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CredentialError(f"{key}: {path}: can not be read: {error.strerror}") from error
