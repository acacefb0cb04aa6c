# SPDX-License-Identifier: MIT
"""The hub, with real clients, against a dictionary of subscriptions."""

from collections import Counter

from ctypes import byref

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from library import RESET_MAKER, VISITOR, HubEvent, cursor, lib

CLIENTS = st.integers(0, 3)
USERS = st.integers(1, 10)
PER_CLIENT = 8  # as the shim makes it
BEATS = 4
TOO_SLOW = 4408


class Heard:
    """What one subscription should be."""

    def __init__(self):
        self.live = self.waiting = self.with_cursor = False
        self.last = 0


@RESET_MAKER
def make_reset(_context, user, last_seq):
    return lib.shim_frame(f"reset {user}:{last_seq}".encode())


class HubMachine(RuleBasedStateMachine):
    shim = None

    @initialize(max_frames=st.integers(3, 40))
    def begin(self, max_frames):
        lib.shim_set_clock(10_000_000)
        self.max_frames = max_frames
        self.shim = lib.shim_new(1_000_000, 900, 0, max_frames, 1_000_000)
        self.hub = lib.shim_hub(self.shim)
        self.clients = {}  # number -> client
        self.subscriptions = {}  # (number, user) -> its pointer
        self.heard = {}  # (number, user) -> Heard
        self.waiting = []  # keys, first come first
        self.queues = {}  # number -> texts, None once it is being closed
        self.newest = Counter()

    def teardown(self):
        if self.shim:
            for number in list(self.clients):
                self.leave(number)
            lib.shim_free(self.shim)

    def key_of(self, pointer):
        for number, client in self.clients.items():
            if client == pointer.contents.client:
                return number, lib.subscription_user(pointer)
        raise AssertionError("a subscription of a client that has left")

    def forget(self, key):
        self.heard.pop(key, None)
        self.subscriptions.pop(key, None)
        if key in self.waiting:
            self.waiting.remove(key)

    def expect(self, number, text):
        queue = self.queues[number]
        if queue is None:
            return
        if len(queue) >= self.max_frames:
            self.queues[number] = None
        else:
            queue.append(text)

    # -- coming and going

    def connected(self, number):
        if number not in self.clients:
            self.clients[number] = lib.shim_connect(self.shim)
            self.queues[number] = []
        return self.clients[number]

    @rule(number=CLIENTS)
    def leave(self, number):
        if number in self.clients:
            lib.shim_leave(self.shim, self.clients.pop(number))
            self.queues.pop(number)
            for key in [key for key in self.heard if key[0] == number]:
                self.forget(key)

    @rule(number=CLIENTS, user=USERS)
    def subscribe(self, number, user):
        pointer = lib.hub_subscribe(self.hub, self.connected(number), user)
        key = number, user
        others = sum(1 for n, u in self.heard if n == number and u != user)
        if key not in self.heard and others == PER_CLIENT:
            assert not pointer
            return
        self.forget(key)
        assert self.key_of(pointer) == key
        self.heard[key], self.subscriptions[key] = Heard(), pointer

    @rule(number=CLIENTS, user=USERS)
    def unsubscribe(self, number, user):
        lib.hub_unsubscribe(self.hub, self.connected(number), user)
        self.forget((number, user))

    @precondition(lambda self: self.heard)
    @rule(data=st.data())
    def wait(self, data):
        key = data.draw(st.sampled_from(sorted(self.heard)))
        if not self.heard[key].live:
            lib.hub_wait(self.hub, self.subscriptions[key], byref(cursor("e", 1)))
            if key in self.waiting:
                self.waiting.remove(key)
            self.waiting.append(key)

    @precondition(lambda self: self.heard)
    @rule(data=st.data(), back=st.integers(-2, 3), with_cursor=st.booleans())
    def go_live(self, data, back, with_cursor):
        key = data.draw(st.sampled_from(sorted(self.heard)))
        heard = self.heard[key]
        if heard.live:
            return
        heard.live, heard.with_cursor = True, with_cursor
        heard.last = max(self.newest[key[1]] - back, 0)
        lib.hub_go_live(self.hub, self.subscriptions[key], heard.last, with_cursor)
        if key in self.waiting:
            self.waiting.remove(key)

    # -- events

    @rule(user=USERS, step=st.integers(-3, 3))
    def event(self, user, step):
        """Mostly the next one; also old ones again, and ones before which something is missing."""
        seq = max(self.newest[user] + (1 if step <= 0 and step % 2 == 0 else step), 1)
        self.deliver(user, seq)
        self.newest[user] = max(self.newest[user], seq)

    @rule(user=USERS)
    def foreign_message(self, user):
        self.deliver(user, 0)

    def deliver(self, user, seq):
        text = f"event {user}:{seq}"
        frame = lib.shim_frame(text.encode())
        lib.hub_deliver(self.hub, byref(HubEvent(user, seq, 0, frame)), make_reset, None)
        for (number, owner), heard in self.heard.items():
            if owner != user or not heard.live or (seq and seq <= heard.last):
                continue
            if seq and heard.last and seq != heard.last + 1:
                self.expect(number, f"reset {user}:{heard.last}")
            self.expect(number, text)
            if seq:
                heard.last = seq
        holders = sum(queue.count(text) for queue in self.queues.values() if queue)
        if seq:
            assert lib.shim_frame_references(frame) <= 1 + holders
        lib.shim_frame_free(frame)

    @rule(number=CLIENTS, count=st.integers(1, 30))
    def reads(self, number, count):
        if number not in self.clients:
            return
        client = self.clients[number]
        for _ in range(count):
            text = lib.shim_hear(client)
            queue = self.queues[number]
            if not queue:
                assert text is None
                return
            assert text.decode() == queue.pop(0)

    # -- heartbeats, and all subscriptions

    @rule()
    def a_round_of_beats(self):
        beaten = Counter()
        visit = VISITOR(lambda _context, pointer: beaten.update([self.key_of(pointer)]))
        for _ in range(BEATS):
            lib.hub_beat(self.hub, visit, None)
        assert beaten == Counter(key for key, heard in self.heard.items() if heard.live and heard.with_cursor)

    @rule()
    def each(self):
        seen = Counter()
        lib.hub_each(self.hub, VISITOR(lambda _context, pointer: seen.update([self.key_of(pointer)])), None)
        assert seen == Counter(key for key, heard in self.heard.items() if heard.live)

    @precondition(lambda self: self.shim)
    @invariant()
    def state(self):
        first = lib.hub_first_waiting(self.hub)
        assert (self.key_of(first) if first else None) == (self.waiting[0] if self.waiting else None)
        for number, client in self.clients.items():
            assert lib.shim_closing(client) == (0 if self.queues[number] is not None else TOO_SLOW)


TestHub = HubMachine.TestCase
