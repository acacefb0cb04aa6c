# SPDX-License-Identifier: MIT
"""Shared by the tests: a running stack, and plain clients for each of its entrances."""
