//go:build gpu && linux && amd64

// Every symbol of libcuda that gorgonia.org/cu links to, as a jump through a pointer that is filled from
// libcuda.so.1 before main begins. Without a driver each returns CUDA_ERROR_NOT_INITIALIZED, and cuInit
// succeeds with 0 devices: gorgonia.org/cu ends the process when cuInit fails.
#include <dlfcn.h>
#include <stddef.h>

typedef int CUresult;

enum { notInitialized = 3 };

static CUresult missing(void) { return notInitialized; }

int shim_state = -1; // -1: there is no driver; else the result of its cuInit

#define SYMBOLS(X) \
    X(cuArray3DCreate_v2) X(cuArray3DGetDescriptor_v2) X(cuArrayCreate_v2) X(cuArrayDestroy) \
    X(cuArrayGetDescriptor_v2) X(cuCtxCreate_v2) X(cuCtxDestroy_v2) X(cuCtxDisablePeerAccess) \
    X(cuCtxEnablePeerAccess) X(cuCtxGetApiVersion) X(cuCtxGetCacheConfig) X(cuCtxGetCurrent) \
    X(cuCtxGetDevice) X(cuCtxGetFlags) X(cuCtxGetLimit) X(cuCtxGetSharedMemConfig) \
    X(cuCtxGetStreamPriorityRange) X(cuCtxPopCurrent_v2) X(cuCtxPushCurrent_v2) \
    X(cuCtxResetPersistingL2Cache) X(cuCtxSetCacheConfig) X(cuCtxSetCurrent) X(cuCtxSetLimit) \
    X(cuCtxSetSharedMemConfig) X(cuCtxSynchronize) X(cuDeviceCanAccessPeer) X(cuDeviceGet) \
    X(cuDeviceGetAttribute) X(cuDeviceGetName) X(cuDeviceGetP2PAttribute) X(cuDeviceGetUuid) \
    X(cuDevicePrimaryCtxGetState) X(cuDevicePrimaryCtxRelease_v2) X(cuDevicePrimaryCtxReset_v2) \
    X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxSetFlags_v2) X(cuDeviceTotalMem_v2) X(cuEventCreate) \
    X(cuEventDestroy_v2) X(cuEventElapsedTime) X(cuEventQuery) X(cuEventRecord) X(cuEventSynchronize) \
    X(cuFuncGetAttribute) X(cuFuncSetCacheConfig) X(cuFuncSetSharedMemConfig) X(cuGraphAddChildGraphNode) \
    X(cuGraphAddDependencies) X(cuGraphAddEmptyNode) X(cuGraphAddHostNode) X(cuGraphAddKernelNode_v2) \
    X(cuGraphAddMemcpyNode) X(cuGraphAddMemsetNode) X(cuGraphClone) X(cuGraphCreate) X(cuGraphDestroy) \
    X(cuGraphDestroyNode) X(cuGraphExecDestroy) X(cuGraphGetEdges) X(cuLaunchKernel) X(cuLinkAddData_v2) \
    X(cuLinkAddFile_v2) X(cuLinkComplete) X(cuLinkCreate_v2) X(cuLinkDestroy) X(cuMemAdvise) \
    X(cuMemAllocManaged) X(cuMemAllocPitch_v2) X(cuMemAlloc_v2) X(cuMemFreeHost) X(cuMemFree_v2) \
    X(cuMemGetAddressRange_v2) X(cuMemGetInfo_v2) X(cuMemPrefetchAsync) X(cuMemcpy) X(cuMemcpy2DAsync_v2) \
    X(cuMemcpy2DUnaligned_v2) X(cuMemcpy2D_v2) X(cuMemcpy3DAsync_v2) X(cuMemcpy3DPeer) \
    X(cuMemcpy3DPeerAsync) X(cuMemcpy3D_v2) X(cuMemcpyAsync) X(cuMemcpyAtoA_v2) X(cuMemcpyAtoD_v2) \
    X(cuMemcpyAtoHAsync_v2) X(cuMemcpyAtoH_v2) X(cuMemcpyDtoA_v2) X(cuMemcpyDtoDAsync_v2) \
    X(cuMemcpyDtoD_v2) X(cuMemcpyDtoHAsync_v2) X(cuMemcpyDtoH_v2) X(cuMemcpyHtoAAsync_v2) \
    X(cuMemcpyHtoA_v2) X(cuMemcpyHtoDAsync_v2) X(cuMemcpyHtoD_v2) X(cuMemcpyPeer) X(cuMemcpyPeerAsync) \
    X(cuMemsetD16Async) X(cuMemsetD16_v2) X(cuMemsetD2D16Async) X(cuMemsetD2D16_v2) X(cuMemsetD2D32Async) \
    X(cuMemsetD2D32_v2) X(cuMemsetD2D8Async) X(cuMemsetD2D8_v2) X(cuMemsetD32Async) X(cuMemsetD32_v2) \
    X(cuMemsetD8Async) X(cuMemsetD8_v2) X(cuModuleGetFunction) X(cuModuleGetGlobal_v2) \
    X(cuModuleGetSurfRef) X(cuModuleGetTexRef) X(cuModuleLoad) X(cuModuleLoadData) X(cuModuleLoadDataEx) \
    X(cuModuleLoadFatBinary) X(cuModuleUnload) X(cuOccupancyMaxActiveBlocksPerMultiprocessor) \
    X(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags) X(cuPointerGetAttribute) \
    X(cuPointerSetAttribute) X(cuStreamAttachMemAsync) X(cuStreamCreate) X(cuStreamCreateWithPriority) \
    X(cuStreamDestroy_v2) X(cuStreamGetFlags) X(cuStreamGetPriority) X(cuStreamQuery) \
    X(cuStreamSynchronize) X(cuStreamWaitEvent) X(cuStreamWaitValue32_v2) X(cuStreamWriteValue32_v2) \
    X(cuSurfRefGetArray) X(cuSurfRefSetArray) X(cuTexRefGetAddressMode) X(cuTexRefGetAddress_v2) \
    X(cuTexRefGetArray) X(cuTexRefGetBorderColor) X(cuTexRefGetFilterMode) X(cuTexRefGetFlags) \
    X(cuTexRefGetFormat) X(cuTexRefGetMaxAnisotropy) X(cuTexRefSetAddress2D_v3) X(cuTexRefSetAddressMode) \
    X(cuTexRefSetAddress_v2) X(cuTexRefSetArray) X(cuTexRefSetBorderColor) X(cuTexRefSetFilterMode) \
    X(cuTexRefSetFlags) X(cuTexRefSetFormat) X(cuTexRefSetMaxAnisotropy) X(cuTexRefSetMipmapFilterMode) \
    X(cuTexRefSetMipmapLevelBias) X(cuTexRefSetMipmapLevelClamp)

#define FORWARD(name) \
    void *shim_##name __attribute__((visibility("hidden"))) = (void *)missing; \
    __asm__(".pushsection .text\n.globl " #name "\n.type " #name ",@function\n" #name \
            ": jmp *shim_" #name "(%rip)\n.popsection\n");
SYMBOLS(FORWARD)

static CUresult (*init)(unsigned), (*count)(int *), (*version)(int *);

CUresult cuInit(unsigned flags) {
    if (init) shim_state = init(flags);
    return 0;
}

CUresult cuDeviceGetCount(int *n) {
    *n = 0;
    return shim_state == 0 ? count(n) : 0;
}

CUresult cuDriverGetVersion(int *v) {
    *v = 0;
    return version ? version(v) : 0;
}

__attribute__((constructor)) static void load(void) {
    void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL), *s;
    if (!lib) return;
    *(void **)&init = dlsym(lib, "cuInit");
    *(void **)&count = dlsym(lib, "cuDeviceGetCount");
    *(void **)&version = dlsym(lib, "cuDriverGetVersion");
#define FIND(name) \
    if ((s = dlsym(lib, #name))) shim_##name = s;
    SYMBOLS(FIND)
}
