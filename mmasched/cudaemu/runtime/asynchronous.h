// Work that completes behind the threads' backs (bulk copies), delivered as late as the waits allow or at once.
#pragma once

namespace emu {
void begin_asynchronous();
// Completes the oldest pending operation; false when there is none.
bool deliver_one();
// What a block may not leave behind.
void end_asynchronous();
}  // namespace emu
