"""What is wrong with a photo, as a status and a sentence; decoders raise a dozen kinds of errors, which become this one."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image


class ImageProblem(Exception):
    """A photo that cannot be used: `status` is corrupt, too_large or unsupported; `reason` is one sentence without any path."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class BrokenTags(ValueError):
    """A tag directory of a TIFF file points outside the file or is cut short."""


def too_costly(what: str) -> ImageProblem:
    """The problem of a file that would keep a decoder busy for long, though it has no more pixels than are allowed."""
    return ImageProblem("too_large", f"decoding would take too long: it has {what}; save it again with another program")


@contextmanager
def decoder_errors() -> Iterator[None]:
    """Turn whatever a decoder raises on hostile bytes into ImageProblem."""
    try:
        yield
    except ImageProblem:
        raise
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageProblem("too_large", "the picture is too large to decode") from None
    except BrokenTags as error:
        raise ImageProblem("corrupt", f"the TIFF file is damaged: {error}") from None
    except (
        Exception
    ) as error:  # decoders raise a dozen types on damaged bytes: OSError, SyntaxError, struct.error, KeyError …
        text = " ".join(str(error).split())[:120] or type(error).__name__
        if isinstance(error, NotImplementedError) or re.search(
            r"unsupported|unknown|not available|no decoder", text, re.I
        ):
            raise ImageProblem("unsupported", f"a kind of picture that cannot be decoded: {text}") from None
        if re.search(r"truncated|EOF|end of file|incomplete", text, re.I):
            raise ImageProblem("corrupt", f"the file is cut short: {text}") from None
        raise ImageProblem("corrupt", f"the file is damaged: {text}") from None
