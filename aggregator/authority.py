"""The aggregator's own certificate authority: one for the fleet, made at the first start."""

from __future__ import annotations

import datetime
import fcntl
import ipaddress
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NODE_URI = "watchkeeper://node/"  # a client certificate speaks for the node named after it

CA_DAYS = 3650
SERVER_DAYS = 365
RENEW_DAYS = 30

_SKEW = datetime.timedelta(minutes=5)  # clocks of agents may be a little behind


class AuthorityError(Exception):
    """Keys or certificates can not be read or written; the message names the file and the remedy."""


class Authority:
    """Keeps ``ca.pem``, ``server.pem`` and their keys (readable by the owner only) in ``directory``.

    ``server_days``: how long a server certificate is valid from its making.
    """

    def __init__(self, directory: Path, server_days: float = SERVER_DAYS) -> None:
        self._directory = directory
        self._server_days = server_days
        self.ca_path = directory / "ca.pem"
        self.server_certificate_path = directory / "server.pem"
        self.server_key_path = directory / "server-key.pem"
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked():
                self._load()
        except OSError as error:
            raise AuthorityError(
                f"{error.filename or directory}: {error.strerror}. Make state_directory writable for the aggregator."
            ) from error

    @property
    def ca_pem(self) -> bytes:
        """What agents and browsers must trust."""
        return _pem(self._certificate)

    def server_certificate(self, names: Sequence[str]) -> tuple[bytes, bytes]:
        """Certificate and key for a server with these names and addresses, made anew when they changed, when
        less than a month is left, or when the authority is another one."""
        with self._locked():
            if not self._is_current(names):
                key = ec.generate_private_key(ec.SECP256R1())
                alternatives = [_general_name(name) for name in names]
                usage = ExtendedKeyUsageOID.SERVER_AUTH
                certificate = self._sign(key.public_key(), names[0], alternatives, usage, self._server_days)
                _write(self.server_key_path, _key_pem(key), 0o600)
                _write(self.server_certificate_path, _pem(certificate), 0o644)
            return self.server_certificate_path.read_bytes(), self.server_key_path.read_bytes()

    def issue_client(self, node: str, days: float) -> tuple[bytes, bytes]:
        """Certificate and key with which ``node`` proves who it is for so many days from now on."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.UniformResourceIdentifier(NODE_URI + node)
        certificate = self._sign(key.public_key(), node, [name], ExtendedKeyUsageOID.CLIENT_AUTH, days)
        return _pem(certificate), _key_pem(key)

    def _load(self) -> None:
        key_path = self._directory / "ca-key.pem"
        if not key_path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            _write(self.ca_path, _pem(_self_signed(key)), 0o644)
            _write(key_path, _key_pem(key), 0o600)  # last: with it the authority exists
        try:
            loaded = serialization.load_pem_private_key(key_path.read_bytes(), None)
            self._certificate = x509.load_pem_x509_certificate(self.ca_path.read_bytes())
        except ValueError as error:
            raise AuthorityError(f"{key_path} or {self.ca_path}: is not PEM. Restore both from a backup.") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.public_key() != self._certificate.public_key():
            raise AuthorityError(f"{key_path}: does not belong to {self.ca_path}. Restore both from a backup.")
        self._key = loaded

    def _is_current(self, names: Sequence[str]) -> bool:
        if not self.server_certificate_path.exists() or not self.server_key_path.exists():
            return False
        try:
            certificate = x509.load_pem_x509_certificate(self.server_certificate_path.read_bytes())
            key = serialization.load_pem_private_key(self.server_key_path.read_bytes(), None)
            alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            certificate.verify_directly_issued_by(self._certificate)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it is replaced
            return False
        left = certificate.not_valid_after_utc - _now()
        return (
            list(alternatives) == [_general_name(name) for name in names]
            and left > datetime.timedelta(days=RENEW_DAYS)
            and key.public_key() == certificate.public_key()
        )

    def _sign(
        self,
        public_key: ec.EllipticCurvePublicKey,
        name: str,
        alternatives: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        days: float,
    ) -> x509.Certificate:
        until = min(_now() + datetime.timedelta(days=days), self._certificate.not_valid_after_utc)
        # One that has expired already, for negative days, must still have begun before it ended.
        since = min(_now(), until) - _SKEW
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The aggregator and a command that issues certificates may start at the same moment."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Watchkeeper authority")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - _SKEW)
        .not_valid_after(_now() + datetime.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(digital_signature=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _key_usage(*, digital_signature: bool) -> x509.KeyUsage:
    signs = not digital_signature
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, with its mode from the first byte on."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    fresh.rename(path)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
