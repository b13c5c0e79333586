/* What compiled kernels expect of TVM's runtime, for programs without it. Included by the code of one network. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { INTEGER = 1, TENSOR_POINTER = 7, CPU = 1 };

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

/* What the kernels expect of TVM's runtime. */

__attribute__((visibility("hidden"))) void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
  fprintf(stderr, "%s: ", kind);
  for (int32_t i = 0; i < count; i++) fputs(parts[i] ? parts[i] : "", stderr);
  fputc('\n', stderr);
}

__attribute__((visibility("hidden"))) void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message) { fprintf(stderr, "%s: %s\n", kind, message); }

static void *alloc_workspace(int type, int id, uint64_t bytes, int code, int bits) {
  (void)type, (void)id, (void)code, (void)bits;
  return aligned_alloc(64, (bytes + 64 - 1) / 64 * 64);
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

static void runtime_threads(int count) { thread_count = count; }
