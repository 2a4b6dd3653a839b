"""Join tokens: there and back, damage, proofs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.link.errors import TokenError
from sync.link.token import Token, make, parse, prove, proves

randoms = st.binary(min_size=42, max_size=42)
pins = st.none() | st.binary(min_size=32, max_size=32)


def read(text: str) -> Token | TokenError:
    try:
        return parse(text)
    except TokenError as error:
        return error


@given(pin=pins, random=randoms)
def test_a_token_is_read_as_it_was_written(pin: bytes | None, random: bytes) -> None:
    token = make(pin, random)
    assert parse(f" {token.text}\n") == token
    assert token.text == token.text.lower()
    assert token.text.startswith("spk1.")


@given(random=randoms, at=st.integers(5, 126), letter=st.sampled_from("abcdefghijklmnopqrstuvwxyz234567.-=A1 "))
def test_a_changed_letter_is_another_token_or_none(random: bytes, at: int, letter: str) -> None:
    token = make(bytes(32), random)
    changed = token.text[:at] + letter + token.text[at + 1 :]
    found = read(changed)
    if isinstance(found, TokenError):
        assert token.text.split(".")[3] not in str(found)
        assert "spoke hub token create" in found.hint
    else:
        assert (found == token) == (changed.strip() == token.text)


@given(st.text(max_size=300) | st.from_regex(r"spk1(\.[a-z2-7]{0,60}){0,5}", fullmatch=True))
def test_what_is_no_token_is_refused(text: str) -> None:
    found = read(text)
    assert isinstance(found, TokenError) or found.text == text.strip()


def test_nothing_shows_the_secret() -> None:
    token = make(None, bytes(10) + b"s" * 32)
    secret = token.text.split(".")[3]
    assert token.text.split(".")[1] == "system"
    assert secret not in repr(token)
    assert "ssss" not in repr(token)
    assert token.proof_key != token.secret
    with pytest.raises(ValueError, match="42 random bytes"):
        make(None, b"short")


@given(one=randoms, other=randoms, said=st.binary(max_size=64), also=st.binary(max_size=64))
def test_a_proof_is_of_one_secret_for_one_statement(one: bytes, other: bytes, said: bytes, also: bytes) -> None:
    mine, yours = make(None, one), make(None, other)
    proof = prove(mine.proof_key, said)
    assert proves(mine.proof_key, said, proof)
    assert proves(mine.proof_key, also, proof) == (said == also)
    assert proves(yours.proof_key, said, proof) == (mine.secret == yours.secret)
    assert not proves(mine.proof_key, said, proof[:-1])


def test_the_secret_decides_over_the_proof_key() -> None:
    assert Token("a", b"1" * 32, None).proof_key != Token("a", b"2" * 32, None).proof_key
