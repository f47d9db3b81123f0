"""HEIC, which phones write: decoded by libheif through pi-heif, the decoder alone of pillow-heif (its wheels hold no GPL encoder).

Not pi-heif's own Pillow plugin: on opening it has Pillow parse all of EXIF, which warns on damage, to find an orientation that HEIC says
elsewhere (`irot` and `imir`, which libheif applies).
"""

from typing import Any

from pi_heif import HeifFile
from PIL import ImageFile


class HeicImageFile(ImageFile.ImageFile):
    """The main picture of a HEIC file, upright, of 8 bits. `pictures`: how many the file has · `has_code_points`: its colours are described
    by numbers (nclx) that are not those of sRGB, and by no profile."""

    format = "HEIC"
    format_description = "HEIC"

    def _open(self) -> None:
        file = HeifFile(self.fp, convert_hdr_to_8bit=True, remove_stride=False)
        self._heif = file[file.primary_index]
        self.pictures = len(file)
        self._size, self._mode = self._heif.size, self._heif.mode
        self.info = {name: self._heif.info[name] for name in ("icc_profile",) if name in self._heif.info}
        points = self._heif.info.get("nclx_profile") or {}
        self.has_code_points = not self.info and points.get("color_primaries", 1) not in (1, 2)
        self.tile = []

    def load(self) -> Any:
        if self._im is None:
            data = self._heif.data
            if self._heif.size != self._size:
                raise OSError(f"the header says {self._size}, the picture has {self._heif.size}")
            self.load_prepare()
            self.frombytes(data, "raw", (self._heif.mode, self._heif.stride))
        return super().load()
