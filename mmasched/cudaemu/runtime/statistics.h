// What the emulated kernel executed, for the report.
#pragma once
#include <cstdint>

namespace emu {
struct Statistics {
  uint64_t matrix_instructions = 0, multiply_adds = 0, matrix_loads = 0, load_conflicts = 0, copies = 0, barriers = 0,
           blocks = 0, bulk_copies = 0;
};
extern Statistics statistics;
}  // namespace emu
