"""The hub's own CA and server certificate, seen from both ends of a TLS connection."""

from __future__ import annotations

import asyncio
import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.private_file import write_private
from sync.hub.certificates import (
    CA_FILE,
    SERVER_FILE,
    Certificates,
    load_certificates,
    make_certificates,
    renew_server,
    renewed_if_due,
    server_context,
)
from sync.link.errors import CertificateError, TrustError
from sync.spoke.trust import client_context, explain, fits_pin

NOW = datetime.now(UTC)


async def dial(own: Certificates, ca_pem: str | None, host: str = "localhost") -> TrustError | None:
    """What is wrong for a client that trusts this CA; None when nothing is."""

    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    context = server_context(own.folder / SERVER_FILE)
    async with await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=client_context(ca_pem), server_hostname=host
            )
        except OSError as error:
            return explain(error, f"wss://{host}:{port}")
        writer.close()
        return None


async def test_who_has_the_ca_and_the_name_gets_in(tmp_path: Path) -> None:
    own = make_certificates(tmp_path / "tls", ["localhost", "127.0.0.1", "::1", "Hub.Example."], NOW)
    assert own.names == ["localhost", "127.0.0.1", "::1", "hub.example"]
    for host in own.names:
        assert await dial(own, own.ca.pem, host) is None
    for host in ("example", "127.0.0.2"):
        assert f"wrong name: the hub's certificate is not for {host}" in str(await dial(own, own.ca.pem, host))
    assert "wrong CA" in str(await dial(own, None))
    assert "wrong CA" in str(await dial(own, make_certificates(tmp_path / "other", ["localhost"], NOW).ca.pem))


async def test_a_clock_that_is_wrong_is_named(tmp_path: Path) -> None:
    future = make_certificates(tmp_path / "future", ["localhost"], NOW + timedelta(days=2))
    assert "not valid yet: is the clock of this machine right?" in str(await dial(future, future.ca.pem))
    past = make_certificates(tmp_path / "past", ["localhost"], NOW - timedelta(days=826))
    assert "expired: is the clock of this machine right?" in str(await dial(past, past.ca.pem))
    barely = make_certificates(tmp_path / "barely", ["localhost"], NOW + timedelta(hours=23))
    assert await dial(barely, barely.ca.pem) is None


async def test_the_server_certificate_is_renewed_when_30_days_are_left(tmp_path: Path) -> None:
    own = make_certificates(tmp_path, ["localhost"], NOW - timedelta(days=825 - 30))
    assert renewed_if_due(own, NOW - timedelta(seconds=1)) is own
    renewed = renewed_if_due(own, NOW + timedelta(seconds=1))
    assert renewed.server.certificate.not_valid_after_utc > NOW + timedelta(days=800)
    assert (renewed.names, renewed.pin, renewed.ca) == (own.names, own.pin, own.ca)
    assert load_certificates(tmp_path) is not None
    assert await dial(renewed, own.ca.pem) is None
    other = renew_server(renewed, NOW, ["hub.example"])
    assert await dial(other, own.ca.pem, "hub.example") is None


def test_files_are_private_and_nothing_is_written_over(tmp_path: Path) -> None:
    assert load_certificates(tmp_path / "tls") is None
    own = make_certificates(tmp_path / "tls", ["localhost"], NOW)
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700
    assert {file.name for file in (tmp_path / "tls").iterdir()} == {CA_FILE, SERVER_FILE, "ca.crt"}
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in (tmp_path / "tls").iterdir())
    assert "PRIVATE" not in (tmp_path / "tls" / "ca.crt").read_text()
    found = load_certificates(tmp_path / "tls")
    assert found is not None
    assert (found.pin, found.names) == (own.pin, own.names)
    assert "PRIVATE" not in repr(found)
    with pytest.raises(CertificateError, match="there is a CA already"):
        make_certificates(tmp_path / "tls", ["localhost"], NOW)
    ca = own.ca.certificate
    assert ca.not_valid_after_utc - NOW > timedelta(days=3_650)


def test_a_crash_before_the_end_is_made_good_by_calling_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    def die(*arguments: object) -> None:
        nonlocal written
        written += 1
        if written == 3:
            raise KeyboardInterrupt
        write_private(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as dying:
        dying.setattr("sync.hub.certificates.write_private", die)
        with pytest.raises(KeyboardInterrupt):
            make_certificates(tmp_path, ["localhost"], NOW)
    assert load_certificates(tmp_path) is None
    own = make_certificates(tmp_path, ["localhost"], NOW)
    found = load_certificates(tmp_path)
    assert found is not None
    assert found.server.certificate == own.server.certificate


@pytest.mark.parametrize("names", [[], [""], ["a b"], ["ä.example"], ["x" * 64], ["a..b"], ["*.example"], ["a/b"]])
def test_what_is_no_name(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(CertificateError):
        make_certificates(tmp_path, names, NOW)
    assert not (tmp_path / CA_FILE).exists()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("made"), ["localhost"], NOW)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_refused(made: Certificates, tmp_path: Path, data: st.DataObject) -> None:
    good = (made.folder / SERVER_FILE).read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    kind = data.draw(st.sampled_from(["cut", "change", "garbage", "other key"]))
    (tmp_path / CA_FILE).write_bytes((made.folder / CA_FILE).read_bytes())
    bad = {
        "cut": good[:at],
        "change": good[:at] + data.draw(st.binary(min_size=1, max_size=3)) + good[at + 1 :],
        "garbage": data.draw(st.binary(max_size=300)),
        "other key": (made.folder / CA_FILE).read_bytes()[:200] + good[200:],
    }[kind]
    (tmp_path / SERVER_FILE).write_bytes(bad)
    for file in tmp_path.iterdir():
        file.chmod(0o600)
    try:
        found = load_certificates(tmp_path)
    except CertificateError as error:
        assert "BEGIN" not in str(error)  # noqa: PT017 - a damaged file may still be whole
        assert error.__cause__ is None  # noqa: PT017
    else:
        assert found is not None
        assert found.server.key.public_key() == found.server.certificate.public_key()
        try:
            assert found.names
        except CertificateError as error:
            assert "names no host" in str(error)  # noqa: PT017
    try:
        server_context(tmp_path / SERVER_FILE)
    except CertificateError as error:
        assert error.hint  # noqa: PT017


def test_an_open_or_missing_file(made: Certificates, tmp_path: Path) -> None:
    (tmp_path / CA_FILE).write_bytes((made.folder / CA_FILE).read_bytes())
    (tmp_path / CA_FILE).chmod(0o640)
    with pytest.raises(CertificateError, match="others may read it"):
        load_certificates(tmp_path)
    (tmp_path / CA_FILE).chmod(0o600)
    with pytest.raises(CertificateError, match="No such file"):
        load_certificates(tmp_path)


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda data: data.decode("latin-1")))
def test_what_is_no_certificate_is_trusted_by_nobody(text: str) -> None:
    with pytest.raises(TrustError):
        client_context(text)
    with pytest.raises(TrustError, match="wrong CA"):
        fits_pin(text, bytes(32))


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_certificate_fits_its_pin_or_is_a_wrong_ca(made: Certificates, data: st.DataObject) -> None:
    good = made.ca.certificate.public_bytes(Encoding.DER)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + data.draw(st.binary(min_size=1, max_size=1)) + good[at + 1 :]
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(bad).decode()}\n-----END CERTIFICATE-----\n"
    for pin in (made.pin, bytes(32)):
        try:
            assert fits_pin(pem, pin)
        except TrustError as error:
            assert "wrong CA" in str(error)  # noqa: PT017


def test_a_pin_finds_its_certificate(made: Certificates, tmp_path: Path) -> None:
    other = make_certificates(tmp_path, ["localhost"], NOW)
    assert fits_pin(other.ca.pem + made.ca.pem, made.pin) == made.ca.pem
    with pytest.raises(TrustError):
        fits_pin(other.ca.pem, made.pin)


def test_what_is_not_about_tls_is_not_explained() -> None:
    assert explain(ConnectionRefusedError(), "wss://x") is None
    wrapped = OSError("outer")
    wrapped.__cause__ = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    assert "does it speak TLS?" in str(explain(wrapped, "wss://hub.example"))
