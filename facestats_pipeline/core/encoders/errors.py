"""The one error of everything that can keep an encoder from being loaded or used."""


class EncoderUnavailable(Exception):
    """The encoder cannot be used; the message names the encoder or the file, what is wrong, and what to do."""
