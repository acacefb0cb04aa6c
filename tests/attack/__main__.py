# SPDX-License-Identifier: MIT
import sys

from .main import main

if __name__ == "__main__":  # the processes of blast.py import this, too
    sys.exit(main(sys.argv[1:]))
