# SPDX-License-Identifier: MIT
"""What browsers are promised, over the whole notifier without its network: feed, ring, hub, reception and
protocol together, with random histories.

Writes commit, publishers publish (the prefix rule; doubles; heals after a broker has lost its end), two
notifiers read at their own pace, lose their link, die and start again; browsers come, hear, go, and come back
to either with the cursor they have. Whatever happens, no browser hears an event twice or out of order, or misses one
without having been told."""

import json

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from library import MARGIN_S, lib

EPOCH = "e1"
USERS = st.integers(1, 2)
NOTIFIERS = st.integers(0, 1)
RING_AGE_S = 120
STAMPS_APART_S = 15  # of the notifier: it reads back so much more than RING_AGE_S
BEACON_INTERVAL_S = 10  # of a publisher
HOLE_WAIT_S = 5
START = 1_000_000


def split(cursor):
    parts = cursor.split(":")
    assert parts[0] == EPOCH
    return int(parts[1]), int(parts[2]) if len(parts) > 2 else 0


class Notifier:
    def __init__(self, world, ring_bytes):
        self.world = world
        self.shim = lib.shim_new(ring_bytes, RING_AGE_S, HOLE_WAIT_S, 500, 1_000_000)
        self.position, self.linked, self.generation = 0, False, None

    def link(self):
        """Connects: goes on where it was if it is the same stream, else reads its recent past."""
        resumed = self.generation == self.world.generation
        if not resumed:
            first = self.world.now - RING_AGE_S - STAMPS_APART_S
            self.position = next((i for i, m in enumerate(self.world.stream) if m["time"] >= first), len(self.world.stream))
            self.position = max(self.position - 1, 0)  # whole chunks: perhaps a little more
        lib.shim_connected(self.shim, resumed)
        if not resumed:
            self.began = self.world.now
        self.generation, self.linked = self.world.generation, True
        self.send_marker()

    def send_marker(self):
        self.world.stream.append({"kind": "marker", "of": self, "time": self.world.now})

    def unlink(self):
        if self.linked:
            lib.shim_disconnected(self.shim)
        self.linked = False

    def read(self, count):
        while self.linked and count and self.position < len(self.world.stream):
            message, offset = self.world.stream[self.position], self.position
            self.position += 1
            count -= 1
            if message["kind"] == "event":
                created_ms, text = message["created"] * 1000, message["text"].encode()
                lib.shim_event(self.shim, offset, EPOCH.encode(), message["user"], message["seq"], created_ms, text)
            elif message["kind"] == "beacon":
                lib.shim_control(self.shim, offset, b"carillon.epoch", EPOCH.encode(), message["time"])
            elif message["of"] is self:
                lib.shim_control(self.shim, offset, b"carillon.marker", b"", message["time"])


class Browser:
    def __init__(self, world, user):
        self.world, self.user = world, user
        self.socket = self.notifier = None
        self.last = None  # the last event it has; None: does not know
        self.floor = 0  # when it does not know: it must hear whatever comes after this one,
        self.again = 0  # and may hear once more what was before; 0: has not, and has not been told of it
        self.cursor = None
        self.told = 0  # how often it had to read everything anew

    def connect(self, notifier):
        self.notifier = notifier
        self.socket = lib.shim_connect(notifier.shim)
        self.subscribe()

    def subscribe(self):
        self.since, self.answered = self.cursor, False
        message = {"type": "subscribe", "user_id": self.user, "since": self.since}
        lib.shim_say(self.notifier.shim, self.socket, json.dumps(message).encode())

    def leave(self):
        if self.socket:
            lib.shim_leave(self.notifier.shim, self.socket)
        self.socket = self.notifier = None

    def read_everything_anew(self):
        """GET /tasks?user_id=, and its Event-Cursor."""
        self.last = len(self.world.journal[self.user])
        self.cursor = f"{EPOCH}:{self.last}:{self.world.now}"
        self.told += 1

    def hear(self, most=1_000_000):
        while self.socket and most:
            most -= 1
            text = lib.shim_hear(self.socket)
            if text is None:
                assert not lib.shim_closing(self.socket)
                return
            frame = json.loads(text)
            getattr(self, "on_" + frame["type"])(frame)

    def on_subscribe(self, frame):
        assert not self.answered
        self.answered = True
        seq, _ = split(frame["cursor"])
        if not frame["recovered"]:
            assert self.since and frame["reason"] == "truncated" and frame["cursor"] == self.since, frame
            self.world.check_refusal(self, frame)
            self.leave()
            self.read_everything_anew()
            return
        self.cursor = frame["cursor"]  # every cursor may be kept at once
        if self.since is None:
            self.floor = max(self.world.highest_read(self.notifier, self.user), seq)
            assert frame["replayed"] == 0
            self.again = seq
        elif split(self.since)[0] or self.last:
            assert seq == split(self.since)[0], (self.since, frame)
        if frame["replayed"]:
            assert frame["until"] == f"{EPOCH}:{seq + frame['replayed']}", frame

    def on_notification(self, frame):
        assert self.answered, "an event before the answer"
        seq, _ = split(frame["cursor"])
        if self.last is None and seq <= self.floor:
            assert seq > self.again, f"{seq} once more after {self.again}"
        elif self.last is None:
            assert seq == self.floor + 1, f"{seq} comes first, {self.floor + 1} is missing"
            assert self.again in (0, self.floor), f"{seq} after {self.again}, and nothing was said"
        else:
            assert seq == self.last + 1, f"{seq} after {self.last}"
        assert frame["text"] == self.world.journal[self.user][seq - 1]
        self.cursor = frame["cursor"]
        if self.last is not None or seq >= self.floor:
            self.last = seq
        self.again = seq

    def on_heartbeat(self, frame):
        seq, time_s = split(frame["cursor"])
        assert seq == (self.last or 0) or self.last is None
        assert time_s <= self.world.now
        self.cursor = frame["cursor"]

    def on_reset(self, frame):
        assert split(frame["cursor"])[0] in (self.last or 0, 0) or self.last is None, "not where it is"
        if frame["reason"] == "truncated":
            self.world.check_truncation(self)
        else:
            # An old event was published again, alone, and the notifier, which had forgotten this user, took it for
            # the newest.
            misled = self.last is None and 0 < self.again < self.floor
            assert frame["reason"] == "lost" and (self.world.may_reset or misled), "nothing was ever lost"
        self.read_everything_anew()
        self.leave()


class PromiseMachine(RuleBasedStateMachine):
    notifiers = ()

    @initialize(small=st.booleans(), events=st.lists(USERS, max_size=5))
    def begin(self, small, events):
        self.now, self.generation = START, 1
        lib.shim_set_clock(START * 1000)
        self.small = small
        self.journal = {1: [], 2: []}  # texts
        self.created = {1: [], 2: []}
        self.published = {1: 0, 2: 0}  # all up to here are in the stream
        self.stream = []
        self.browsers = []
        self.may_reset = self.forgetful = False
        for user in events:
            self.write(user, 1)
        self.publishers_connect()
        self.notifiers = [self.new_notifier(), self.new_notifier()]

    def teardown(self):
        for browser in self.browsers if self.notifiers else ():
            browser.leave()
        for notifier in self.notifiers:
            lib.shim_free(notifier.shim)

    def new_notifier(self):
        notifier = Notifier(self, 4_000 if self.small else 1_000_000)
        notifier.link()
        return notifier

    def highest_read(self, notifier, user):
        return max((m["seq"] for m in self.stream[: notifier.position] if m["kind"] == "event" and m["user"] == user), default=0)

    def check_refusal(self, browser, frame):
        """A cursor is as old as its time, or as its event. (A connected client gets heartbeats, and so a newer
        cursor; here it may have been connected for long without.)"""
        seq, made = split(browser.since)
        age = self.now - (made or self.created[browser.user][seq - 1])
        if not self.small and not self.forgetful and not self.may_reset and age < RING_AGE_S - 20 and seq:
            raise AssertionError(f"all that came in {age} s should be there: {frame}")
        fresh = split(browser.since)[1] == self.now and self.now - browser.notifier.began > 2 * MARGIN_S
        assert self.small or self.forgetful or not fresh, f"a cursor made just now: {frame}"

    def check_truncation(self, browser):
        """Told in the middle of a replay that the rest of it is gone."""
        created = self.created[browser.user][browser.last or 0]
        assert self.small or self.forgetful or created < self.now - RING_AGE_S, f"event {(browser.last or 0) + 1} should be there"

    def put(self, user, seq):
        self.stream.append(
            {
                "kind": "event", "user": user, "seq": seq, "time": self.now, "created": self.created[user][seq - 1],
                "text": json.dumps({"type": "notification", "cursor": f"{EPOCH}:{seq}", "text": self.journal[user][seq - 1]}),
            }
        )  # fmt: skip

    def publishers_connect(self):
        self.stream.append({"kind": "beacon", "time": self.now})

    # -- time, writes, publishers

    @rule(seconds=st.one_of(st.integers(1, 5), st.integers(1, 50)))
    def time_passes(self, seconds):
        for passed in range(BEACON_INTERVAL_S, seconds + 1, BEACON_INTERVAL_S):
            self.stream.append({"kind": "beacon", "time": self.now + passed})
        self.now += seconds
        lib.shim_set_clock(self.now * 1000)
        for notifier in self.notifiers:
            lib.shim_tick(notifier.shim)
            if notifier.linked:
                notifier.send_marker()

    @rule(user=USERS, count=st.integers(1, 4))
    def write(self, user, count):
        for _ in range(count):
            self.journal[user].append(f"{user}/{len(self.journal[user]) + 1} at {self.now}")
            self.created[user].append(self.now)

    @rule(user=USERS, count=st.integers(1, 3))
    def something_happens(self, user, count):
        """As it does most of the time: written, published, read, heard."""
        self.write(user, count)
        self.publish(user, 0, 100)
        for notifier in self.notifiers:
            notifier.read(1000)
        self.hear_all()

    @rule(user=USERS, back=st.integers(0, 3), most=st.integers(1, 6))
    def publish(self, user, back, most):
        """From some event that is or may be unconfirmed, in order."""
        first = max(self.published[user] - back, 0) + 1
        for seq in range(first, min(first + most, len(self.journal[user]) + 1)):
            self.put(user, seq)
            self.published[user] = max(self.published[user], seq)

    @rule(user=USERS, seconds=st.integers(0, HOLE_WAIT_S - 2), data=st.data())
    def overtakes(self, user, seconds, data):
        """An event is in the stream before its predecessor, which comes in time: no browser notices, nor one that
        comes then."""
        # A notifier that has no event of the user, or has forgotten them, takes whatever comes first for the next one.
        self.something_happens(user, 1)
        self.write(user, 2)
        first = self.published[user] + 1
        self.put(user, first + 1)
        for notifier in self.notifiers:
            notifier.read(1000)
        self.hear_all()
        if self.browsers and data.draw(st.booleans()):
            browser = data.draw(st.sampled_from(self.browsers))
            browser.leave()
            browser.connect(data.draw(st.sampled_from(self.notifiers)))
        self.time_passes(seconds)
        self.put(user, first)
        self.put(user, first + 1)
        self.published[user] = first + 1
        for notifier in self.notifiers:
            notifier.read(1000)
            # Far behind, or without a link: it may wait too long. (It reads the rest when it has one.)
            self.may_reset |= notifier.position < len(self.stream)
        self.hear_all()

    # -- the broker

    @rule(lost=st.integers(0, 6))
    def broker_crashes(self, lost):
        """Loses its end; every link breaks; the first to connect again puts back what may be gone."""
        for notifier in self.notifiers:
            notifier.unlink()
        if lost:
            self.generation += 1
            del self.stream[len(self.stream) - min(lost, len(self.stream)) :]
            self.may_reset = True
            self.published = {user: 0 for user in self.published}
            for message in self.stream:
                if message["kind"] == "event":
                    self.published[message["user"]] = max(self.published[message["user"]], message["seq"])
        self.publishers_connect()
        for user, texts in self.journal.items():
            for seq in range(1, len(texts) + 1):
                if self.created[user][seq - 1] >= self.now - 60 or seq > self.published[user]:
                    self.put(user, seq)
                    self.published[user] = seq

    # -- notifiers

    @rule(which=NOTIFIERS, count=st.one_of(st.integers(1, 6), st.just(1000)))
    def reads(self, which, count):
        self.notifiers[which].read(count)

    @rule(which=NOTIFIERS)
    def loses_link(self, which):
        self.notifiers[which].unlink()

    @rule(which=NOTIFIERS)
    def links_again(self, which):
        if not self.notifiers[which].linked:
            self.notifiers[which].link()

    @rule(which=NOTIFIERS)
    def is_killed(self, which):
        old = self.notifiers[which]
        for browser in self.browsers:
            if browser.notifier is old:
                browser.leave()
        lib.shim_free(old.shim)
        self.notifiers[which] = self.new_notifier()

    @rule(which=NOTIFIERS, count=st.integers(1, 5))
    def is_short_of_memory(self, which, count):
        self.forgetful = True
        lib.shim_forget_oldest(self.notifiers[which].shim, count)

    @rule(which=NOTIFIERS)
    def beats(self, which):
        lib.shim_beat(self.notifiers[which].shim)

    # -- browsers

    @rule(which=NOTIFIERS, user=USERS, knows=st.booleans())
    def comes(self, which, user, knows):
        if len(self.browsers) < 6:
            browser = Browser(self, user)
            self.browsers.append(browser)
            if knows:
                browser.read_everything_anew()
            browser.connect(self.notifiers[which])

    @rule()
    def hear_all(self):
        for browser in self.browsers:
            browser.hear()

    @precondition(lambda self: self.browsers)
    @rule(data=st.data(), most=st.integers(1, 4))
    def hears_a_little(self, data, most):
        """Its line is slow: what it missed is fetched as it gets through."""
        data.draw(st.sampled_from(self.browsers)).hear(most)

    @precondition(lambda self: self.browsers)
    @rule(data=st.data())
    def leaves(self, data):
        data.draw(st.sampled_from(self.browsers)).leave()

    @precondition(lambda self: self.browsers)
    @rule(data=st.data(), which=NOTIFIERS)
    def comes_back(self, data, which):
        """Perhaps without having left properly."""
        browser = data.draw(st.sampled_from(self.browsers))
        browser.leave()
        browser.connect(self.notifiers[which])

    # -- in the end

    @rule()
    def all_is_quiet(self):
        """Everything is published and read: then every connected browser has everything."""
        for user in self.journal:
            self.publish(user, 0, len(self.journal[user]))
        for notifier in self.notifiers:
            if not notifier.linked:
                notifier.link()
            notifier.read(100_000)
        for browser in self.browsers:
            browser.hear()
            if browser.socket:
                assert browser.answered
                last = browser.floor if browser.last is None else browser.last
                assert last == len(self.journal[browser.user]), f"{last} of {len(self.journal[browser.user])}"


TestPromise = PromiseMachine.TestCase
