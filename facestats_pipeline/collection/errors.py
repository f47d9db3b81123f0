"""The one exception of the public API."""


class FaceStatsError(Exception):
    """Something that a user can put right; the message says what is wrong and the next step.

    The command line shows it as one message, without a traceback, and ends with exit code 1. Messages name options of the command line;
    an argument of a method has the same name.

    Attributes:
        done: what was done before it failed (`RunSummary`, `Erasures`), None where nothing was.
    """

    def __init__(self, message: str, done: object = None) -> None:
        super().__init__(message)
        self.done = done
