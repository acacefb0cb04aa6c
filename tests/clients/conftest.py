# SPDX-License-Identifier: MIT
"""What the clients and the stack say to each other is judged by openapi.yaml and asyncapi.yaml."""

from lib.tap import judged, stack

__all__ = ["judged", "stack"]  # fixtures
