# SPDX-License-Identifier: MIT
"""The reliability drill: a stack of its own under load, its parts killed, frozen and restarted at random, and an
audit of what clients were promised. Started by scripts/drill.

    main.py         the order of the run
    plan.py         what happens to which part, by the seed
    chaos.py        makes it happen and waits for the recovery
    probe.py        finds out whether the service answers and events flow
    http.py         HTTP over kept connections, without blocking
    writers.py      change tasks and remember every answer
    sql_writers.py  transactions of another program, with its rows and events (carillon_emit)
    sql_client.py   one writer of it, a process that can be killed
    listeners.py    hear users and remember every frame
    reader.py       the rule of a reader, applied to each frame
    evidence.py     what the database and the stream hold in the end
    audit.py        compares all of that: every difference is a violation
    report.py       the table
    cuts.py         power cuts in place of strikes: their plan, and what makes them happen
    power.py        the drill with them (scripts/drill --power)
    cluster.py      the drill on three nodes (scripts/drill --cluster)
    cluster_plan.py    what is struck there, by the seed
    cluster_chaos.py   makes it happen, and measures what clients notice
"""
