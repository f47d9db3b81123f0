"""The one exception of the public API."""


class FaceStatsError(Exception):
    """An error that the user can fix. The message names the problem and the next step.

    The command line prints the message without a traceback and ends with exit code 1. Messages name command-line options; the methods'
    arguments have the same names.

    Attributes:
        done: the result up to the failure (`RunSummary`, `Erasures`); None if nothing was done.
    """

    def __init__(self, message: str, done: object = None) -> None:
        super().__init__(message)
        self.done = done
