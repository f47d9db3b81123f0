"""Pixels at another size: bicubic with antialiasing, by torch's vectorised kernel for 8-bit pictures.

On 675² → 512² it takes 2.5 ms where Pillow takes 7.9 with the same filter and 10.8 with Lanczos; against Lanczos from the undecimated
photo the SSIM is 0.9936, 0.9936 and 0.9942. The values are Pillow's bicubic ones but for one or two levels in 0.5% of the pixels.
OpenCV shrinks by area in 5.2 ms (0.9925), and its faster ways do not average. `bench_preproc` measures the whole.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""RGB, (height, width, 3)."""

_CHANNELS_FIRST: Final = (2, 0, 1)


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """RGB uint8 (h, w, 3), in any memory layout, brought to (height, width, 3), contiguous; itself where the size is the same."""
    if pixels.shape[:2] == (height, width):
        return np.ascontiguousarray(pixels)
    import torch  # not above: whoever only looks at headers, or reads a picture that has its size, does not wait for it

    own = pixels if pixels.flags.writeable else pixels.copy()  # torch has no read-only memory and warns
    batch = torch.from_numpy(np.ascontiguousarray(own)).permute(_CHANNELS_FIRST)[None]  # stays channels-last
    resized = torch.nn.functional.interpolate(batch, size=(height, width), mode="bicubic", antialias=True)
    out: Pixels = resized[0].permute(1, 2, 0).contiguous().numpy()
    return out
