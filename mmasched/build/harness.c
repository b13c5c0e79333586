/* Runs one compiled convolution on operand sets from a file and writes its outputs to another.
 *
 *     harness INPUT OUTPUT THREADS [count]
 *
 * INPUT, little-endian: int64 magic, number of cases, then for each of the six arguments x w c r y ws its element type
 * code, bits and number of elements; then for each case the bytes of x, w, c and r, each padded to 64 bytes.
 * OUTPUT: the bytes of y for each case. With `count` the last case runs between two marker instructions, which
 * tell a counting emulator what to count.
 *
 * Every argument ends at an inaccessible page; inputs are read-only while the kernel runs; the bytes between the end of
 * an argument and the next 64-byte boundary hold a pattern that must survive. Exit status: 0, 2 for bad files, 3 when
 * the kernel reports an error, 4 when it wrote behind an argument. */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARGUMENTS = 6, INPUTS = 4, OUTPUT = 4, WORKSPACE = 5, LINE = 64 };
enum { MAGIC = 0x4d4d4131, TENSOR_POINTER = 7, CPU = 1 };
enum { SLACK = 0xC3, OUTPUT_POISON = 0x5A, WORKSPACE_POISON = 0xA5 };
static const char *const NAMES[ARGUMENTS] = {"x", "w", "c", "r", "y", "ws"};

/* DLPack's tensor and TVM's argument cell, as the entry points take them (dlpack.h, tvm/ffi/c_api.h). */
typedef struct {
  void *data;
  struct { int32_t type, id; } device;
  int32_t ndim;
  struct { uint8_t code, bits; uint16_t lanes; } dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
} Tensor;

typedef struct {
  int32_t type_index, padding;
  union { int64_t integer; void *pointer; } value;
} Cell;

typedef struct {
  void *sync_handle;
  int32_t num_task;
} ParallelGroup;

typedef int (*ParallelBody)(int task, ParallelGroup *group, void *data);

extern int __tvm_ffi_main(void *self, Cell *arguments, int32_t count, Cell *result);

/* What the kernels expect of TVM's runtime. */

void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
  fprintf(stderr, "%s: ", kind);
  for (int32_t i = 0; i < count; i++) fputs(parts[i] ? parts[i] : "", stderr);
  fputc('\n', stderr);
}

void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message) { fprintf(stderr, "%s: %s\n", kind, message); }

static void *alloc_workspace(int type, int id, uint64_t bytes, int code, int bits) {
  (void)type, (void)id, (void)code, (void)bits;
  return aligned_alloc(LINE, (bytes + LINE - 1) / LINE * LINE);
}

static int free_workspace(int type, int id, void *pointer) {
  (void)type, (void)id;
  free(pointer);
  return 0;
}

typedef struct {
  ParallelBody body;
  ParallelGroup *group;
  void *data;
  int task, status;
} Task;

static void *run_task(void *argument) {
  Task *task = argument;
  task->status = task->body(task->task, task->group, task->data);
  return NULL;
}

static int thread_count = 1;

/* A count of 0 leaves the number of threads to the runtime. */
static int parallel_launch(ParallelBody body, void *data, int count) {
  if (count < 1) count = thread_count;
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, count);
  ParallelGroup group = {&barrier, count};
  pthread_t threads[count];
  Task tasks[count];
  int status = 0;
  for (int i = 0; i < count; i++) {
    tasks[i] = (Task){body, &group, data, i, 0};
    if (i > 0 && pthread_create(&threads[i], NULL, run_task, &tasks[i])) return -1;
  }
  run_task(&tasks[0]);
  for (int i = 0; i < count; i++) {
    if (i > 0) pthread_join(threads[i], NULL);
    if (tasks[i].status) status = tasks[i].status;
  }
  pthread_barrier_destroy(&barrier);
  return status;
}

static int parallel_barrier(int task, ParallelGroup *group) {
  (void)task;
  pthread_barrier_wait(group->sync_handle);
  return 0;
}

/* Generated objects hold these as weak variables. */
void *__TVMBackendAllocWorkspace = (void *)alloc_workspace;
void *__TVMBackendFreeWorkspace = (void *)free_workspace;
void *__TVMBackendParallelLaunch = (void *)parallel_launch;
void *__TVMBackendParallelBarrier = (void *)parallel_barrier;

/* Two instructions that do nothing and that no compiler writes: mov xzr, x17 and mov xzr, x18. */
static __attribute__((noinline)) void marker_begin(void) { __asm__ volatile(".inst 0xaa1103ff" ::: "memory"); }
static __attribute__((noinline)) void marker_end(void) { __asm__ volatile(".inst 0xaa1203ff" ::: "memory"); }

static int fail(const char *what) {
  fprintf(stderr, "harness: %s\n", what);
  exit(2);
}

typedef struct {
  uint8_t *data, *pages;
  size_t bytes, padded, mapped;
} Region;

/* `bytes` that end, but for padding to a line, at a page that must not be touched. */
static Region region(size_t bytes, size_t page) {
  Region made = {.bytes = bytes, .padded = (bytes + LINE - 1) / LINE * LINE};
  made.mapped = (made.padded + page - 1) / page * page;
  uint8_t *base = mmap(NULL, made.mapped + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) fail("out of memory");
  made.pages = base + page;
  if (mprotect(made.pages, made.mapped, PROT_READ | PROT_WRITE)) fail("mprotect");
  made.data = made.pages + made.mapped - made.padded;
  memset(made.data + bytes, SLACK, made.padded - bytes);
  return made;
}

static void write_all(int file, const uint8_t *data, size_t bytes) {
  while (bytes) {
    ssize_t written = write(file, data, bytes);
    if (written <= 0) fail("the output cannot be written");
    data += written, bytes -= written;
  }
}

int main(int argc, char **argv) {
  if (argc < 4 || (thread_count = atoi(argv[3])) < 1) fail("usage: harness INPUT OUTPUT THREADS [count]");
  int counted = argc > 4 && !strcmp(argv[4], "count");
  size_t page = sysconf(_SC_PAGESIZE);
  int input = open(argv[1], O_RDONLY);
  struct stat facts;
  if (input < 0 || fstat(input, &facts)) fail("the input cannot be read");
  const int64_t *header = mmap(NULL, facts.st_size, PROT_READ, MAP_PRIVATE, input, 0);
  if (header == MAP_FAILED || facts.st_size < 20 * 8 || header[0] != MAGIC) fail("the input is not one of ours");
  int output = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (output < 0) fail("the output cannot be written");

  Region regions[ARGUMENTS];
  Tensor tensors[ARGUMENTS];
  Cell cells[ARGUMENTS];
  int64_t shapes[ARGUMENTS], one = 1;
  for (int i = 0; i < ARGUMENTS; i++) {
    const int64_t *facts_of = header + 2 + 3 * i;
    shapes[i] = facts_of[2];
    regions[i] = region(facts_of[1] / 8 * facts_of[2], page);
    tensors[i] = (Tensor){.data = regions[i].data, .device = {CPU, 0}, .ndim = 1, .shape = &shapes[i], .strides = &one};
    tensors[i].dtype.code = facts_of[0], tensors[i].dtype.bits = facts_of[1], tensors[i].dtype.lanes = 1;
    cells[i] = (Cell){.type_index = TENSOR_POINTER, .value.pointer = &tensors[i]};
  }
  const uint8_t *next = (const uint8_t *)(header + 20);
  for (int64_t number = 0; number < header[1]; number++) {
    for (int i = 0; i < INPUTS; i++) {
      if (next + regions[i].padded > (const uint8_t *)header + facts.st_size) fail("the input is cut short");
      if (mprotect(regions[i].pages, regions[i].mapped, PROT_READ | PROT_WRITE)) fail("mprotect");
      memcpy(regions[i].data, next, regions[i].bytes);
      if (mprotect(regions[i].pages, regions[i].mapped, PROT_READ)) fail("mprotect");
      next += regions[i].padded;
    }
    memset(regions[OUTPUT].data, OUTPUT_POISON, regions[OUTPUT].bytes);
    memset(regions[WORKSPACE].data, WORKSPACE_POISON, regions[WORKSPACE].bytes);
    Cell result = {0};
    int mark = counted && number == header[1] - 1;
    if (mark) marker_begin();
    int status = __tvm_ffi_main(NULL, cells, ARGUMENTS, &result);
    if (mark) marker_end();
    if (status) return 3;
    for (int i = 0; i < ARGUMENTS; i++)
      for (size_t k = regions[i].bytes; k < regions[i].padded; k++)
        if (regions[i].data[k] != SLACK) return fprintf(stderr, "the kernel wrote behind %s\n", NAMES[i]), 4;
    write_all(output, regions[OUTPUT].data, regions[OUTPUT].bytes);
  }
  return close(output) ? 2 : 0;
}
