// Which lane runs next. Lanes of a warp run one after the other until each waits; the collective they wait for is then
// executed, or, if it cannot be, the next warp runs. Nothing runnable at all is a divergence or a deadlock.
#include <cstdio>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include "asynchronous.h"
#include "failure.h"
#include "fiber.h"
#include "machine.h"

namespace emu {

Machine machine;

constexpr size_t kStack = 256 << 10;
static char* stacks = nullptr;
static void (*block_entry)(void**) = nullptr;
static void** block_arguments = nullptr;

char* stack_of(const Lane& lane) { return stacks + size_t(lane.thread) * kStack; }
size_t stack_bytes() { return kStack; }

static Lane& first_ready(Warp& warp) {
  return warp.lanes[machine.options.reverse ? 31 - __builtin_clz(warp.ready) : __builtin_ctz(warp.ready)];
}

static void switch_to(Lane& next) {
  Lane* self = machine.current;
  if (&next == self) return;
  machine.current = &next;
  if (++machine.switches > machine.options.switch_limit)
    fail("Hang", "the kernel is still running after %llu steps", (unsigned long long)machine.options.switch_limit);
  emu_switch(&self->stack_pointer, next.stack_pointer);
}

// Executes a collective whose lanes have all arrived; true when lanes of the warp may go on.
static bool resolve(Warp& warp) {
  uint32_t waiting = 0;
  for (uint32_t i = 0; i < kLanes; i++)
    if ((warp.live >> i & 1) && warp.lanes[i].wait == Wait::collective) waiting |= 1u << i;
  while (waiting) {
    uint32_t leader = uint32_t(__builtin_ctz(waiting));
    uint32_t mask = warp.mask[leader];
    bool complete = (mask & ~waiting) == 0 && (mask >> leader & 1);
    for (uint32_t i = 0; complete && i < kLanes; i++)
      if (mask >> i & 1)
        complete = warp.operation[i] == warp.operation[leader] && warp.mask[i] == mask &&
                   warp.detail[i] == warp.detail[leader];
    if (complete) {
      machine.current = &warp.lanes[leader];
      bool go_on = warp.operation[leader]->execute(warp, mask);
      for (uint32_t i = 0; i < kLanes; i++)
        if (mask >> i & 1) warp.lanes[i].wait = go_on ? Wait::none : Wait::barrier;
      if (go_on) warp.ready |= mask;
      if (warp.ready) return true;
      waiting &= ~mask;
    } else {
      uint32_t same = 0;
      for (uint32_t i = 0; i < kLanes; i++)
        if ((waiting >> i & 1) && warp.operation[i] == warp.operation[leader] && warp.mask[i] == mask &&
            warp.detail[i] == warp.detail[leader])
          same |= 1u << i;
      waiting &= ~(same | 1u << leader);
    }
  }
  return false;
}

static void describe(std::string& text, const Warp& warp) {
  for (uint32_t i = 0; i < kLanes;) {
    if (!(warp.created >> i & 1)) break;
    const Lane& lane = warp.lanes[i];
    auto state = [&](uint32_t j) {
      const Lane& other = warp.lanes[j];
      return other.wait == Wait::exited ? "exit" : other.wait == Wait::collective ? warp.operation[j]->name : other.waiting_for;
    };
    uint32_t end = i + 1;
    while (end < kLanes && (warp.created >> end & 1) && warp.lanes[end].wait == lane.wait && !strcmp(state(i), state(end))) end++;
    char part[160];
    snprintf(part, sizeof part, "; warp %u lanes %u-%u: %s", warp.index, i, end - 1, state(i));
    if (text.size() < 1500) text += part;
    i = end;
  }
}

[[noreturn]] static void stuck() {
  const Warp* diverged = nullptr;
  for (uint32_t w = 0; w < machine.warp_count && !diverged; w++)
    for (const Lane& lane : machine.warps[w].lanes)
      if ((machine.warps[w].live >> lane.index & 1) && lane.wait == Wait::collective) {
        diverged = &machine.warps[w];
        machine.current = const_cast<Lane*>(&lane);
        break;
      }
  bool exited = false, barrier = false;
  for (uint32_t w = 0; w < machine.warp_count; w++)
    for (const Lane& lane : machine.warps[w].lanes) {
      if (!(machine.warps[w].created >> lane.index & 1)) continue;
      exited |= lane.wait == Wait::exited;
      if (lane.wait == Wait::barrier || lane.wait == Wait::condition) {
        if (!barrier && !diverged) machine.current = const_cast<Lane*>(&lane);
        barrier |= lane.wait == Wait::barrier;
      }
    }
  std::string text;
  for (uint32_t w = 0; w < machine.warp_count; w++) describe(text, machine.warps[w]);
  if (diverged)
    fail("Divergence", "the lanes of warp %u do not meet at one instruction%s", diverged->index, text.c_str());
  fail("Deadlock", "no thread can go on%s%s", exited && barrier ? " and some have left the kernel" : "", text.c_str());
}

static bool any_condition() {
  for (uint32_t w = 0; w < machine.warp_count; w++)
    for (Lane& lane : machine.warps[w].lanes)
      if (lane.wait == Wait::condition && lane.condition(lane)) {
        wake(lane);
        return true;
      }
  return false;
}

constexpr int kMostPolls = 1000;

// Lanes that poll without success get their chance when nothing else runs, but not for ever.
static bool wake_pollers() {
  static uint64_t last_progress = 0;
  static int polls = 0;
  if (machine.progress != last_progress) polls = 0;
  last_progress = machine.progress;
  bool any = false;
  for (uint32_t w = 0; w < machine.warp_count; w++)
    for (Lane& lane : machine.warps[w].lanes)
      if (lane.wait == Wait::condition && lane.polling) {
        wake(lane);
        any = true;
      }
  return any && ++polls <= kMostPolls;
}

// Continues with whatever may run; returns when it is the caller's turn again.
static void schedule(Warp& from) {
  uint32_t start = from.index;
  for (;;) {
    for (uint32_t i = 0; i < machine.warp_count; i++) {
      uint32_t step = machine.options.reverse ? machine.warp_count - i : i;
      Warp& warp = machine.warps[(start + step) % machine.warp_count];
      if (warp.ready || (warp.live && resolve(warp))) {
        // resolve() borrows machine.current to name a lane in its errors.
        return;
      }
    }
    if (any_condition()) continue;
    if (deliver_one() || wake_pollers()) continue;
    stuck();
  }
}

static Warp* ready_warp(uint32_t start) {
  for (uint32_t i = 0; i < machine.warp_count; i++) {
    uint32_t step = machine.options.reverse ? machine.warp_count - i : i;
    Warp& warp = machine.warps[(start + step) % machine.warp_count];
    if (warp.ready) return &warp;
  }
  return nullptr;
}

static void suspend(Lane& self) {
  Warp& warp = *self.warp;
  warp.ready &= ~(1u << self.index);
  if (!warp.ready) {
    schedule(warp);
    machine.current = &self;
  }
  Warp* next = warp.ready ? &warp : ready_warp(warp.index);
  switch_to(first_ready(*next));
}

emu_pair collective(const Operation& operation, uint64_t detail, uint32_t mask, uint64_t a, uint64_t b, uint64_t c,
                    uint64_t d, uint64_t e) {
  Lane& self = *machine.current;
  Warp& warp = *self.warp;
  uint32_t i = self.index;
  warp.operation[i] = &operation;
  warp.detail[i] = detail;
  warp.mask[i] = mask;
  warp.in[0][i] = a;
  warp.in[1][i] = b;
  warp.in[2][i] = c;
  warp.in[3][i] = d;
  warp.in[4][i] = e;
  self.wait = Wait::collective;
  self.waiting_for = operation.name;
  suspend(self);
  return {warp.out[0][i], warp.out[1][i]};
}

void wait_until(bool (*condition)(Lane&), uint64_t first, uint64_t second, const char* what) {
  Lane& self = *machine.current;
  self.condition_argument[0] = first;
  self.condition_argument[1] = second;
  if (condition(self)) return;
  self.condition = condition;
  self.polling = false;
  self.wait = Wait::condition;
  self.waiting_for = what;
  suspend(self);
}

void poll(bool (*condition)(Lane&), uint64_t first, uint64_t second, const char* what) {
  Lane& self = *machine.current;
  self.condition_argument[0] = first;
  self.condition_argument[1] = second;
  self.condition = condition;
  self.polling = true;
  self.wait = Wait::condition;
  self.waiting_for = what;
  suspend(self);
}

void wake(Lane& lane) {
  lane.wait = Wait::none;
  lane.warp->ready |= 1u << lane.index;
}

static void lane_entry() {
  block_entry(block_arguments);
  Lane& self = *machine.current;
  Warp& warp = *self.warp;
  warp.live &= ~(1u << self.index);
  self.wait = Wait::exited;
  uint32_t live = 0;
  for (uint32_t w = 0; w < machine.warp_count; w++) live |= machine.warps[w].live;
  if (live) suspend(self);
  machine.current = nullptr;
  emu_switch(&self.stack_pointer, machine.main_stack);
  __builtin_unreachable();
}

void run_block(void (*entry)(void**), void** arguments) {
  if (!stacks) {
    void* memory = mmap(nullptr, kStack * kLanes * kMaxWarps, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fail("LimitReached", "no address space for the threads' stacks");
    stacks = static_cast<char*>(memory);
    for (int i = 0; i < kLanes * kMaxWarps; i++) mprotect(stacks + size_t(i) * kStack, 4096, PROT_NONE);
  }
  block_entry = entry;
  block_arguments = arguments;
  machine.warp_count = (machine.threads + kLanes - 1) / kLanes;
  begin_clocks();
  for (uint32_t w = 0; w < machine.warp_count; w++) {
    Warp& warp = machine.warps[w];
    uint32_t count = machine.threads - w * kLanes;
    warp.index = w;
    warp.created = warp.ready = warp.live = count >= kLanes ? kAllLanes : (1u << count) - 1;
    for (uint32_t i = 0; i < kLanes; i++) {
      Lane& lane = warp.lanes[i];
      lane.warp = &warp;
      lane.index = i;
      lane.thread = w * kLanes + i;
      lane.wait = Wait::none;
      lane.refused = 0;
      lane.copies.clear();
      lane.groups.clear();
      lane.open = 0;
      if (warp.created >> i & 1) lane.stack_pointer = new_context(stack_of(lane), kStack, lane_entry);
    }
  }
  Warp& first = machine.warps[machine.options.reverse ? machine.warp_count - 1 : 0];
  machine.current = &first_ready(first);
  emu_switch(&machine.main_stack, machine.current->stack_pointer);
  machine.current = nullptr;
}

}  // namespace emu
