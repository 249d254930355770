// RMSNorm: a block for each row.
#include "warp.cuh"

// y = x · rstd · w with rstd = 1/√(mean(x²) + eps), which is kept for the gradient.
KERNEL __launch_bounds__(256) rmsnorm(float* y, float* rstd, const float* x, const float* w, int k, float eps) {
  __shared__ float part[32];
  x += (size_t)blockIdx.x * k;
  y += (size_t)blockIdx.x * k;
  float s = 0;
  for (int i = threadIdx.x; i < k; i += blockDim.x) s += x[i] * x[i];
  float r = 1.f / sqrtf(block_sum(s, part) / k + eps);
  if (threadIdx.x == 0) rstd[blockIdx.x] = r;
  for (int i = threadIdx.x; i < k; i += blockDim.x) y[i] = x[i] * r * w[i];
}

// dx += rstd · (dy·w − x·rstd · mean(dy·w·x·rstd)).
KERNEL __launch_bounds__(256) rmsnorm_backward(float* dx, const float* dy, const float* x, const float* w,
                                               const float* rstd, int k) {
  __shared__ float part[32];
  size_t row = (size_t)blockIdx.x * k;
  float r = rstd[blockIdx.x], s = 0;
  for (int i = threadIdx.x; i < k; i += blockDim.x) s += dy[row + i] * w[i] * (x[row + i] * r);
  float mean = block_sum(s, part) / k;
  for (int i = threadIdx.x; i < k; i += blockDim.x)
    dx[row + i] += r * (dy[row + i] * w[i] - x[row + i] * r * mean);
}

// dw += Σ over rows of dy · x · rstd. A block has 32 columns; each of its 8 warps sums every eighth row.
KERNEL __launch_bounds__(256) rmsnorm_backward_weight(float* dw, const float* dy, const float* x, const float* rstd,
                                                      int t, int k) {
  __shared__ float part[8][32];
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, column = blockIdx.x * 32 + lane;
  float s = 0;
  if (column < k)
    for (int r = warp; r < t; r += 8) s += dy[(size_t)r * k + column] * (x[(size_t)r * k + column] * rstd[r]);
  part[warp][lane] = s;
  __syncthreads();
  if (warp == 0 && column < k) {
    s = 0;
    for (int i = 0; i < 8; i++) s += part[i][lane];
    dw[column] += s;
  }
}
