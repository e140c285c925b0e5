"""How a user's mistake reaches the user: as one line, without a traceback."""

import sys
from pathlib import Path


class UserError(Exception):
    """Something the user can mend; its text says what is wrong, where, and what would be right."""


def run(main):
    """Run `main()` as a program: a UserError becomes one line on stderr and exit status 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"{Path(sys.argv[0]).name}: {where}{error.strerror or error}")
