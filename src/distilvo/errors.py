"""The one base class of every error that distilvo raises on purpose, and text that cannot command a terminal."""

_LONGEST = 2000  # characters of a message


class DistilvoError(Exception):
    """Something the user can mend: bad input, a missing file, a setting that does not fit.

    The message is one line that names the file (and line), what was found, what was expected and what to try
    next. The command line prints it without a traceback and exits with status 2.
    """

    def __str__(self) -> str:
        """The message; what it quotes of a damaged file can neither break the line nor fill the screen."""
        text = printable(super().__str__())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


def printable(text: str) -> str:
    r"""Text with control characters, escape sequences and names that are not UTF-8 written out, as ``\x1b``."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
