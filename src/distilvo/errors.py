"""The one base class of every error that distilvo raises on purpose."""


class DistilvoError(Exception):
    """Something the user can mend: bad input, a missing file, a setting that does not fit.

    The message is one line that names the file (and line), what was found, what was expected and what to try
    next. The command line prints it without a traceback and exits with status 2.
    """
