# SPDX-License-Identifier: MIT
"""scripts/bench: Carillon beside what people would use instead, in one run on one machine."""
