"""What a program cannot go on from, and its user can mend."""


class UserError(Exception):
    """Something the user can mend; its text says what is wrong, where, and what would be right."""


class NoSpace(UserError):
    """A disk is full; the text names the file that could not be written, and how much it needed."""
