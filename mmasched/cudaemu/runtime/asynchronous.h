// Work that completes behind the threads' backs (bulk copies), delivered as late as the waits allow or at once.
#pragma once
#include "machine.h"

namespace emu {
void begin_asynchronous();
// Completes the oldest pending load; false when there is none.
bool deliver_one();
// Fails for what a block may not leave behind.
void end_asynchronous();
// A read of shared memory by the asynchronous proxy on behalf of a lane: `reader` is the clock that has to know the writes.
void async_read(uint32_t offset, uint32_t size, Lane& lane, const VectorClock& reader, const char* what);
}  // namespace emu
