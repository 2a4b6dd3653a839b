"""Which addresses of a hub are accepted."""

from __future__ import annotations

import pytest

from sync.link.errors import PlainTextError
from sync.spoke.address import BadAddressError, check_url


@pytest.mark.parametrize("url", ["wss://hub.example", "wss://hub.example:7710/x", "ws://127.0.0.1:1", "ws://localhost"])
def test_tls_and_this_machine_are_accepted(url: str) -> None:
    check_url(url, allow_plain=False)


@pytest.mark.parametrize("url", ["ws://hub.example", "ws://10.0.0.1:7710", "ws://127.0.0.1.evil.example"])
def test_plain_text_to_elsewhere_needs_a_word(url: str) -> None:
    with pytest.raises(PlainTextError):
        check_url(url, allow_plain=False)
    check_url(url, allow_plain=True)


@pytest.mark.parametrize("url", ["", "hub.example", "http://hub.example", "file:///etc/passwd"])
def test_anything_else_is_no_address(url: str) -> None:
    with pytest.raises(BadAddressError):
        check_url(url, allow_plain=True)
