# SPDX-License-Identifier: MIT
"""What the tests share: a running stack and plain clients for each of its doors."""
