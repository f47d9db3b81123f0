"""The error raised when an encoder cannot be loaded or used."""


class EncoderUnavailable(Exception):
    """The encoder cannot be used. The message names the encoder or the file, the problem and the remedy."""
