# SPDX-License-Identifier: MIT
"""The table."""

import statistics
import time

from .plan import HANG, KILL, PARTS, WAYS


SHOWN = 15  # violations of one kind


def clock(moment):
    """Of time.time(), as the logs write it."""
    return time.strftime("%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03}"


def _seconds(value):
    return "-" if value is None else f"{value:.2f} s"


def strikes_table(outcomes):
    head = f"{'part':<14}" + "".join(f"{way:>8}" for way in WAYS)
    lines = [head + f"{'recovered: half within':>25}{'worst':>9}{'limit':>8}{'worst with others':>20}"]
    for part in PARTS:
        mine = [outcome for outcome in outcomes if outcome.strike.part is part]
        if not mine:
            continue
        ways = [sum(1 for outcome in mine if outcome.strike.way == way) for way in WAYS]
        alone = [outcome.recovery for outcome in mine if outcome.recovery is not None and not outcome.overlapped]
        others = [outcome.recovery for outcome in mine if outcome.recovery is not None and outcome.overlapped]
        lines.append(
            f"{part.name:<14}"
            + "".join(f"{count:>8}" for count in ways)
            + f"{_seconds(statistics.median(alone) if alone else None):>25}{_seconds(max(alone, default=None)):>9}"
            + f"{part.limit:>6.0f} s{_seconds(max(others, default=None)):>20}"
        )
    return lines


def late(outcomes):
    """Parts that took too long alone, or did not come back at all while others were down. On a loaded machine the
    limit is stretched by as much."""
    found = []
    for outcome in outcomes:
        if outcome.recovery is None:
            found.append(f"{outcome.strike} has not recovered")
        elif not outcome.overlapped and outcome.recovery > outcome.strike.part.limit * outcome.stretch:
            found.append(f"{outcome.strike} took {outcome.recovery:.2f} s, limit {outcome.strike.part.limit:.0f} s")
    return found


def violations(verdict, problems, directory=None):
    """The most telling ones; where a directory is kept, all of them in a file there."""
    total = verdict.total + len(problems)
    yield f"{'violations':<16}{total or 'none'}"
    yield from ("  " + line for line in [*verdict.lines(SHOWN), *problems])
    if directory and total:
        path = directory / "violations"
        path.write_text("".join(line + "\n" for line in [*verdict.lines(), *problems]))
        yield f"  all of them: {path}"


def crowded(outcomes):
    stretched = [outcome.stretch for outcome in outcomes if outcome.stretch > 1]
    if not stretched:
        return []
    return [f"machine         crowded during {len(stretched)} of {len(outcomes)}: their limits are stretched, by up to {max(stretched):.1f}"]


def _kinds(outcomes):
    """Of the strikes, how many were a kill -9 in the end."""
    killed = sum(1 for outcome in outcomes if outcome.strike.way in (KILL, HANG))
    return f"{len(outcomes):,}, of which {killed:,} kill -9"


def struck(outcomes, seconds):
    return [("strikes", f"{_kinds(outcomes)}, in {seconds:.0f} s")]


def figures(verdict, listeners, counted):
    """`counted`: rows of what was done, for the top."""
    counts = verdict.counts
    visits = sum(listener.connects for listener in listeners)
    closes = {}
    for listener in listeners:
        for code, count in listener.closes.items():
            closes[code] = closes.get(code, 0) + count
    told = {kind[6:]: count for kind, count in sorted(counts.items()) if kind.startswith("told: ")}
    rows = [
        *counted,
        (
            "writes",
            f"{counts['accepted']:,} accepted, {counts['refused']:,} refused, {counts['unknown']:,} without a sure answer "
            f"({counts['unknown, done']:,} of them done), {counts['rejected']:,} rejected because of those",
        ),
        (
            "transactions",
            f"{counts['transactions accepted']:,} committed, {counts['transactions undone']:,} rolled back, "
            f"{counts['transactions abandoned']:,} ended before COMMIT, {counts['transactions unknown']:,} at it "
            f"({counts['transactions unknown, done']:,} of them done); {counts['emitted']:,} events",
        ),
        ("events", f"{counts['events']:,} in the journal, {counts['publications']:,} publications in the stream"),
        ("deliveries", f"{counts['deliveries']:,} to {len(listeners)} clients in {visits:,} visits"),
        (
            "comings back",
            f"{counts['resumes']:,} with a cursor, {counts['recovered']:,} recovered ({counts['replayed']:,} events replayed)",
        ),
        ("told to reload", ", ".join(f"{count:,} {reason}" for reason, count in told.items()) or "none"),
        ("closed with", ", ".join(f"{code}: {count:,}" for code, count in sorted(closes.items())) or "nothing"),
    ]
    return [f"{name:<16}{text}" for name, text in rows]
