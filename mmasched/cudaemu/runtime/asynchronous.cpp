#include "asynchronous.h"
#include "tensor_map.h"
namespace emu {
void begin_asynchronous() {}
bool deliver_one() { return false; }
void end_asynchronous() {}
TensorMap* read_tensor_map(std::istream&) { return nullptr; }
}
