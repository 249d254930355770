// What all kernels share: types, reductions in a fixed order.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
typedef __nv_bfloat16 bf16;
#define ALL 0xffffffffu
#define KERNEL extern "C" __global__ void

// The sum of a warp's values, the same in all lanes. The tree of additions is fixed.
__device__ __forceinline__ float warp_sum(float v) {
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(ALL, v, o);
  return v;
}

// The largest of a warp's values; a NaN wins.
__device__ __forceinline__ float nan_max(float a, float b) {
  float r;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
__device__ __forceinline__ float warp_max(float v) {
  for (int o = 16; o; o >>= 1) v = nan_max(v, __shfl_xor_sync(ALL, v, o));
  return v;
}

// The sum of a block's values, the same in all threads, in a fixed order. part has 32 floats of shared memory; a
// barrier must lie between two calls with the same part. All threads of whole warps must call.
__device__ __forceinline__ float block_sum(float v, float* part) {
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  v = warp_sum(v);
  if (lane == 0) part[warp] = v;
  __syncthreads();
  return warp_sum(lane < warps ? part[lane] : 0.f);
}
__device__ __forceinline__ float block_max(float v, float* part) {
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  v = warp_max(v);
  if (lane == 0) part[warp] = v;
  __syncthreads();
  return warp_max(lane < warps ? part[lane] : __int_as_float(0xff800000));
}

// 2ˣ with a relative error of 2⁻²²; 2⁰ is exactly 1 and 2^−∞ exactly 0.
__device__ __forceinline__ float ex2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#define LOG2E 1.4426950408889634f
#define LN2 0.6931471805599453f
#define INFINITE __int_as_float(0x7f800000)
