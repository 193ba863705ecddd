"""The one base class of every error that distilvo raises on purpose."""


class DistilvoError(Exception):
    """Something the user can mend: bad input, a missing file, a setting that does not fit.

    The message is one line that names the file (and line), what was found, what was expected and what to try
    next. The command line prints it without a traceback and exits with status 2.
    """

    def __str__(self) -> str:
        """The message; what it quotes of a damaged file can neither break the line nor command the terminal."""
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in super().__str__())
