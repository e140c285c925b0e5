"""Errors that the user can mend: a program ends with their text, one line, and no traceback (see cli.py)."""


class UserError(Exception):
    """A mistake of the user; the text says what is wrong, where, and what would be right."""


class NoSpace(UserError):
    """A disk is full; the text names the file that could not be written, and how much it needed."""
