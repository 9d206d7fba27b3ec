"""Where the command `qstore` begins: signals are heard before anything that takes time is imported.

So Ctrl-C, SIGTERM and a terminal that was closed end every command with exit code 5, at any time
and without a traceback.
"""

from __future__ import annotations

import json
import os
import sys

from qstore_ray.cli.stopped import stopped
from qstore_ray.errors import InterruptedRunError
from qstore_ray.train.interrupt import end_on_signal, leave_on_signal


def main() -> int:
    """Run the command that this process was started with; the exit code."""
    leave_on_signal(InterruptedRunError.exit_code, _say_stopped)
    from qstore_ray.cli.app import main as run

    code = run()
    end_on_signal(code, asked=code == InterruptedRunError.exit_code)
    return code


def _say_stopped() -> None:
    """As the command line reports it, by system calls alone: anything may be half done here."""
    error = stopped()
    os.write(2, f"error     {error.message}\ninstead   {error.fix}\n".encode())
    if "--json" in sys.argv:
        os.write(1, f"{json.dumps(error.as_dict())}\n".encode())
