# SPDX-License-Identifier: MIT
"""The table."""

HEAD = ("attack", "sent", "2xx", "4xx", "503", "other", "bystanders p50", "p99", "s", "memory after, MiB", "findings")


def _cells(outcome):
    counts = outcome.judge.counts
    statuses = {key: count for key, count in counts.items() if isinstance(key, int)}
    group = lambda low, high: sum(count for status, count in statuses.items() if low <= status < high)
    other = [f"{count:,} {key}" for key, count in sorted(counts.items(), key=str) if not isinstance(key, int)]
    other += [f"{count:,} {status}" for status, count in sorted(statuses.items()) if not 200 <= status < 300 and not 400 <= status < 500 and status != 503]
    return (
        outcome.name,
        f"{outcome.sent:,}",
        f"{group(200, 300):,}",
        f"{group(400, 500):,}",
        f"{statuses.get(503, 0):,}",
        ", ".join(other) or "-",
        f"{outcome.p50 * 1000:.0f} ms",
        f"{outcome.p99 * 1000:.0f} ms",
        f"{outcome.seconds:.0f}",
        outcome.memory,
        str(len(outcome.findings)) if outcome.findings else "none",
    )


def table(outcomes):
    rows = [HEAD] + [_cells(outcome) for outcome in outcomes]
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEAD))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
