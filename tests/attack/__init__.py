# SPDX-License-Identifier: MIT
"""Attacks on a stack of its own: what is sent, what comes back, and how the service is afterwards. Started by
scripts/attack.

    main.py        the order of things
    plan.py        every attack, and how much of it
    ground.py      the stack that is attacked, and what an attack may use of it
    bystanders.py  ordinary clients, measured while others attack
    health.py      what must hold after each attack
    judge.py       what no answer may be or hold
    wire.py        HTTP and WebSocket as bytes, fast
    seeds.py       inputs to begin with: the corpora of fuzz/
    mutator.py     inputs made of them, by a seed
    blast.py       many of those at once, from several processes
    report.py      the table
    and a file for each kind of attack: mutated, smuggling, traversal, ...
"""
