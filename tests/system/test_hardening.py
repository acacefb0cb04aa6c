# SPDX-License-Identifier: MIT
"""scripts/hardening tells a program built with everything from one without."""

import os
import platform
import subprocess

import pytest

from lib.stack import ROOT

HARDENING = ROOT / "scripts" / "hardening"
ALL = {
    "position-independent", "relro", "bind-now", "data-not-executable", "stack-protector", "fortified", "stack-clash",
    "branch-protection",
}  # fmt: skip
BARE = ["-O2", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-fno-stack-clash-protection", "-fcf-protection=none"]
if platform.machine() != "x86_64":
    ALL.remove("stack-clash")
    BARE[-1] = "-mbranch-protection=none"
# Each by itself turns one thing off that `make` turns on.
WITHOUT = {
    "-no-pie": "position-independent",
    "-Wl,-z,norelro": "relro",
    "-Wl,-z,lazy": "bind-now",
    "-Wl,-z,execstack": "data-not-executable",
}


def judge(*programs):
    done = subprocess.run([HARDENING, *programs], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """build("-flag") makes a program that says hello."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "hello.c").write_text(
        '#include <stdio.h>\nint main(int n, char **a) { char b[9000]; (void)n; sprintf(b, "%s", a[0]); return puts(b); }\n'
    )

    def make(*flags):
        program = folder / "-".join(["hello", *(flag.strip("-").replace(",", "") for flag in flags)])
        subprocess.run([os.environ.get("CC", "cc"), *flags, "-o", program, folder / "hello.c"], check=True)
        return program

    return make


def lacks(text):
    return set(text.split("lacks ")[1].split()) if "lacks " in text else set()


def test_one_built_without_anything(build):
    bare = build(*BARE, *WITHOUT)
    status, text = judge(bare)
    assert status == 1 and lacks(text) == ALL, text


@pytest.mark.parametrize("flag", WITHOUT)
def test_each_is_noticed_by_itself(build, flag):
    with_one = build("-O2", "-pie", "-fPIE", "-Wl,-z,relro,-z,now,-z,noexecstack", flag)
    without = build("-O2", "-pie", "-fPIE", "-Wl,-z,relro,-z,now,-z,noexecstack")
    assert lacks(judge(with_one)[1]) - lacks(judge(without)[1]) == {WITHOUT[flag]}


def test_what_is_no_program(tmp_path):
    status, text = judge(__file__)
    assert status == 1 and "test_hardening.py is no program" in text
    assert judge(tmp_path / "missing")[0] == 1
    assert judge()[0] == 1
    assert judge("--help")[0] == 0
