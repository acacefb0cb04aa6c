# SPDX-License-Identifier: MIT
import signal
import sys

from . import cluster, main, power

# Ctrl-C and a supervisor's SIGTERM alike stop the stack on the way out.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
drill = power if "--power" in sys.argv else cluster if "--cluster" in sys.argv else main
sys.exit(drill.main(sys.argv[1:]))
