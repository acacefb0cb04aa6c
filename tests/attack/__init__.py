# SPDX-License-Identifier: MIT
"""Attacks on a stack of its own: sends hostile input, judges the answers, and checks the service afterwards. Started
by scripts/attack.

    main.py        the order of the run
    plan.py        every attack, and its number of inputs
    ground.py      the stack under attack, and what an attack may use of it
    bystanders.py  ordinary clients, measured while others attack
    health.py      what must hold after each attack
    judge.py       what no answer may be or contain
    wire.py        HTTP and WebSocket as bytes, fast
    seeds.py       inputs to begin with: the corpora of fuzz/
    mutator.py     inputs made of them, by a seed
    blast.py       many inputs at once, from several processes
    report.py      the table
    and a file for each kind of attack: mutated, smuggling, traversal, ...
"""
