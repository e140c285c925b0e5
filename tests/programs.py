"""Programs as their users run them, but in the test's own process, because importing torch takes seconds."""

import contextlib
import importlib
import io
import subprocess
import sys

from actdim import cli


def run_program(program, *arguments, lines=(), **options):
    """Run scripts/<program>.py; return the finished process, as subprocess.run does, with its output as text.

    lines: what the program reads from standard input; options: key="value" is --key value.
    """
    words = [program + ".py", *arguments, *(word for key, value in options.items() for word in (f"--{key}", value))]
    main = importlib.import_module(program).main
    stdout, stderr, before = io.StringIO(), io.StringIO(), (sys.argv, sys.stdin)
    sys.argv, sys.stdin = [str(word) for word in words], io.StringIO("\n".join(lines))
    status = 0
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            cli.run(main)
    except SystemExit as ended:
        status = ended.code
    finally:
        sys.argv, sys.stdin = before
    return subprocess.CompletedProcess(words, status, stdout.getvalue(), stderr.getvalue())
