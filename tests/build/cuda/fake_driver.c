/* A driver library for tests: the prototypes are those of cuda.h, memory is the host's, a kernel doubles words. */
#include <cuda.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int failing; } Kernel;
typedef struct { Kernel* kernel; unsigned count; unsigned* in; unsigned* out; } Work;
typedef struct { Work work[64]; int size; } Graph;

static Graph* recording;
static CUresult broken;
static float clock_ms;
static float events[2];
static int next_event;
static int shared_limit;

CUresult cuInit(unsigned flags) { return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice* device, int ordinal) { *device = 40 + ordinal; return CUDA_SUCCESS; }
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  *context = (CUcontext)0x7000000000000001;
  return device == 40 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
CUresult cuCtxSetCurrent(CUcontext context) {
  return context == (CUcontext)0x7000000000000001 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}
CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
  *stream = (CUstream)0x7000000000000002;
  return flags == CU_STREAM_NON_BLOCKING ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
static CUresult on(CUstream stream) {
  return stream == (CUstream)0x7000000000000002 ? broken : CUDA_ERROR_INVALID_HANDLE;
}
CUresult cuStreamSynchronize(CUstream stream) { return on(stream); }
CUresult cuEventCreate(CUevent* event, unsigned flags) { *event = (CUevent)&events[next_event++]; return CUDA_SUCCESS; }
CUresult cuEventRecord(CUevent event, CUstream stream) { *(float*)event = clock_ms; return on(stream); }
CUresult cuEventSynchronize(CUevent event) { return event == (CUevent)&events[1] ? broken : CUDA_ERROR_INVALID_HANDLE; }
#undef cuEventElapsedTime
CUresult cuEventElapsedTime(float* ms, CUevent begin, CUevent end) {
  *ms = *(float*)end - *(float*)begin;
  return CUDA_SUCCESS;
}
CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  if (memcmp(image, "\177ELF\0image", 10)) return CUDA_ERROR_INVALID_IMAGE;
  *module = (CUmodule)malloc(1);
  return CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule module) { free(module); return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  Kernel* kernel = malloc(sizeof(Kernel));
  kernel->failing = !strcmp(name, "faulty");
  *function = (CUfunction)kernel;
  return strcmp(name, "absent") ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_ERROR_INVALID_VALUE;
  shared_limit = value;
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc_v2(CUdeviceptr* pointer, size_t size) {
  *pointer = (CUdeviceptr)malloc(size);
  return size > 1 << 20 ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}
CUresult cuMemFree_v2(CUdeviceptr pointer) { free((void*)pointer); return broken; }
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t size, CUstream stream) {
  memcpy((void*)to, from, size);
  return on(stream);
}
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t size, CUstream stream) {
  memcpy(to, (void*)from, size);
  return on(stream);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
  memcpy((void*)to, (void*)from, size);
  return on(stream);
}
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
  for (size_t i = 0; i < count; ++i) ((unsigned*)to)[i] = value;
  return on(stream);
}
static void execute(Work* work) {
  if (work->kernel->failing) broken = CUDA_ERROR_ILLEGAL_ADDRESS;
  for (unsigned i = 0; i < work->count; ++i) work->out[i] = 2 * work->in[i];
  clock_ms += 0.5f;
}
CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, CUstream stream, void** parameters, void** extra) {
  if (gy * gz * by * bz != 1 || extra || (int)shared > (shared_limit > 49152 ? shared_limit : 49152))
    return CUDA_ERROR_INVALID_VALUE;
  Work work = {(Kernel*)function, gx * bx, *(unsigned**)parameters[0], *(unsigned**)parameters[1]};
  if (recording) recording->work[recording->size++] = work;
  else execute(&work);
  return on(stream);
}
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  recording = calloc(1, sizeof(Graph));
  return mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL ? on(stream) : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  *graph = (CUgraph)recording;
  recording = NULL;
  return on(stream);
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long flags) {
  *executable = (CUgraphExec)malloc(sizeof(Graph));
  memcpy(*executable, graph, sizeof(Graph));
  return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) { free(graph); return CUDA_SUCCESS; }
CUresult cuGraphUpload(CUgraphExec graph, CUstream stream) { return on(stream); }
CUresult cuGraphLaunch(CUgraphExec graph, CUstream stream) {
  Graph* recorded = (Graph*)graph;
  for (int i = 0; i < recorded->size; ++i) execute(&recorded->work[i]);
  return on(stream);
}
CUresult cuGraphExecDestroy(CUgraphExec graph) { free(graph); return CUDA_SUCCESS; }
CUresult cuMemGetInfo_v2(size_t* left, size_t* total) { *left = 12345; *total = 1 << 20; return CUDA_SUCCESS; }
CUresult cuGetErrorName(CUresult error, const char** text) {
  *text = error == CUDA_ERROR_ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS" : NULL;
  return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuGetErrorString(CUresult error, const char** text) {
  *text = "an illegal memory access was encountered";
  return CUDA_SUCCESS;
}
