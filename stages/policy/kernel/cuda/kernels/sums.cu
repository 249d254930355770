// Sums of all elements, in two passes of a fixed order.
#include "warp.cuh"

// The sum of a block's values in double, in thread 0.
__device__ __forceinline__ double block_sum(double v, double* part) {
  part[threadIdx.x] = v;
  __syncthreads();
  for (int o = blockDim.x / 2; o; o >>= 1) {
    if (threadIdx.x < o) part[threadIdx.x] += part[threadIdx.x + o];
    __syncthreads();
  }
  return part[0];
}

// parts[block] = Σ x² of the block's elements. The grid is always the same, so that the order is.
KERNEL __launch_bounds__(256) sum_squares(double* parts, const float* x, long long n) {
  __shared__ double part[256];
  double s = 0;
  for (long long i = blockIdx.x * 256LL + threadIdx.x; i < n; i += gridDim.x * 256LL) s += (double)x[i] * x[i];
  s = block_sum(s, part);
  if (threadIdx.x == 0) parts[blockIdx.x] = s;
}

// out[0] = Σ parts; one block.
KERNEL __launch_bounds__(256) sum_parts(double* out, const double* parts, int n) {
  __shared__ double part[256];
  double s = 0;
  for (int i = threadIdx.x; i < n; i += 256) s += parts[i];
  s = block_sum(s, part);
  if (threadIdx.x == 0) out[0] = s;
}
