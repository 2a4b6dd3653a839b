"""Who may open a session as which node: key, standing, ratchet; decided and stored in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from storage.engine import Transaction
from storage.identity import devices
from storage.identity.accounts import find_account
from storage.identity.audit import audit
from storage.identity.devices import Device, Standing, find_device
from storage.identity.errors import IdentityError
from sync.hub.ratchets import load_ratchet, save_ratchet
from sync.link import ratchet
from sync.link.device import verify_hello, verify_rotation
from sync.link.errors import IdentityConflictError, KeyExpiredError, LinkError, RevokedError, UnauthorizedError
from sync.link.frames import Rotation
from sync.link.ratchet import Verdict


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a HELLO says of who the node is; `nonce` and `hub_id` are those of the CHALLENGE that it answers."""

    node_id: str
    hub_id: str
    nonce: bytes
    ratchet: bytes
    epoch: int
    boot_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The session may not go on. It is a value, since what led to it is stored; send `error`, close the connection."""

    error: LinkError
    both: bool = False
    """The live session of the node gets the same error."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The session may go on: send WELCOME with the epoch of the verdict's state and the fresh ratchet.

    A live session of the node is closed with SUPERSEDED. `renew_only`: the key is past its date; a rotation is taken,
    and nothing else.
    """

    device: Device
    verdict: Verdict
    standing: Standing


def admit_device(tx: Transaction, greeting: Greeting, now_ms: int, *, live: bool, fresh: bytes) -> Admission | Refusal:
    """Judge the HELLO of a node that shows no API key.

    Args:
        tx: on `system.db`; WELCOME is sent after it is on disk.
        greeting: what HELLO says.
        now_ms: unix milliseconds.
        live: whether a session of this node is open.
        fresh: 32 random bytes.

    Raises:
        MalformedError: the epoch cannot be.
    """
    device = find_device(tx, greeting.node_id)
    shown = _signer(device, greeting)
    if device is None or shown is None or find_account(tx, device.account_id).status != "active":
        return Refusal(UnauthorizedError("this key opens nothing here"))
    stands = devices.standing(device, now_ms // 1000, shown)
    if stands == "revoked":
        return Refusal(RevokedError(f"node {device.id} was revoked"))
    if stands == "expired":
        return Refusal(KeyExpiredError(f"the key of node {device.id} is past its date"))
    verdict = judge_session(
        tx, device.id, greeting.ratchet, greeting.epoch, now_ms, live=live, fresh=fresh, actor_id=device.account_id
    )
    if not verdict.accepted:
        return Refusal(IdentityConflictError(f"another copy of node {device.id} is alive"), verdict.both)
    return Admission(devices.note_session(tx, device, shown, now_ms // 1000), verdict, stands)


def judge_session(
    tx: Transaction,
    node_id: str,
    shown: bytes,
    epoch: int,
    now_ms: int,
    *,
    live: bool,
    fresh: bytes,
    actor_id: str,
) -> Verdict:
    """Judge the ratchet of a node whose key is good, an API key's too; stores the state, audits what is odd."""
    verdict = ratchet.judge(load_ratchet(tx, node_id), shown, epoch, now_ms, live=live, fresh=fresh)
    save_ratchet(tx, node_id, verdict.state)
    if verdict.kind in _ODD:
        audit(
            tx,
            _ODD[verdict.kind],
            actor_id,
            credential_id=node_id,
            credential_type=devices.CREDENTIAL,
            details={"epoch": verdict.state.epoch, "shownEpoch": epoch, "live": live},
        )
    return verdict


_ODD = {"restored": "device.restored", "conflict": "device.copied", "hub_restored": "hub.restored"}


def confirm_session(tx: Transaction, node_id: str, epoch: int, now_ms: int) -> None:
    """READY came.

    Raises:
        SupersededError: a newer session is here.
    """
    _change(tx, node_id, lambda state: ratchet.confirm(state, epoch, now_ms))


def note_alive(tx: Transaction, node_id: str, epoch: int, now_ms: int) -> None:
    """A session is alive, or was until now; say so every minute and at its end. An older one changes nothing."""
    _change(tx, node_id, lambda state: ratchet.seen(state, now_ms) if state.epoch == epoch else state)


def rotate(tx: Transaction, hub_id: str, node_id: str, rotation: Rotation, now: int) -> None:
    """Take the new key of a node beside its old one; it counts from the first session that shows it.

    Raises:
        UnauthorizedError: a signature is missing, or the node may not have it.
    """
    device = find_device(tx, node_id)
    if device is None or not verify_rotation(device.public_key, rotation, hub_id, node_id):
        raise UnauthorizedError("a new key is signed by the old one and by itself")
    try:
        devices.note_successor(tx, node_id, device.public_key, rotation.public, now)
    except IdentityError as error:
        raise UnauthorizedError(str(error)) from error


def _signer(device: Device | None, greeting: Greeting) -> bytes | None:
    """The key of the device that signed HELLO."""
    if device is None:
        return None
    shown = ratchet.hash_of(greeting.ratchet)
    for public in (device.public_key, device.next_public_key):
        if public is not None and verify_hello(
            public,
            greeting.signature,
            greeting.nonce,
            greeting.hub_id,
            greeting.node_id,
            shown,
            greeting.boot_id,
        ):
            return public
    return None


def _change(tx: Transaction, node_id: str, change: Callable[[ratchet.RatchetState], ratchet.RatchetState]) -> None:
    state = load_ratchet(tx, node_id)
    if state is None:
        raise LookupError(f"node {node_id} has no session")
    save_ratchet(tx, node_id, change(state))
