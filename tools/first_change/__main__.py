"""Prints which steps are done, and the next one; the exit code is 0 in any state, 130 after Ctrl-C.

make first-change
"""

from __future__ import annotations

import sys
import textwrap

from tools.first_change.steps import DONE, STEPS


def main() -> int:
    """Check the steps in their order up to the first that is not done."""
    print("A first change: the schedule inverse_time, from a file to a commit.\n")
    for number, step in enumerate(STEPS, 1):
        place = f"{number:2}/{len(STEPS)}"
        if sys.stdout.isatty():  # a check may take a minute
            print(f"  ..  {place}  {step.title}", end="\r", flush=True)
        try:
            missing = step.missing()
        except KeyboardInterrupt:
            print("\nStopped. Nothing was changed; make first-change looks again.")
            return 130
        print(f"  {'no' if missing else 'ok'}  {place}  {step.title}", flush=True)
        if missing:
            print(f"\n{textwrap.indent(missing, '      ')}\n")
            print(textwrap.fill(step.why, 96))
            print(f"\n{step.todo}\n\nThen: make first-change")
            return 0
    print(f"\n{DONE}", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
