# SPDX-License-Identifier: MIT
"""The models in docs/models hold, and fall when a rule is broken."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_models():
    done = subprocess.run([ROOT / "docs/models/check"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
