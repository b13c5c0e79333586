"""Peers on the same work in one run: other libraries, each in a process of its own, measured in rotation."""

from mmasched.compare.base import Peer, Prepared
from mmasched.compare.peers import peer_names, peers
from mmasched.compare.quantized_add import expressible

__all__ = ["Agreement", "Comparison", "OwnPeer", "Peer", "Prepared", "Row", "compare", "expressible", "missing_peers",
           "peer_names", "peers"]  # fmt: skip

_SESSION = ("Agreement", "Comparison", "Row", "compare", "missing_peers")


def __getattr__(name: str) -> object:
    """What only the parent process needs is loaded on first use: a peer's interpreter may lack what it imports."""
    if name in _SESSION:
        from mmasched.compare import session

        return getattr(session, name)
    if name == "OwnPeer":
        from mmasched.compare.own import OwnPeer

        return OwnPeer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
