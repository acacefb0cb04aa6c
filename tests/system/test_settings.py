# SPDX-License-Identifier: MIT
"""Every row of the settings' table, for each program that reads it: a missing, empty, non-numeric or
out-of-range value ends the program at once with one line that names the variable."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.stack import BUILD_DIR, ROOT

ROW = re.compile(
    r'X\((INT|TEXT|SECRET|CHOICE),\s*(\w+),\s*(\w+),\s*(NULL|"[^"]*"),\s*(\d+),\s*(\d+),\s*"[^"]*"\)', re.S
)


def table():
    """{program: [(kind, name, default, min, max)]} as common/config.h has it."""
    text = (ROOT / "common" / "config.h").read_text().replace("\\\n", "\n")
    sections = re.split(r"#define CONFIG_(COMMON|API|NOTIFIER)\(X\)", text)
    rows = {
        name: [(kind, variable, default, int(low), int(high)) for kind, _, variable, default, low, high in ROW.findall(body)]
        for name, body in zip(sections[1::2], sections[2::2])
    }
    return {"fcgi-api": rows["COMMON"] + rows["API"], "ws-notifier": rows["COMMON"] + rows["NOTIFIER"]}


TABLE = table()
GOOD = {"AMQP_PASSWORD": "secret-a", "DB_PASSWORD": "secret-d"}


def bad_values(kind, default, low, high):
    if kind == "INT":
        yield from ["", " ", "abc", "1.5", "1e3", "0x10", "7x", " 7", "-1", str(low - 1), str(high + 1), "9" * 30]
    elif kind == "CHOICE":
        yield from ["", "nonsense", default.strip('"').split("|")[0].upper(), default.strip('"')]
    else:
        if low > 0:
            yield ""
        yield "x" * (high + 1)


CASES = [
    pytest.param(program, name, value, id=f"{program}-{name}-{value[:12]!r}")
    for program, rows in TABLE.items()
    for kind, name, default, low, high in rows
    for value in bad_values(kind, default, low, high)
]


def start(program, **settings):
    environment = {"PATH": os.environ["PATH"], **GOOD, **settings}
    environment = {name: value for name, value in environment.items() if value is not None}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            environment[name] = os.environ[name]
    return subprocess.run(
        [BUILD_DIR / program], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )


def refused(done, name):
    assert done.returncode > 0, done
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert len(lines) == 1, lines
    assert name in lines[0], lines
    for secret in GOOD.values():
        assert secret not in lines[0]
    return lines[0]


def test_the_table_was_found():
    assert len(TABLE["fcgi-api"]) > 20 and len(TABLE["ws-notifier"]) > 20


@pytest.fixture(scope="module")
def outcomes(request):
    """All selected cases, started at once: a program that cannot start waits for a second, so that its supervisor
    does not restart it in a tight loop."""
    cases = {item.callspec.id: item.callspec.params for item in request.session.items if item.name.startswith("test_bad_value[")}
    with ThreadPoolExecutor(32) as pool:
        runs = {
            key: pool.submit(start, case["program"], **{case["name"]: case["value"]}) for key, case in cases.items()
        }
    return {key: run.result() for key, run in runs.items()}


@pytest.mark.parametrize("program, name, value", CASES)
def test_bad_value(outcomes, request, program, name, value):
    line = refused(outcomes[request.node.callspec.id], name)
    assert "x" * 100 not in line


@pytest.mark.parametrize(
    "program, name", [(program, row[1]) for program, rows in TABLE.items() for row in rows if row[2] == "NULL"]
)
def test_missing_value(program, name):
    refused(start(program, **{name: None}), name)


@pytest.mark.parametrize(
    "program, name", [(program, row[1]) for program, rows in TABLE.items() for row in rows if row[0] == "SECRET"]
)
def test_secret_from_a_file(program, name, tmp_path):
    refused(start(program, **{name: None, f"{name}_FILE": "/nonexistent/file"}), name)
    empty = tmp_path / "empty"
    empty.write_text("\n")
    refused(start(program, **{name: None, f"{name}_FILE": str(empty)}), name)
    good = tmp_path / "good"
    good.write_text("s3cret\n")
    # With a good file the next complaint is about the other setting that is wrong.
    line = refused(start(program, **{name: None, f"{name}_FILE": str(good), "AMQP_PORT": "nonsense"}), "AMQP_PORT")
    assert "s3cret" not in line


@pytest.mark.parametrize("program", TABLE)
def test_help_names_every_setting(program):
    done = subprocess.run([BUILD_DIR / program, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for _, name, *_ in TABLE[program]:
        assert name in done.stdout, name


def test_every_setting_is_in_the_example():
    text = (ROOT / ".env.example").read_text()
    for rows in TABLE.values():
        for kind, name, *_ in rows:
            assert re.search(rf"\b{name}\b", text), f"{name} is not in .env.example"
