"""The ratchet: a model of the copies of a node, a sole owner always gets in, two copies are always found."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sync.link import ratchet
from sync.link.errors import MalformedError, SupersededError
from sync.link.ratchet import RatchetState, Verdict, begin, confirm, hash_of, judge, offer, seen

MINUTE = 60_000
NOW = 1_800_000_000_000


def value(number: int) -> bytes:
    return number.to_bytes(32)


def hello(
    state: RatchetState | None, shown: int, epoch: int, at: int, *, live: bool = False, fresh: int = 0
) -> Verdict:
    return judge(state, value(shown), epoch, at, live=live, fresh=value(fresh))


def session(state: RatchetState, shown: int, fresh: int, at: int) -> RatchetState:
    """A whole one."""
    verdict = hello(state, shown, state.epoch, at, fresh=fresh)
    assert verdict.kind == "continued"
    return confirm(verdict.state, verdict.state.epoch, at)


def test_what_a_node_shows_is_what_it_got() -> None:
    state = begin(value(1))
    assert (state.epoch, state.current) == (0, hash_of(value(1)))
    state = session(state, 1, 2, NOW)
    state = session(state, 2, 3, NOW)
    assert (state.epoch, state.current, state.next) == (2, hash_of(value(3)), None)
    assert state.older == (hash_of(value(2)), hash_of(value(1)))


def test_before_ready_both_values_open_a_session() -> None:
    state = hello(begin(value(1)), 1, 0, NOW, fresh=2).state
    for shown in (1, 2):
        assert hello(state, shown, 0, NOW, fresh=3).kind == "continued"
    # What was offered and not taken is shown by nobody who is alone.
    state = hello(state, 1, 0, NOW, fresh=3).state
    assert hello(state, 2, 1, NOW, fresh=4).kind == "conflict"


@pytest.mark.parametrize(
    ("live", "after", "kind"),
    [
        (True, 60 * MINUTE, "conflict"),
        (False, 0, "conflict"),
        (False, 10 * MINUTE - 1, "conflict"),
        (False, 10 * MINUTE, "restored"),
        (False, -MINUTE, "conflict"),
        (False, -10 * MINUTE, "restored"),
    ],
)
def test_an_older_value_is_a_copy_or_a_restored_one(live: bool, after: int, kind: str) -> None:
    state = session(session(begin(value(1)), 1, 2, NOW), 2, 3, NOW)
    verdict = hello(state, 1, 0, NOW + after, live=live, fresh=9)
    assert (verdict.kind, verdict.both) == (kind, False)
    if kind == "conflict":
        assert verdict.state == state  # a refused attempt is no sign of life
    else:
        assert verdict.state.epoch == 3
        assert hash_of(value(3)) in verdict.state.older
        assert hello(verdict.state, 3, 2, NOW + after + 1, live=True).kind == "conflict"


def test_a_restored_hub_takes_what_is_ahead_of_it() -> None:
    state = session(begin(value(1)), 1, 2, NOW)
    assert hello(state, 77, 9, NOW, fresh=3).state.epoch == 10
    assert hello(state, 77, 9, NOW).kind == "hub_restored"
    assert hello(state, 77, 1, NOW).kind == "conflict"  # not ahead: older than what we remember
    assert hello(None, 77, 9, NOW).kind == "hub_restored"
    assert hello(None, 0, 0, NOW).kind == "first"


def test_copies_that_chase_each_other_before_ready_are_found() -> None:
    state = begin(value(1))
    state = hello(state, 1, 0, NOW, fresh=2).state
    for number in range(3):
        verdict = hello(state, 1, 0, NOW + number, live=True, fresh=3 + number)
        assert verdict.accepted
        state = verdict.state
    verdict = hello(state, 1, 0, NOW + 4, live=True, fresh=9)
    assert (verdict.kind, verdict.both, verdict.state.epoch) == ("conflict", True, 4)
    assert hello(verdict.state, 1, 0, NOW + 5 * MINUTE, live=True, fresh=9).accepted, "a bad link is no copy for ever"


def test_a_node_whose_connections_hang_is_no_copy() -> None:
    """It has stored what it got, so it comes back with it while the hub still thinks that the old session is alive."""
    state = begin(value(1))
    for number in range(1, 20):
        verdict = hello(state, number, state.epoch, NOW + number, live=number > 1, fresh=number + 1)
        assert verdict.kind == "continued"
        state = confirm(verdict.state, verdict.state.epoch, NOW) if number % 2 else verdict.state


def test_an_older_session_is_fenced() -> None:
    first = hello(begin(value(1)), 1, 0, NOW, fresh=2).state
    second = hello(first, 2, 1, NOW, live=True, fresh=3).state
    with pytest.raises(SupersededError):
        confirm(second, first.epoch, NOW)
    again = confirm(confirm(second, second.epoch, NOW), second.epoch, NOW + 1)
    assert again.older == (hash_of(value(2)), hash_of(value(1)))
    assert seen(again, NOW - 5).last_seen_ms == NOW + 1


def test_who_enrols_again_may_show_both() -> None:
    state = offer(session(begin(value(1)), 1, 2, NOW), value(50))
    assert [hello(state, shown, 0, NOW).kind for shown in (2, 50, 1)] == ["continued", "continued", "conflict"]


@pytest.mark.parametrize("epoch", [-1, 2**62, 2**80])
def test_an_epoch_without_a_successor_is_refused(epoch: int) -> None:
    with pytest.raises(MalformedError):
        hello(begin(value(1)), 1, epoch, NOW)


@dataclass
class Copy:
    """A copy of a node: what is on its disk, and a session that may be under way."""

    shown: int
    epoch: int
    session: tuple[int, int] | None = None
    """(epoch, ratchet) of an accepted HELLO."""
    persisted: bool = False
    backups: list[tuple[int, int]] = field(default_factory=list)
    since: int | None = None
    """The length of the log of READYs when the hub last knew this copy's ratchet as its own."""
    restored: bool = False


class Copies(RuleBasedStateMachine):
    """Copies of one node and a hub; crashes between all steps, restored nodes, restored hubs, clones."""

    which = st.integers(0, 3)

    def __init__(self) -> None:
        super().__init__()
        self.patch = patch.object(ratchet, "KNOWN", 3)
        self.patch.start()
        self.now = NOW
        self.last = 0
        self.state: RatchetState | None = None
        self.backups: list[RatchetState | None] = [None]
        self.ancestors = [0]
        """The backups that the hub's present state comes from."""
        self.other_timeline = False
        self.hub_was_restored = False
        self.live: int | None = None
        self.copies: list[Copy] = []
        self.readies: list[int] = []

    def teardown(self) -> None:
        self.patch.stop()

    @initialize(enrolled=st.booleans())
    def begin(self, enrolled: bool) -> None:
        self.last += 1
        self.copies.append(Copy(self.last, 0))
        if enrolled:
            self.state = begin(value(self.last))
            self.backups = [self.state]

    def copy(self, which: int) -> tuple[int, Copy]:
        index = which % len(self.copies)
        return index, self.copies[index]

    @rule(which=which)
    def hello(self, which: int) -> None:
        index, copy = self.copy(which)
        before = self.state
        self.last += 1
        live = self.live is not None
        verdict = judge(before, value(copy.shown), copy.epoch, self.now, live=live, fresh=value(self.last))
        self.state = verdict.state
        quiet = before is None or abs(self.now - before.last_seen_ms) >= ratchet.SILENT_MS
        if not live and quiet:
            assert verdict.accepted, "nobody is locked out when all others are silent"
        if len(self.copies) == 1 and not copy.restored and not verdict.both and not self.other_timeline:
            assert verdict.kind in ("first", "continued", "hub_restored"), "a sole owner goes on at once"
        if not self.hub_was_restored:
            assert verdict.kind != "hub_restored"
        if copy.since is not None and any(other != index for other in self.readies[copy.since :]):
            assert verdict.kind in ("conflict", "restored"), "the other copy was here in between"
        copy.session, copy.persisted = None, False
        if verdict.both:
            self.live = None
        if verdict.kind == "restored":  # found; what it shows counts again, for its twins as well
            for twin in self.copies:
                twin.since = None if twin.shown == copy.shown else twin.since
        if verdict.accepted:
            assert verdict.state.epoch > (before.epoch if before else 0)
            assert verdict.state.epoch > copy.epoch
            copy.session = (verdict.state.epoch, self.last)
            copy.since = len(self.readies)
            self.live = verdict.state.epoch
        elif before is not None:
            assert verdict.state.last_seen_ms == before.last_seen_ms

    @rule(which=which)
    def persist(self, which: int) -> None:
        _, copy = self.copy(which)
        if copy.session is not None and not copy.persisted:
            copy.backups.append((copy.shown, copy.epoch))
            copy.epoch, copy.shown = copy.session
            copy.persisted, copy.restored = True, False

    @rule(which=which)
    def ready(self, which: int) -> None:
        index, copy = self.copy(which)
        if copy.session is None or not copy.persisted:
            return
        epoch, _ = copy.session
        assert self.state is not None
        if epoch != self.state.epoch:
            with pytest.raises(SupersededError):
                confirm(self.state, epoch, self.now)
            copy.session = None
            return
        self.state = confirm(self.state, epoch, self.now)
        assert self.state.current == hash_of(value(copy.shown))
        self.readies.append(index)
        copy.since = len(self.readies)

    @rule(which=which)
    def crash(self, which: int) -> None:
        """The hub does not notice."""
        self.copy(which)[1].session = None

    @rule()
    def hub_notices(self) -> None:
        if self.live is not None and all(c.session is None or c.session[0] != self.live for c in self.copies):
            assert self.state is not None
            self.live, self.state = None, seen(self.state, self.now)

    @rule(minutes=st.sampled_from([0, 1, 4, 9, 11]))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @rule(which=which, back=st.integers(0, 5))
    def restore(self, which: int, back: int) -> None:
        _, copy = self.copy(which)
        if copy.backups:
            copy.shown, copy.epoch = copy.backups[-1 - back % len(copy.backups)]
            copy.session, copy.since, copy.restored = None, None, True

    @precondition(lambda self: len(self.copies) < 3)
    @rule(which=which)
    def clone(self, which: int) -> None:
        _, copy = self.copy(which)
        pending = copy.session is not None and copy.persisted
        since = None if copy.since is None or pending else len(self.readies)
        self.copies.append(replace(copy, session=None, persisted=False, backups=[], since=since))

    @rule()
    def back_up_hub(self) -> None:
        self.ancestors.append(len(self.backups))
        self.backups.append(self.state)

    @rule(back=st.integers(0, 5))
    def restore_hub(self, back: int) -> None:
        index = len(self.backups) - 1 - back % len(self.backups)
        # Restored to an old backup and then to a newer one: epochs were given twice, and 10 minutes may pass.
        self.other_timeline |= index not in self.ancestors
        self.ancestors = [known for known in self.ancestors if known <= index]
        self.state = self.backups[index]
        self.live, self.readies, self.hub_was_restored = None, [], True
        for copy in self.copies:
            copy.session, copy.since = None, None

    @rule(which=which)
    def come_back_after_silence(self, which: int) -> None:
        """All connections are gone, and nobody was here for a while: whoever comes is taken."""
        for copy in self.copies:
            copy.session = None
        self.hub_notices()
        self.now += 11 * MINUTE
        self.hello(which)
        assert self.copy(which)[1].session is not None

    @invariant()
    def memory_is_bounded(self) -> None:
        if self.state is not None:
            assert len(self.state.older) <= 3
            assert len(self.state.races_ms) <= ratchet.RACES
            assert self.state.current not in self.state.older


TestCopies = Copies.TestCase
TestCopies.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
