// mbarrier objects: arrivals and bytes of asynchronous copies that a phase waits for (PTX ISA, "mbarrier").
#pragma once
#include <cstdint>
#include "machine.h"

namespace emu {
void begin_mbarriers();
void end_mbarriers();
// The asynchronous engine's side: may the object be used by this lane's copy, and bytes that arrived, with what they make known.
void mbarrier_for_copy(uint32_t address, Lane& lane);
void mbarrier_complete(uint32_t address, uint32_t bytes, const VectorClock& known);
}  // namespace emu
