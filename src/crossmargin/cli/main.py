"""Start of the command line, and its end: what is refused or interrupted, and the exit code.

Exit codes: 0 answered; 1 answered and something needs attention (a deficit, an account that was not margined); 2 the
input was refused; 130 interrupted. The commands are imported inside, so that Ctrl-C is answered from the start.
"""

from __future__ import annotations

import io
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossmargin.basics.errors import CrossmarginError

ANSWERED, REFUSED, INTERRUPTED = 0, 2, 130
_MOST_PROBLEMS = 1000


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        code = _run(arguments)
    except KeyboardInterrupt:
        if arguments is None:  # we are the program: a second Ctrl-C does not cut the goodbye short
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        _print_interrupted()
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of our output left
        sys.stderr.close()
        code = ANSWERED
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    from crossmargin.basics.errors import CrossmarginError
    from crossmargin.cli.commands import app
    from crossmargin.cli.writing import finished

    finished.clear()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal's encoding lacks is shown as its code
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(sys.argv[1:] if arguments is None else arguments, result_action="return_value")
    except CrossmarginError as error:
        _print_problems(error)
        return REFUSED
    return code if isinstance(code, int) else ANSWERED


def _print_interrupted() -> None:
    from crossmargin.cli.writing import finished

    written = ", ".join(visible(str(path)) for path in finished)
    left = f"{written} was written, nothing else" if written else "nothing was written"
    print(f"Interrupted: {left}.", file=sys.stderr)


def _print_problems(error: CrossmarginError) -> None:
    problems = error.problems
    count = f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
    print(f"crossmargin: {count}, nothing was margined", file=sys.stderr)
    for problem in problems[:_MOST_PROBLEMS]:
        print(f"  {visible(str(problem))}", file=sys.stderr)
    if len(problems) > _MOST_PROBLEMS:
        print(f"  and {len(problems) - _MOST_PROBLEMS:,} more", file=sys.stderr)


def visible(text: str) -> str:
    """`text` with control characters escaped: a file must not write to the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
