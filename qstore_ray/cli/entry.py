"""Entry point of the command `qstore`: signal handlers are set before any slow import.

So Ctrl-C, SIGTERM and a terminal that was closed end every command with exit code 5, at any time
and without a traceback.
"""

from __future__ import annotations

import json
import os
import sys

from qstore_ray.cli.stopped import stopped_error
from qstore_ray.errors import InterruptedRunError
from qstore_ray.train.ray.interrupt import end_on_signal, leave_on_signal


def main() -> int:
    """Run the command that this process was started with; the exit code."""
    _open_streams()
    leave_on_signal(InterruptedRunError.exit_code, _say_stopped)
    from qstore_ray.cli.app import main as run

    code = run()
    end_on_signal(code, asked=code == InterruptedRunError.exit_code)
    return code


def _open_streams() -> None:
    """Open the streams that this process was started without (`qstore runs >&-`), to nowhere.

    Python leaves None in their place, and the next file that is opened would get their number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _say_stopped() -> None:
    """As the command line reports it, by system calls alone: anything may be half done here."""
    error = stopped_error()
    os.write(2, f"error     {error.message}\ninstead   {error.fix}\n".encode())
    if "--json" in sys.argv:
        os.write(1, f"{json.dumps(error.as_dict())}\n".encode())
