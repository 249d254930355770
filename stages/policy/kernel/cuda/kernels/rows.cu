// Rows by their numbers: a block for each row.
#include "warp.cuh"

// y[r] = x[rows[r]]; rows of k words of 4 bytes.
KERNEL gather_rows(unsigned* y, const unsigned* x, const int* rows, int k) {
  const unsigned* from = x + (size_t)rows[blockIdx.x] * k;
  for (int i = threadIdx.x; i < k; i += blockDim.x) y[(size_t)blockIdx.x * k + i] = from[i];
}

// y[rows[r]] = x[r]; no row twice.
KERNEL scatter_rows(unsigned* y, const unsigned* x, const int* rows, int k) {
  unsigned* to = y + (size_t)rows[blockIdx.x] * k;
  for (int i = threadIdx.x; i < k; i += blockDim.x) to[i] = x[(size_t)blockIdx.x * k + i];
}

__device__ __forceinline__ float widen(float v) { return v; }
__device__ __forceinline__ float widen(bf16 v) { return __bfloat162float(v); }
__device__ __forceinline__ float widen(__half v) { return __half2float(v); }

// y[t] = w[ids[t]], a row of the weight in float32; rows of the weight are ld values apart.
template <class W>
__device__ __forceinline__ void embed(float* y, const W* w, const int* ids, int k, int ld) {
  const W* from = w + (size_t)ids[blockIdx.x] * ld;
  for (int i = threadIdx.x; i < k; i += blockDim.x) y[(size_t)blockIdx.x * k + i] = widen(from[i]);
}
KERNEL embed_f32(float* y, const float* w, const int* ids, int k, int ld) { embed(y, w, ids, k, ld); }
KERNEL embed_bf16(float* y, const bf16* w, const int* ids, int k, int ld) { embed(y, w, ids, k, ld); }
KERNEL embed_f16(float* y, const __half* w, const int* ids, int k, int ld) { embed(y, w, ids, k, ld); }

// The same of a weight in eight bits: sixteen rows are interleaved, a scale is for 32 values of a row.
KERNEL embed_int8(float* y, const unsigned char* codes, const __half* scales, const int* ids, int k) {
  int row = ids[blockIdx.x], group = row / 16, lane = row % 16, blocks = (k + 31) / 32;
  for (int i = threadIdx.x; i < k; i += blockDim.x) {
    float scale = __half2float(scales[((size_t)group * blocks + i / 32) * 16 + lane]);
    y[(size_t)blockIdx.x * k + i] = (float)((int)codes[((size_t)group * k + i) * 16 + lane] - 128) * scale;
  }
}

// sum (K) += Σ x[t], in the order of t. A thread has a column.
KERNEL sum_rows(float* sum, const float* x, int t, int k) {
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= k) return;
  float s = sum[c];
  for (int r = 0; r < t; r++) s += x[(size_t)r * k + c];
  sum[c] = s;
}

// dw[id] += Σ of dy[t] over the rows t with this id, in their order. The block of an id's first row does it.
KERNEL embed_backward(float* dw, const float* dy, const int* ids, int t, int k) {
  __shared__ float part[32];
  int first = blockIdx.x, id = ids[first];
  float seen = 0;
  for (int r = threadIdx.x; r < first; r += blockDim.x) seen += ids[r] == id;
  if (block_sum(seen, part) > 0) return;
  for (int i = threadIdx.x; i < k; i += blockDim.x) {
    float s = 0;
    for (int r = first; r < t; r++)
      if (ids[r] == id) s += dy[(size_t)r * k + i];
    dw[(size_t)id * k + i] += s;
  }
}
