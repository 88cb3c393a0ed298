"""The authority's files and certificates."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from agent.certificate import expires_at
from aggregator.authority import Authority, AuthorityError

NAMES = ("localhost", "127.0.0.1", "watchkeeper.example")


def loaded(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def test_the_authority_is_made_once(tmp_path: Path) -> None:
    """The second start finds what the first made; keys are readable by the owner only."""
    first = Authority(tmp_path / "state")
    first.server_certificate(NAMES)
    assert Authority(tmp_path / "state").ca_pem == first.ca_pem == (tmp_path / "state" / "ca.pem").read_bytes()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert modes == {"ca.pem": 0o644, "ca-key.pem": 0o600, "server.pem": 0o644, "server-key.pem": 0o600}


def test_the_authority_is_for_ten_years_and_signs_no_other_authority(tmp_path: Path) -> None:
    """P-256, critical basic constraints with path length 0."""
    certificate = loaded(Authority(tmp_path).ca_pem)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    days = (certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)).days
    assert (constraints.critical, constraints.value) == (True, x509.BasicConstraints(ca=True, path_length=0))
    assert 3648 <= days <= 3650
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_the_server_certificate_names_hosts_and_addresses(tmp_path: Path) -> None:
    """Names become DNS entries, addresses IP entries, and it is kept while they stay the same."""
    authority = Authority(tmp_path)
    pem, key = authority.server_certificate(NAMES)
    alternatives = loaded(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternatives.get_values_for_type(x509.DNSName) == ["localhost", "watchkeeper.example"]
    assert [str(each) for each in alternatives.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert authority.server_certificate(NAMES) == (pem, key)


@pytest.mark.parametrize("change", ["names", "near its end", "another authority", "broken file"])
def test_the_server_certificate_is_renewed(tmp_path: Path, change: str) -> None:
    """Other names, less than a month left, another authority or a broken file: a new one that is right."""
    first = Authority(tmp_path, server_days=29 if change == "near its end" else 365)
    old, _ = first.server_certificate(("old.example",) if change == "names" else NAMES)
    authority = Authority(tmp_path)
    if change == "another authority":
        (tmp_path / "ca-key.pem").unlink()
        authority = Authority(tmp_path)
    if change == "broken file":
        (tmp_path / "server-key.pem").write_text("junk")
    new, _ = authority.server_certificate(NAMES)
    assert new != old
    loaded(new).verify_directly_issued_by(loaded(authority.ca_pem))
    assert (loaded(new).not_valid_after_utc - datetime.datetime.now(datetime.UTC)).days >= 364


def test_a_client_certificate_names_its_node_and_ends_in_time(tmp_path: Path) -> None:
    """It is good for clients only; the agent's own reader agrees on when it ends."""
    authority = Authority(tmp_path)
    pem, _ = authority.issue_client("n1", 7)
    certificate = loaded(pem)
    uris = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert uris.get_values_for_type(x509.UniformResourceIdentifier) == ["watchkeeper://node/n1"]
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    (tmp_path / "tls.crt").write_bytes(pem)
    assert expires_at(tmp_path / "tls.crt") == certificate.not_valid_after_utc.timestamp()


def test_a_key_of_another_authority_is_an_error(tmp_path: Path) -> None:
    """The message names both files and the remedy."""
    Authority(tmp_path / "one")
    Authority(tmp_path / "two")
    (tmp_path / "one" / "ca-key.pem").write_bytes((tmp_path / "two" / "ca-key.pem").read_bytes())
    with pytest.raises(AuthorityError) as caught:
        Authority(tmp_path / "one")
    one = tmp_path / "one"
    assert str(caught.value) == f"{one}/ca-key.pem: does not belong to {one}/ca.pem. Restore both from a backup."


def test_an_unwritable_directory_is_an_error(tmp_path: Path) -> None:
    """The message names the directory and the remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(AuthorityError, match=r"Not a directory\. Make state_directory writable for the aggregator\."):
        Authority(tmp_path / "file" / "state")
