"""Encryption, the key file, and values that somebody else wrote."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.crypto import DecryptionError, decrypt, encrypt, generate_encryption_key
from storage.keyring import Keyring, KeyringError, MissingKeyError, load_keyring, open_keyring, save_keyring


@pytest.mark.parametrize("version", [1, 2, 3, 4])
@settings(max_examples=5)
@given(text=st.text(max_size=200))
def test_what_was_encrypted_comes_back(version: int, text: str) -> None:
    key = generate_encryption_key()
    hidden = encrypt(text, key, version, context="name")
    assert decrypt(hidden, key, context="name") == text
    assert decrypt(json.loads(hidden.model_dump_json()), key, context="name") == text
    assert encrypt(text, key, version).data != hidden.data  # a fresh nonce and salt each time


@pytest.mark.parametrize(("version", "iterations"), [(1, 100_000), (2, 200_000)])
def test_values_of_the_seeds_system_are_read(version: int, iterations: int) -> None:
    """Written here by hand, by the rules in the reference, without our own `encrypt`."""
    salt, iv = os.urandom(16), os.urandom(12)
    key = PBKDF2HMAC(SHA256(), 32, salt, iterations).derive(b"passphrase")
    data = AESGCM(key).encrypt(iv, b"hello", None)
    value = {
        "keyVersion": version,
        **{n: base64.b64encode(v).decode() for n, v in (("salt", salt), ("iv", iv), ("data", data))},
    }
    assert decrypt(value, "passphrase") == "hello"


def damaged(value: dict[str, Any]) -> list[Any]:
    raw = bytearray(base64.b64decode(value["data"]))
    raw[0] ^= 1
    return [
        {**value, "data": base64.b64encode(bytes(raw)).decode()},
        {**value, "data": value["data"][:-8]},
        {**value, "data": ""},
        {**value, "data": "not base64!"},
        {**value, "iv": ""},
        {**value, "iv": value["salt"]},
        {**value, "salt": value["iv"]},
        {**value, "keyVersion": 4},
        {**value, "keyVersion": 2},
        {**value, "keyVersion": 0},
        {**value, "keyVersion": "x"},
        {**value, "extra": 1},
        {},
    ]


def test_every_way_to_fail_is_the_same_error() -> None:
    key = generate_encryption_key()
    value = encrypt("hello", key, context="a").model_dump()
    said = set()
    for bad in damaged(value):
        with pytest.raises(DecryptionError) as caught:
            decrypt(bad, key, context="a")
        said.add((str(caught.value), caught.value.__cause__, caught.value.__suppress_context__))
    for other_key, context in ((generate_encryption_key(), "a"), (key, "b")):
        with pytest.raises(DecryptionError) as caught:
            decrypt(value, other_key, context=context)
        said.add((str(caught.value), caught.value.__cause__, caught.value.__suppress_context__))
    assert len(said) == 1


def test_the_key_file(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    with pytest.raises(KeyringError):
        load_keyring(path)
    made = open_keyring(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_keyring(path) == made
    rotated = made.rotated()
    save_keyring(path, rotated)
    assert load_keyring(path) == rotated
    assert rotated.current == 4
    assert rotated.key(3) == made.key(3)
    assert set(rotated.without(frozenset({3, 4})).keys) == {4}
    with pytest.raises(MissingKeyError):
        made.key(9)
    assert made.key(3) not in repr(made)
    assert [file.name for file in tmp_path.iterdir()] == ["keyring.json"]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"keys": {"3": ""}, "current": 3}', '{"keys": {"3": "k"}, "current": 4}']
)
def test_what_is_no_keyring_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keyring.json"
    path.write_text(text)
    path.chmod(0o600)
    for use in (load_keyring, open_keyring):
        with pytest.raises(KeyringError, match="no keyring"):
            use(path)
    assert path.read_text() == text


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    open_keyring(path)
    path.chmod(0o640)
    with pytest.raises(KeyringError, match="others may read it"):
        open_keyring(path)


def test_a_systemd_credential_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spoke-keyring").write_text('{"keys": {"1": "old"}, "current": 1}')
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load_keyring(tmp_path / "elsewhere") == Keyring({1: "old"}, 1)
