// Kernels with one bug each, for the checks of the interpreter that must find it. The good ones have none.
#include "tile.cuh"

KERNEL beyond_the_end(const float* x, float* y, int n) { // <= where < is meant
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= n) y[i] = x[0] + 1.f;
}
KERNEL before_the_begin(const float* x, float* y) { y[threadIdx.x] = x[(int)threadIdx.x - 1]; }
KERNEL null_pointer(const float* x, float* y) { *(float*)8 = x[0]; }
KERNEL beyond_shared(const float* x, float* y) { // 64 elements where 32 are allocated
  __shared__ float s[32];
  s[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = s[threadIdx.x];
}
KERNEL beyond_local(const float* x, float* y) { // an index that is not masked
  float t[4];
  for (int i = 0; i < 4; i++) t[i] = x[i];
  y[threadIdx.x] = t[threadIdx.x];
}
KERNEL misaligned(const float* x, float* y) { // a float4 from an odd float
  float4 a = *(const float4*)(x + 1);
  y[threadIdx.x] = a.x + a.w;
}
KERNEL unwritten_global(const float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }
KERNEL unwritten_shared(const float* x, float* y) { // the last element is never written
  __shared__ float s[64];
  if (threadIdx.x < 63) s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];
}
KERNEL unwritten_local(const float* x, float* y) { // one element of the local array is never written
  float t[8];
  for (int i = 0; i < 7; i++) t[i] = x[i];
  y[threadIdx.x] = t[threadIdx.x & 7];
}
KERNEL hole_in_result(const float* x, float* y) { // found when the host reads y
  if (threadIdx.x != 5) y[threadIdx.x] = x[threadIdx.x];
}
KERNEL race_write(const float* x, float* y) { // the second __syncthreads is missing
  __shared__ float s[64];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  s[threadIdx.x ^ 32] += 1.f;
  y[threadIdx.x] = s[threadIdx.x];
}
KERNEL race_reuse(const float* x, float* y, int n) { // the barrier after the read is missing
  __shared__ float s[64];
  float a = 0;
  for (int i = 0; i < n; i++) {
    s[threadIdx.x] = x[i * 64 + threadIdx.x];
    __syncthreads();
    a += s[63 - threadIdx.x];
  }
  y[threadIdx.x] = a;
}
KERNEL race_warp(const float* x, float* y) { // one warp, but no __syncwarp
  __shared__ float s[32];
  s[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = s[threadIdx.x ^ 1];
}
KERNEL good_warp(const float* x, float* y) {
  __shared__ float s[32];
  s[threadIdx.x] = x[threadIdx.x];
  __syncwarp();
  y[threadIdx.x] = s[threadIdx.x ^ 1];
}
KERNEL race_bytes(const float* x, float* y) { // two threads write halves of one word: no race, but then a read
  __shared__ unsigned short s[64];
  s[threadIdx.x] = threadIdx.x;
  y[threadIdx.x] = ((unsigned*)s)[threadIdx.x >> 1];
}
KERNEL race_global(const float* x, float* y) { // blocks overlap by one element
  y[blockIdx.x * 31 + threadIdx.x] = x[threadIdx.x];
}
KERNEL race_blocks(const float* x, float* y) { // in place, and one block reads another's part
  int i = blockIdx.x * 32 + threadIdx.x;
  y[i] = x[i] + y[(i + 1) % 64];
}
KERNEL race_sum(const float* x, float* y) { // a sum by all threads without atomics
  if (threadIdx.x < 2) y[0] = x[threadIdx.x];
}
KERNEL no_wait(const float* x, float* y) { // the wait for the copies is missing
  __shared__ __align__(16) float s[128];
  copy16(&s[threadIdx.x * 4], &x[threadIdx.x * 4], 16);
  copy_commit();
  __syncthreads();
  y[threadIdx.x] = s[127 - threadIdx.x];
}
KERNEL no_barrier(const float* x, float* y) { // the wait is there, but the other threads' copies need a barrier
  __shared__ __align__(16) float s[128];
  copy16(&s[threadIdx.x * 4], &x[threadIdx.x * 4], 16);
  copy_commit();
  copy_wait<0>();
  y[threadIdx.x] = s[127 - threadIdx.x];
}
KERNEL good_wait(const float* x, float* y) {
  __shared__ __align__(16) float s[128];
  copy16(&s[threadIdx.x * 4], &x[threadIdx.x * 4], 16);
  copy_commit();
  copy_wait<0>();
  __syncthreads();
  y[threadIdx.x] = s[127 - threadIdx.x];
}
KERNEL half_a_barrier(const float* x, float* y) { // half the warp at a barrier
  __shared__ float s[32];
  s[threadIdx.x] = x[threadIdx.x];
  if (threadIdx.x < 16) {
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x + 16];
  }
}
KERNEL shuffle(const float* x, float* y, int n) { // with n < 32, lanes of the mask have gone elsewhere
  int i = threadIdx.x;
  float v = x[i];
  if (i < n) v = warp_sum(v);
  y[i] = v;
}
KERNEL half_a_tile(const float* x, float* y, int n) { // mma by a part of the warp
  float c[4] = {};
  unsigned a[4] = {};
  if (threadIdx.x < n) mma(c, a, 0, 0);
  y[threadIdx.x] = c[0];
}
KERNEL endless(const float* x, float* y) {
  while (atomicAdd(y, 0.f) == 0) {
  }
}
KERNEL gives_up(const float* x, float* y) {
  if (x[threadIdx.x] > 2) __trap();
}
KERNEL conflicts(const float* x, float* y, int stride) { // stride 32: all lanes want one bank
  __shared__ float s[32 * 33];
  s[threadIdx.x * stride] = x[threadIdx.x];
  y[threadIdx.x] = s[threadIdx.x * stride];
}
