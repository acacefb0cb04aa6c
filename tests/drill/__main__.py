# SPDX-License-Identifier: MIT
import signal
import sys

from . import main, power

# Ctrl-C and a supervisor's SIGTERM alike stop the stack on the way out.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
sys.exit((power if "--power" in sys.argv else main).main(sys.argv[1:]))
