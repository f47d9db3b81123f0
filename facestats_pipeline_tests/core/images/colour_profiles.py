"""Colour profiles made from that of sRGB."""

from facestats_pipeline_tests.hostile import srgb_profile


def swapped_profile() -> bytes:
    """sRGB with the primaries of red and green exchanged: a picture in it has its red and green exchanged in sRGB."""
    data = bytearray(srgb_profile())
    table = {bytes(data[132 + 12 * i : 136 + 12 * i]).decode(): 132 + 12 * i for i in range(data[131])}
    red, green = (data[table[name] + 4 : table[name] + 12] for name in ("rXYZ", "gXYZ"))
    data[table["rXYZ"] + 4 : table["rXYZ"] + 12], data[table["gXYZ"] + 4 : table["gXYZ"] + 12] = green, red
    at = int.from_bytes(data[table["desc"] + 4 : table["desc"] + 8], "big")
    return bytes(data).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be")) if at else bytes(data)
