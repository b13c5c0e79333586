"""The peers on NVIDIA GPUs by name."""

from __future__ import annotations

from collections.abc import Sequence

from mmasched.compare.base import Peer
from mmasched.compare.cuda.cudnn_peer import CudnnPeer
from mmasched.compare.cuda.cutlass_peer import CutlassPeer
from mmasched.compare.cuda.metaschedule_peer import MetaSchedulePeer
from mmasched.compare.cuda.torch_peer import TorchPeer
from mmasched.compare.cuda.triton_peer import TritonPeer
from mmasched.errors import BadInput, nearest

_PEERS = {peer.name: peer for peer in (CudnnPeer(), CutlassPeer(), MetaSchedulePeer(), TritonPeer(), TorchPeer())}


def gpu_peer_names() -> list[str]:
    """The names of all peers on GPUs."""
    return list(_PEERS)


def gpu_peers(names: Sequence[str] | None = None) -> list[Peer]:
    """The peers of these names, all for None. Raises BadInput for an unknown name."""
    chosen = gpu_peer_names() if names is None else names
    for name in chosen:
        if name not in _PEERS:
            raise BadInput(f"there is no peer {name!r} on GPUs; {nearest(name, _PEERS)}")
    return [_PEERS[name] for name in chosen]
