# SPDX-License-Identifier: MIT
"""Compares the records of writers and clients with the database and the stream. Every difference is a violation;
there is no tolerance."""

import json
import zlib
from collections import Counter
from dataclasses import dataclass, field

from .sql_client import TYPE
from .sql_writers import ABANDONED, REFUSED_FOR_GOOD, UNDONE
from .report import clock
from .writers import ACCEPTED, CREATE, DELETE, REFUSED, REJECTED, UNKNOWN

@dataclass
class Verdict:
    violations: list = field(default_factory=list)  # (kind, text)
    counts: Counter = field(default_factory=Counter)

    def add(self, kind, text):
        self.violations.append((kind, text))

    @property
    def total(self):
        return len(self.violations)

    def lines(self, shown=None):
        """With `shown` no more than so many of a kind, and how many more there are."""
        of_kind = {}
        for kind, text in self.violations:
            of_kind.setdefault(kind, []).append(text)
        for kind, texts in of_kind.items():
            yield from (f"{kind}: {text}" for text in texts[:shown])
            if shown is not None and len(texts) > shown:
                yield f"{kind}: {len(texts) - shown} more"


def check_journal(evidence, verdict):
    """Per user 1, 2, 3 ..., up to the user's counter."""
    for user, events in evidence.journal.items():
        seqs = [event.seq for event in events]
        if seqs != list(range(1, len(seqs) + 1)) or evidence.heads[user] != len(seqs):
            verdict.add("journal", f"user {user}: {len(seqs)} events, last {seqs[-1:]}, counter {evidence.heads[user]}")
        verdict.counts["events"] += len(seqs)


def check_writes(writes, evidence, verdict):
    """Each accepted write over HTTP happened once, no refused one did, and nothing else happened to tasks."""
    by_request = {}
    for user, events in evidence.journal.items():
        for event in events:
            if event.of_task:
                by_request.setdefault(event.request_id, []).append((user, event))
    for write in writes:
        done = [found for request in write.request_ids for found in by_request.pop(request, [])]
        verdict.counts[write.outcome] += 1
        name = f"{write.event} by {write.request_ids} of task {write.task}, answered {write.status} at {clock(write.answered)}"
        if write.bare:
            verdict.add("wrong answer", f"{name}: {write.bare} times refused without Retry-After")
        if write.outcome == ACCEPTED and not done:
            verdict.add("lost write", name)
        elif write.outcome == REJECTED and not write.excused:
            verdict.add("wrong answer", name)
        elif len(done) > 1:
            verdict.add("done twice", name)
        elif done and write.outcome == REFUSED:
            verdict.add("refused, yet done", name)
        elif done and write.outcome == REJECTED:
            verdict.add("rejected, yet done", name)
        if done and write.outcome == UNKNOWN:
            verdict.counts["unknown, done"] += 1
        if write.outcome == ACCEPTED and done:
            _check_event(write, name, *done[0], verdict)
    for request, found in by_request.items():
        verdict.add("not asked for", f"{len(found)} events of request {request!r}")


def _check_event(write, name, user, event, verdict):
    told = json.loads(event.payload)
    if (user, event.type, event.task) != (write.user, write.event, write.task) or told["event"] != write.event:
        verdict.add("another event", f"{name}: {user} {event}")
    elif write.event != DELETE and told["task"] != write.answer:
        verdict.add("another event", f"{name}: answered {write.answer}, told {told['task']}")


def check_tasks(evidence, verdict):
    """The rows are what the journal makes of them."""
    rows = {}
    for user, events in evidence.journal.items():
        for event in filter(lambda event: event.of_task, events):
            if event.type == DELETE:
                rows.pop(event.task, None)
            else:
                task = json.loads(event.payload)["task"]
                rows[event.task] = (user, task["status"], task["content"])
            if event.type == CREATE:
                verdict.counts["tasks created"] += 1
    for task in rows.keys() | evidence.tasks.keys():
        if rows.get(task) != evidence.tasks.get(task):
            verdict.add("row", f"task {task} is {evidence.tasks.get(task)}, by its events {rows.get(task)}")


def check_transactions(transactions, evidence, verdict):
    """Row and event of another program are there when its transaction was committed, and not when it was rolled back or
    ended before. When that is not known there are all of its rows and events, or none."""
    told, rows = _told_by_others(evidence, verdict), dict(evidence.deeds)
    for transaction in transactions:
        verdict.counts["transactions " + transaction.outcome] += 1
        keys = [(transaction.writer, transaction.number, place) for place in range(len(transaction.users))]
        row_of = [rows.pop(key, None) for key in keys]
        told_to = [told.pop(key, []) for key in keys]
        there = [row is not None for row in row_of] + [bool(users) for users in told_to]
        if transaction.why in REFUSED_FOR_GOOD:
            verdict.add("wrong answer", f"{transaction}: error {transaction.why}")
        if transaction.outcome == ACCEPTED and not all(there):
            verdict.add("lost transaction", f"{transaction}: rows {row_of}, events {told_to}")
        elif transaction.outcome in (UNDONE, ABANDONED) and any(there):
            verdict.add("not committed, yet done", f"{transaction}: rows {row_of}, events {told_to}")
        elif any(there) and not all(there):
            verdict.add("half a transaction", f"{transaction}: rows {row_of}, events {told_to}")
        elif any(there) and (row_of != transaction.users or told_to != [[user] for user in transaction.users]):
            verdict.add("another event", f"{transaction} of {transaction.users}: rows {row_of}, events {told_to}")
        if any(there) and transaction.outcome == UNKNOWN:
            verdict.counts["transactions unknown, done"] += 1
    for key in rows.keys() | told.keys():
        verdict.add("not asked for", f"{key}: row {rows.get(key)}, events {told.get(key)}")
    if transactions and not verdict.counts["transactions " + ACCEPTED]:
        verdict.add("no transaction", f"none of {len(transactions)} was committed; the last: {transactions[-1]} {transactions[-1].why}")


def _told_by_others(evidence, verdict):
    """{(writer, number, place): [user, ...]}: an event for each user. Those of a writer come in the order of its transactions."""
    told = {}
    for user, events in evidence.journal.items():
        last = {}
        for event in filter(lambda event: not event.of_task, events):
            data = json.loads(event.payload)["data"]
            key = data["writer"], data["number"], data["place"]
            told.setdefault(key, []).append(user)
            if event.type != TYPE:
                verdict.add("another event", f"user {user}: event {event.seq} of {key} is {event.type}")
            if last.get(key[0], (-1,)) >= key[1:]:
                verdict.add("order of a writer", f"user {user}: event {event.seq} is {key}, after {last[key[0]]}")
            last[key[0]] = key[1:]
            verdict.counts["emitted"] += 1
    return told


def check_outbox(evidence, verdict):
    if evidence.outbox:
        verdict.add("outbox", f"{evidence.outbox} events are still waiting")


def check_stream(evidence, verdict):
    """First appearances in order and complete, every appearance with the journal's bytes."""
    for user, events in evidence.journal.items():
        checksums = {event.seq: zlib.crc32(event.payload.encode()) for event in events}
        last = 0
        for seq, checksum in evidence.stream.get(user, []):
            verdict.counts["publications"] += 1
            if seq > last + 1:
                verdict.add("order in the stream", f"user {user}: the first {seq} comes after {last}")
            last = max(last, seq)
            if checksums.get(seq) != checksum:
                verdict.add("bytes in the stream", f"user {user}: event {seq} is not the journal's")
        if last != len(events):
            verdict.add("missing in the stream", f"user {user}: {last} of {len(events)}")


def check_readers(readers, evidence, verdict, may_be_told):
    """The violations that each reader found, the bytes it was sent, and whether it has everything now. A reader that
    was told to read everything again counts as a violation where the ring holds more than any client missed."""
    checksums = {
        user: {event.seq: zlib.crc32(event.payload.encode()) for event in events} for user, events in evidence.journal.items()
    }
    for reader in readers:
        for text in reader.violations:
            verdict.add("reader", text)
        verdict.counts["deliveries"] += len(reader.seqs)
        for name in ("resumes", "recovered", "replayed", "resets"):
            verdict.counts[name] += getattr(reader, name)
        for reason, count in reader.refusals.items():
            verdict.counts["told: " + reason] += count
            if not may_be_told:
                verdict.add("told without need", f"{reader.client}, user {reader.user}: {count} times {reason} ({'; '.join(reader.told[:3])})")
        journal = checksums[reader.user]
        for seq, checksum in zip(reader.seqs, reader.checksums):
            if journal.get(seq) != checksum:
                verdict.add("other bytes", f"{reader.client}, user {reader.user}: event {seq}")
        head = evidence.heads[reader.user]
        if reader.plain and reader.last is None:
            continue  # nothing has happened since it came
        if (reader.last or 0) != head:
            verdict.add("missing", f"{reader.client}, user {reader.user}: has {reader.last} of {head}")


def audit(writes, readers, evidence, transactions=(), may_be_told=False):
    verdict = Verdict()
    check_journal(evidence, verdict)
    check_writes(writes, evidence, verdict)
    check_tasks(evidence, verdict)
    check_transactions(transactions, evidence, verdict)
    check_outbox(evidence, verdict)
    check_stream(evidence, verdict)
    check_readers(readers, evidence, verdict, may_be_told)
    return verdict
