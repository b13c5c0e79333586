/* A qemu plugin that counts what runs between two marker instructions of a 64-bit Arm program.
 *
 * Options: out=FILE, l1=BYTES:WAYS, l2=BYTES:WAYS (64-byte lines, least recently used, both empty at the start).
 * FILE gets one line of totals, "memory LOADS STORES BYTES_READ BYTES_WRITTEN L1_MISSES L2_MISSES EXPOSED_L2
 * EXPOSED_MEMORY", then for every translation block that ran "block ADDRESS EXECUTIONS" and its instruction words in
 * hexadecimal. Exposed are those misses of level 1 that do not continue an ascending run of misses, which a
 * hardware prefetcher would have fetched ahead; they are served by level 2 or by memory.
 *
 * One thread is counted: programs with more give figures without meaning. */
#include "qemu_plugin_api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

EXPORTED int qemu_plugin_version = API;

enum { BEGIN = 0xaa1103ff, END = 0xaa1203ff }; /* See build/harness.c. */
enum { BUCKETS = 1 << 14, LINE_BITS = 6, STREAMS = 16, ESTABLISHED = 3, NEAR = 4, MOST_WAYS = 32 };

typedef struct Block {
  struct Block *next;
  uint64_t address, executions;
  size_t size;
  uint32_t words[];
} Block;

typedef struct {
  uint64_t sets, ways, *lines; /* lines[set * ways]: most recently used first, line + 1, 0 for none */
} Cache;

static Block *blocks[BUCKETS];
static Cache level1, level2;
static struct { uint64_t last, length, age; } streams[STREAMS];
static uint64_t accesses[2], bytes[2], misses1, misses2, exposed2, exposed_memory, clock_now;
static bool counting;
static char out_path[4096];

static bool hit(Cache *cache, uint64_t line) {
  uint64_t *set = cache->lines + line % cache->sets * cache->ways, wanted = line + 1, way = 0;
  while (way < cache->ways - 1 && set[way] != wanted) way++;
  bool found = set[way] == wanted;
  memmove(set + 1, set, way * sizeof *set);
  set[0] = wanted;
  return found;
}

/* True when the miss continues an ascending run of at least three; lines in between may have been in the cache. A new run
 * takes the place of one that it comes back to, else of the oldest that is not yet that long, else of the oldest. */
static bool streamed(uint64_t line) {
  int victim = 0;
  clock_now++;
  for (int i = 0; i < STREAMS; i++) {
    if (streams[i].age && line - streams[i].last - 1 < NEAR) {
      streams[i].last = line, streams[i].age = clock_now;
      return ++streams[i].length >= ESTABLISHED;
    }
    bool held = streams[i].length >= ESTABLISHED, victim_held = streams[victim].length >= ESTABLISHED;
    if (held != victim_held ? !held : streams[i].age < streams[victim].age) victim = i;
  }
  for (int i = 0; i < STREAMS; i++)
    if (streams[i].last - line < NEAR) victim = i;
  streams[victim].last = line, streams[victim].length = 1, streams[victim].age = clock_now;
  return false;
}

static void touched(unsigned cpu, uint32_t info, uint64_t address, void *data) {
  (void)cpu, (void)data;
  if (!counting) return;
  bool store = qemu_plugin_mem_is_store(info);
  accesses[store]++;
  bytes[store] += 1u << qemu_plugin_mem_size_shift(info);
  uint64_t line = address >> LINE_BITS;
  if (hit(&level1, line)) return;
  misses1++;
  bool ahead = streamed(line);
  if (hit(&level2, line)) {
    exposed2 += !ahead;
  } else {
    misses2++;
    exposed_memory += !ahead;
  }
}

static void executed(unsigned cpu, void *data) {
  (void)cpu;
  ((Block *)data)->executions += counting;
}

static void begin(unsigned cpu, void *data) { (void)cpu, (void)data, counting = true; }
static void end(unsigned cpu, void *data) { (void)cpu, (void)data, counting = false; }

static Block *find(uint64_t address, const uint32_t *words, size_t size) {
  Block **bucket = &blocks[(address >> 2 ^ size) % BUCKETS];
  for (Block *block = *bucket; block; block = block->next)
    if (block->address == address && block->size == size && !memcmp(block->words, words, 4 * size)) return block;
  Block *made = calloc(1, sizeof *made + 4 * size);
  made->next = *bucket, made->address = address, made->size = size;
  memcpy(made->words, words, 4 * size);
  return *bucket = made;
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  size_t size = qemu_plugin_tb_n_insns(tb);
  uint32_t words[size];
  for (size_t i = 0; i < size; i++) {
    struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(tb, i);
#if API >= 3
    qemu_plugin_insn_data(instruction, &words[i], 4);
#else
    memcpy(&words[i], qemu_plugin_insn_data(instruction), 4);
#endif
    if (words[i] == BEGIN) qemu_plugin_register_vcpu_insn_exec_cb(instruction, begin, WITHOUT_REGISTERS, NULL);
    if (words[i] == END) qemu_plugin_register_vcpu_insn_exec_cb(instruction, end, WITHOUT_REGISTERS, NULL);
    qemu_plugin_register_vcpu_mem_cb(instruction, touched, WITHOUT_REGISTERS, READS_AND_WRITES, NULL);
  }
  Block *block = find(qemu_plugin_tb_vaddr(tb), words, size);
  qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, WITHOUT_REGISTERS, block);
}

static void finished(uint64_t id, void *data) {
  (void)id, (void)data;
  FILE *file = fopen(out_path, "w");
  if (!file) return;
  fprintf(file, "memory %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, accesses[0], accesses[1], bytes[0], bytes[1]);
  fprintf(file, " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", misses1, misses2, exposed2, exposed_memory);
  for (int i = 0; i < BUCKETS; i++)
    for (Block *block = blocks[i]; block; block = block->next) {
      if (!block->executions) continue;
      fprintf(file, "block %" PRIx64 " %" PRIu64 " ", block->address, block->executions);
      for (size_t k = 0; k < block->size; k++) fprintf(file, "%08" PRIx32, block->words[k]);
      fputc('\n', file);
    }
  fclose(file);
}

static bool shape(Cache *cache, const char *text) {
  uint64_t size, ways;
  if (sscanf(text, "%" SCNu64 ":%" SCNu64, &size, &ways) != 2 || !ways || ways > MOST_WAYS) return false;
  cache->ways = ways, cache->sets = (size >> LINE_BITS) / ways;
  if (!cache->sets) return false;
  cache->lines = calloc(cache->sets * ways, sizeof *cache->lines);
  return cache->lines != NULL;
}

EXPORTED int qemu_plugin_install(uint64_t id, const struct qemu_info_t *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    if (!strncmp(argv[i], "out=", 4)) {
      snprintf(out_path, sizeof out_path, "%s", argv[i] + 4);
    } else if (!strncmp(argv[i], "l1=", 3) ? !shape(&level1, argv[i] + 3)
                                             : strncmp(argv[i], "l2=", 3) || !shape(&level2, argv[i] + 3)) {
      fprintf(stderr, "count plugin: bad option %s\n", argv[i]);
      return 1;
    }
  }
  if (!out_path[0] || !level1.sets || !level2.sets) return fprintf(stderr, "count plugin: needs out, l1 and l2\n"), 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, finished, NULL);
  return 0;
}
