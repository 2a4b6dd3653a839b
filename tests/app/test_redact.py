"""Secrets are taken out of any text, and what was JSON stays JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.redact import is_secret_name, redact

SECRETS = st.text("abcXYZ012-_", min_size=8, max_size=40)
TEXT = st.text("ab c:=,;'\"{}\n", max_size=20)


@pytest.mark.parametrize(
    "around",
    [
        "key alk_{} used",
        "spk1.system.abc.{}",
        "Authorization: Bearer {}",
        "authorization: basic {}",
        "http://ada:{}@proxy:3128/",
        "http://ada:p@{}@proxy:3128/",
        "password={}",
        "SPOKE_HUB__API_KEY: {}",
        '{{"client_secret": "{}"}}',
        "X_TOKEN='{}'",
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
        '{{"pem": "-----BEGIN EC PRIVATE KEY-----\\n{}"}}',
    ],
)
@given(SECRETS.map(lambda secret: secret.lower().replace("-", "x").replace("_", "y")))
def test_what_looks_like_a_secret_goes(around: str, secret: str) -> None:
    assert secret not in redact(around.format(secret))


@given(TEXT, st.lists(SECRETS, max_size=3), TEXT)
def test_what_is_known_to_be_secret_goes(before: str, known: list[str], after: str) -> None:
    known = sorted(known, key=len, reverse=True)
    text = redact(before + after.join(known), known)
    assert all(secret not in text for secret in known)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=12),
        lambda inner: (
            st.dictionaries(st.sampled_from(["token", "a", "api_key", "my password"]), inner) | st.lists(inner)
        ),
    )
)
def test_json_stays_json(value: object) -> None:
    for indent in (None, 1):
        json.loads(redact(json.dumps(value, indent=indent, ensure_ascii=False)))


def test_what_is_no_secret_stays() -> None:
    for text in (
        "spoke_queue_jobs 3",
        "https://hub.example/x",
        "a key is missing",
        "offset=7",
        "tokens: 3",
        '"token": null',
    ):
        assert redact(text) == text


def test_names() -> None:
    assert all(map(is_secret_name, ("SPOKE_HUB__API_KEY", "GITHUB_TOKEN", "PGPASSWORD", "aws_secret_access_key")))
    assert not any(map(is_secret_name, ("LANG", "SPOKE_HUB__URL", "TERM")))
