# SPDX-License-Identifier: MIT
"""Builds the modules under test into one library; how long Hypothesis looks (CARILLON_EXAMPLES)."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "carillon",
    max_examples=int(os.environ.get("CARILLON_EXAMPLES", 150)),
    stateful_step_count=60,
    deadline=None,  # the machine may be busy
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
settings.load_profile("carillon")
