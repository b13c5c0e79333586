"""The peers by name."""

from __future__ import annotations

from collections.abc import Sequence

from mmasched.compare.base import Peer
from mmasched.compare.onednn_peer import OneDnnPeer
from mmasched.compare.onnxruntime_peer import OnnxRuntimeGemmPeer, OnnxRuntimePeer
from mmasched.compare.openvino_peer import OpenVinoPeer
from mmasched.errors import BadInput, nearest

_PEERS = {peer.name: peer for peer in (OnnxRuntimePeer(), OnnxRuntimeGemmPeer(), OneDnnPeer(), OpenVinoPeer())}


def peer_names() -> list[str]:
    """The names of all peers."""
    return list(_PEERS)


def peers(names: Sequence[str] | None = None) -> list[Peer]:
    """The peers of these names, all for None. Raises BadInput for an unknown name."""
    chosen = peer_names() if names is None else names
    for name in chosen:
        if name not in _PEERS:
            raise BadInput(f"there is no peer {name!r}; {nearest(name, _PEERS)}")
    return [_PEERS[name] for name in chosen]
