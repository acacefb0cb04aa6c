# SPDX-License-Identifier: MIT
"""scripts/bench: Carillon and its alternatives, in one run on one machine."""
