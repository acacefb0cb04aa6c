# SPDX-License-Identifier: MIT
"""The ring against a list of everything that ever reached the stream.

What counts: whenever the ring says that it can serve a cursor, it hands out exactly what the cursor's owner has
missed; and it says so whenever it has that."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from library import AFTER_HOLE, DUPLICATE, MARGIN_S, NEW, Ring, cursor

USERS = st.integers(1, 4)
START = 1_000_000


class RingMachine(RuleBasedStateMachine):
    ring = None

    @initialize(max_bytes=st.integers(1_000, 6_000), max_age_s=st.integers(20, 200), earlier=st.lists(USERS, max_size=6))
    def begin(self, max_bytes, max_age_s, earlier):
        self.max_bytes, self.max_age_s, self.now = max_bytes, max_age_s, START
        self.reached = {user: [] for user in range(1, 5)}  # [(seq, when)] in the stream, first appearances
        self.last = {user: 0 for user in range(1, 5)}  # given out by the database, in the stream or lost
        self.added = []  # [(user, seq, when)] that the ring took, in order; it holds the newest of these
        for user in earlier:  # what came before the ring began
            self.last[user] += 1
            self.reached[user].append((self.last[user], START - 1))
        self.ring = Ring(max_bytes, max_age_s, START)

    def teardown(self):
        if self.ring:
            self.ring.clear()
            assert (self.ring.count, self.ring.bytes, self.ring.users) == (0, 0, 0)
            self.ring.free()

    def held(self, user=None):
        held = self.added[len(self.added) - self.ring.count :]
        return held if user is None else [seq for owner, seq, _ in held if owner == user]

    def add(self, user, seq):
        return self.ring.add(user, seq, self.now, f"event {user}:{seq}")

    # -- what happens

    @rule(seconds=st.one_of(st.integers(1, 8), st.integers(1, 100)))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(user=USERS, count=st.integers(1, 5))
    def events(self, user, count):
        for _ in range(count):
            self.last[user] += 1
            seq, held = self.last[user], self.held(user)
            hole = bool(held) and held[-1] != seq - 1
            assert self.add(user, seq) == (AFTER_HOLE if hole else NEW)
            self.added.append((user, seq, self.now))
            self.reached[user].append((seq, self.now))

    @rule(user=USERS, back=st.integers(1, 12), count=st.one_of(st.just(12), st.integers(1, 12)))
    def published_again(self, user, back, count):
        """A heal, or a publisher that does not know of the other: from some event on, perhaps not to the
        newest: it was slow, but not as slow as the ring is long."""
        if not self.held(user):
            count = back
        for seq, _ in self.reached[user][-back:][:count]:
            held = self.held(user)
            if held and seq <= held[-1]:
                assert self.add(user, seq) == DUPLICATE
            else:  # the ring has forgotten it, or never had it
                assert self.add(user, seq) in (NEW, AFTER_HOLE)
                self.added.append((user, seq, self.now))

    @rule(user=USERS, count=st.integers(1, 2))
    def stream_loses(self, user, count):
        self.last[user] += count

    @rule()
    def ages(self):
        self.ring.age(self.now)
        assert all(when >= self.now - self.max_age_s for _, _, when in self.held())

    @precondition(lambda self: self.ring.count)
    @rule()
    def memory_is_short(self):
        self.ring.drop_oldest()

    @rule(back=st.integers(0, 30))
    def read_anew(self, back):
        """Another connection: what came before some moment may be missing from now on."""
        before = self.ring.begin_s
        self.ring.begin(self.now - back)
        assert self.ring.begin_s == max(before, self.now - back)

    # -- coming back

    def find(self, user, seq, time_s):
        return self.ring.find(user, cursor("e", seq, time_s), self.now)

    def check(self, user, seq, time_s, known_until):
        """known_until: everything that reached the stream before it is known to the cursor's owner."""
        missed = [f"event {user}:{n}" for n, when in self.reached[user] if n > seq and when >= known_until]
        found = self.find(user, seq, time_s)
        if found is not None:
            texts, last_seq = found
            if seq or not known_until:
                assert texts == missed
            else:  # without a number, events that were published again may be heard again
                assert texts[len(texts) - len(missed) :] == missed
            numbers = [int(text.rpartition(":")[2]) for text in texts]
            assert all(b == a + 1 for a, b in zip(numbers, numbers[1:])), "a hole behind `recovered`"
            assert last_seq == (int(texts[-1].rpartition(":")[2]) if texts else seq)
            if texts and seq:
                assert texts[0] == f"event {user}:{seq + 1}", "a hole behind `recovered`"
        held = self.held(user)
        whole = held[:]
        while any(b != a + 1 for a, b in zip(whole, whole[1:])):
            whole.pop(0)
        if whole and seq >= whole[0] - 1:
            assert found is not None, f"the ring has {whole} and should serve {seq}"
        if not held and time_s >= self.ring.begin_s + MARGIN_S:
            assert found is not None, "nothing happened since the ring began"

    @rule(user=USERS, back=st.integers(0, 15))
    def returns_with_short_cursor(self, user, back):
        """The cursor has no time: only its number counts."""
        self.check(user, max(self.last[user] - back, 0), 0, 0)

    @rule(user=USERS, ago=st.integers(0, 120), skew=st.integers(-MARGIN_S, MARGIN_S), knows=st.booleans())
    def returns_with_long_cursor(self, user, ago, skew, knows):
        """The client had everything that was in the stream some time ago, by a clock that may be a little wrong. A
        notifier that has seen no event of the user gives 0 as the number."""
        then = self.now - ago
        had = [n for n, when in self.reached[user] if when < then]
        self.check(user, had[-1] if had and knows else 0, then + skew, then)

    @rule(user=USERS, ahead=st.integers(1, 3))
    def returns_from_the_database(self, user, ahead):
        """Read over HTTP: ahead of what has reached the stream."""
        self.check(user, self.last[user] + ahead, self.now, self.now)

    @rule(user=USERS, seq=st.integers(0, 20), time_s=st.integers(START - 100, START + 500))
    def returns_with_nonsense(self, user, seq, time_s):
        """A made-up cursor: whatever the client gets is in order and without a hole."""
        found = self.find(user, seq, time_s)
        if found:
            numbers = [int(text.rpartition(":")[2]) for text in found[0]]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True

    @precondition(lambda self: self.ring)
    @invariant()
    def bounds(self):
        ring, held = self.ring, self.held()
        assert ring.bytes <= self.max_bytes
        assert (ring.bytes > 0) == bool(held)
        assert ring.users == len({user for user, _, _ in held})
        gone = self.added[: len(self.added) - ring.count]
        assert all(when < ring.begin_s for _, _, when in gone)
        for user in self.reached:
            mine = self.held(user)
            assert ring.last_seq(user) == (mine[-1] if mine else 0)


TestRing = RingMachine.TestCase
