"""The byte-multiplying schemes by the name of their template."""

from __future__ import annotations

from mmasched.templates.arm.mla import Mla
from mmasched.templates.arm.schemes import Scheme
from mmasched.templates.arm.sdot import Sdot, Smmla
from mmasched.templates.arm.smlal import Smlal

SCHEMES: dict[str, Scheme] = {
    "neon_smlal": Smlal(), "neon_mla": Mla(), "neon_sdot": Sdot(), "neon_smmla": Smmla(),
}  # fmt: skip
