"""Network addresses of the web pages: whether one is loopback only, and whether a port is in use."""

import socket
from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def answers(host: str, port: int) -> bool:
    """Whether a server listens on a TCP port. Waits at most one second."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
