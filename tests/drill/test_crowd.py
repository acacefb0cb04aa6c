# SPDX-License-Identifier: MIT
"""A machine that stands still stretches the drill's limits, and one that runs does not."""

import time

import pytest

from drill.crowd import Crowd, stood_still, stretch


def test_how_crowded_it_is():
    assert stretch([1, 5, 3], cores=2) == 1.0
    assert stretch([12, 4], cores=2) == 2.0
    assert stretch([], cores=2) == 1.0


@pytest.mark.parametrize(
    "whens, seconds",
    [([], 0), ([1.0], 0), ([1.0, 1.1, 1.2, 1.4], 0), ([1.0, 1.1, 5.2, 5.3], 4.0), ([1.0, 2.1, 2.2, 4.3], 3.0)],
)
def test_seconds_without_a_sample(whens, seconds):
    assert stood_still(whens) == pytest.approx(seconds)


def test_the_limits_are_stretched_by_it(monkeypatch):
    monkeypatch.setattr(Crowd, "_watch", lambda self: None)
    crowd, since = Crowd(), time.time() - 10
    crowd._samples = [(since + n / 10, 1) for n in range(100)]
    assert crowd.stretch(since) == pytest.approx(1, abs=0.1)
    del crowd._samples[21:70]
    assert crowd.stretch(since) == pytest.approx(2, rel=0.2)
