"""The one exception of the public API."""


class FaceStatsError(Exception):
    """Something that a user can put right; the message says what is wrong and the next step.

    The command line shows it as one message, without a traceback, and ends with exit code 1.
    """
