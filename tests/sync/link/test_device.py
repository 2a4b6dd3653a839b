"""Device keys: files, signatures, domains, rotation."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from sync.link.device import (
    HELLO,
    ROTATION,
    DeviceKey,
    load_device_key,
    open_device_key,
    request_rotation,
    sign_hello,
    sign_renewal,
    verifies,
    verify_hello,
    verify_renewal,
    verify_rotation,
)
from sync.link.errors import DeviceKeyError
from sync.link.frames import Rotation

KEY, OTHER = DeviceKey.generate(), DeviceKey.generate()
SAID = (b"nonce", "hub", "node", b"hash", b"boot")


def test_a_key_is_kept_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    made = open_device_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_device_key(path) == load_device_key(path) == made
    assert sign_hello(load_device_key(path), *SAID) == sign_hello(made, *SAID)
    assert "PRIVATE" not in repr(made)
    with pytest.raises(FileExistsError):
        KEY.save(path, replace=False)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 70_000, b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "device.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(DeviceKeyError, match="no key"):
        open_device_key(path)
    assert path.read_bytes() == content


def test_a_foreign_kind_of_key_an_open_file_and_none(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    with pytest.raises(DeviceKeyError, match="No such file"):
        load_device_key(path)
    foreign = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(foreign.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o644)
    with pytest.raises(DeviceKeyError, match="others may read it"):
        open_device_key(path)
    path.chmod(0o600)
    with pytest.raises(DeviceKeyError, match="Ed25519"):
        load_device_key(path)


@given(at=st.integers(0, 4), change=st.sampled_from([b"x", "x", b"", ""]))
def test_a_signature_is_for_these_values_alone(at: int, change: bytes | str) -> None:
    signature = sign_hello(KEY, *SAID)
    assert verify_hello(KEY.public, signature, *SAID)
    assert not verify_hello(OTHER.public, signature, *SAID)
    changed = list(SAID)
    changed[at] = change
    assert not verify_hello(KEY.public, signature, *changed)  # type: ignore[arg-type]


@given(public=st.binary(max_size=40), signature=st.binary(max_size=80))
def test_what_is_no_key_or_signature_verifies_nothing(public: bytes, signature: bytes) -> None:
    assert not verify_hello(public, signature, *SAID)
    assert not verify_hello(KEY.public, signature, *SAID)


def test_a_signature_of_one_domain_is_none_of_another() -> None:
    assert verify_renewal(KEY.public, sign_renewal(KEY, b"n", "hub", "node"), b"n", "hub", "node")
    assert not verifies(KEY.public, KEY.sign(HELLO, b"n", "hub", "node"), ROTATION, b"n", "hub", "node")
    assert not verify_renewal(KEY.public, KEY.sign(HELLO, b"n", "hub", "node"), b"n", "hub", "node")
    # ["ab", "c"] and ["a", "bc"] are not the same
    assert not verifies(KEY.public, KEY.sign(HELLO, "ab", "c"), HELLO, "a", "bc")


def test_both_keys_must_want_a_rotation() -> None:
    good = request_rotation(KEY, OTHER, "hub", "node")
    assert verify_rotation(KEY.public, good, "hub", "node")
    third = DeviceKey.generate()
    for bad in (
        Rotation(third.public, good.by_old, good.by_new),
        Rotation(good.public, good.by_new, good.by_old),
        request_rotation(third, OTHER, "hub", "node"),
        request_rotation(KEY, OTHER, "hub", "another"),
        request_rotation(KEY, OTHER, "other hub", "node"),
    ):
        assert not verify_rotation(KEY.public, bad, "hub", "node")
