/* A CUDA driver without a GPU: memory is the host's, kernels do nothing, every pair of events is 1 ms apart. */
#include <stdlib.h>
#include <string.h>
typedef unsigned long long pointer;
static int launches, failing;
int fake_launches(void) { return launches; }
void fake_fail_launches(int error) { failing = error; }
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int* n) { *n = 1; return 0; }
int cuDeviceGet(int* device, int number) { *device = number; return 0; }
int cuDevicePrimaryCtxRetain(void** context, int device) { *context = (void*)1; return 0; }
int cuCtxSetCurrent(void* context) { return 0; }
int cuDeviceGetName(char* name, int size, int device) { strncpy(name, "Fake GPU", size); return 0; }
int cuDeviceGetPCIBusId(char* name, int size, int device) { strncpy(name, "0000:00:00.0", size); return 0; }
int cuDeviceTotalMem_v2(size_t* size, int device) { *size = 1ull << 34; return 0; }
int cuDriverGetVersion(int* version) { *version = 13000; return 0; }
int cuDeviceGetAttribute(int* value, int number, int device) {
  *value = number == 16 ? 4 : number == 13 ? 1000000 : number == 36 ? 2000000 : number == 38 ? 1 << 20
         : number == 75 ? 9 : 0;
  return 0;
}
int cuStreamCreate(void** stream, unsigned flags) { *stream = (void*)2; return 0; }
int cuGetErrorName(int error, const char** text) { *text = error == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : 0; return *text == 0; }
int cuMemAlloc_v2(pointer* where, size_t size) { *where = (pointer)calloc(1, size); return *where ? 0 : 2; }
int cuMemFree_v2(pointer where) { free((void*)where); return 0; }
int cuMemcpyHtoD_v2(pointer to, const void* from, size_t size) { memcpy((void*)to, from, size); return 0; }
int cuMemcpyDtoH_v2(void* to, pointer from, size_t size) { memcpy(to, (void*)from, size); return 0; }
int cuMemsetD8_v2(pointer to, unsigned char byte, size_t size) { memset((void*)to, byte, size); return 0; }
int cuMemGetInfo_v2(size_t* free_bytes, size_t* total) { *free_bytes = *total = 1ull << 34; return 0; }
int cuModuleLoadData(void** module, const void* image) { *module = (void*)3; return 0; }
int cuModuleGetFunction(void** function, void* module, const char* name) {
  *function = (void*)4;
  return strcmp(name, "absent") ? 0 : 500;
}
int cuFuncGetAttribute(int* value, int number, void* function) { *value = number == 4 ? 40 : 0; return 0; }
int cuFuncSetAttribute(void* function, int number, int value) { return 0; }
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* stream, void** arguments, void** extra) {
  ++launches;
  return gx && gy && gz && bx && bx <= 1024 && by == 1 && bz == 1 && stream == (void*)2 && !extra ? failing : 1;
}
int cuEventCreate(void** event, unsigned flags) { *event = (void*)5; return 0; }
int cuEventRecord(void* event, void* stream) { return 0; }
int cuEventSynchronize(void* event) { return 0; }
int cuEventElapsedTime(float* milliseconds, void* start, void* end) { *milliseconds = 1.0f; return 0; }
int cuCtxSynchronize(void) { return 0; }
int cuTensorMapEncodeTiled(void* map) { memset(map, 7, 128); return 0; }
