// Attention of decoding: each row attends to the cache slots of its own path. A path is cut into chunks of 256 slots,
// each of which a block computes; a second kernel adds the chunks of a row in their order. The heads that share keys
// are the rows of one tile, so keys and values are read once for all of them.
#include "attention.cuh"
#define CHUNK 256

// parts (rows, H, chunks, D) and tops (rows, H, chunks, 2): of a chunk the sum of values, the largest score and the
// sum of weights. begins (rows + 1): path r is slots[begins[r]] to slots[begins[r+1]−1].
template <class T, int DP>
__device__ __forceinline__ void paths(float* parts, float* tops, const float* q, const T* k, const T* v,
                                      const int* slots, const int* begins, int h, int g, int d) {
  constexpr int TILE = 16 * DP;
  __shared__ __align__(128) bf16 sq[TILE], tiles[4][2][TILE];
  __shared__ float top[4][16], sum[4][16];
  int row = blockIdx.z, begin = begins[row], n = begins[row + 1] - begin - blockIdx.x * CHUNK;
  if (n <= 0) return;
  begin += blockIdx.x * CHUNK;
  int per = h / g, sixteens = (per + 15) / 16, group = blockIdx.y / sixteens, first = blockIdx.y % sixteens * 16;
  int heads = min(16, per - first), head = group * per + first, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  load_rows<DP, 16, 128>(sq, q + ((size_t)row * h + head) * d, d, d, heads, threadIdx.x,
                         [](int r) { return (size_t)r; });
  __syncthreads();
  unsigned fq[DP / 16][4];
  load_left<DP>(fq, sq, 0);
  Softmax<DP> softmax;
  softmax.clear();
  float scale = LOG2E / sqrtf(d);
  bf16 *sk = tiles[warp][0], *sv = tiles[warp][1];
  for (int j = warp * 64; j < warp * 64 + 64 && j < n; j += 16) {
    auto slot = [&](int r) { return (size_t)slots[begin + j + r]; };
    __syncwarp();
    load_rows<DP, 16, 32>(sk, k + group * d, d, g * d, n - j, lane, slot);
    load_rows<DP, 16, 32>(sv, v + group * d, d, g * d, n - j, lane, slot);
    copy_commit();
    copy_wait<0>();
    __syncwarp();
    softmax.template add<16>(fq, sk, sv, scale, [&](int, int c) { return j + c < n; });
  }
  __syncthreads(); // tiles now takes the sums of the four warps
  float* sums = (float*)tiles;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float total = softmax.total(half);
    int r = row_of(half * 2);
    if ((lane & 3) == 0) top[warp][r] = softmax.top[half], sum[warp][r] = total;
#pragma unroll
    for (int c = 0; c < DP / 8; c++)
#pragma unroll
      for (int e = 0; e < 2; e++) sums[(warp * 16 + r) * DP + column_of(c, e)] = softmax.o[c][half * 2 + e];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < heads * d; i += 128) {
    int r = i / d, c = i % d;
    float largest = nan_max(nan_max(top[0][r], top[1][r]), nan_max(top[2][r], top[3][r])), o = 0, weights = 0;
    for (int w = 0; w < 4; w++) {
      float shrink = ex2(top[w][r] - largest);
      o += shrink * sums[(w * 16 + r) * DP + c];
      weights += shrink * sum[w][r];
    }
    size_t at = ((size_t)row * h + head + r) * gridDim.x + blockIdx.x;
    parts[at * d + c] = o;
    if (c == 0) tops[2 * at] = largest, tops[2 * at + 1] = weights;
  }
}

// out (rows, H, D) from the chunks of each row; an empty path gives zeros.
KERNEL paths_combine(float* out, const float* parts, const float* tops, const int* begins, int h, int d, int chunks) {
  int head = blockIdx.x, row = blockIdx.y, n = (begins[row + 1] - begins[row] + CHUNK - 1) / CHUNK;
  size_t at = ((size_t)row * h + head) * chunks;
  float largest = -INFINITE;
  for (int i = 0; i < n; i++) largest = nan_max(largest, tops[2 * (at + i)]);
  for (int c = threadIdx.x; c < d; c += blockDim.x) {
    float o = 0, weights = 0;
    for (int i = 0; i < n; i++) {
      float shrink = ex2(tops[2 * (at + i)] - largest);
      o += shrink * parts[(at + i) * d + c];
      weights += shrink * tops[2 * (at + i) + 1];
    }
    out[((size_t)row * h + head) * d + c] = n ? o / weights : 0.f;
  }
}

#define PATHS(name, T, DP)                                                                                         \
  KERNEL __launch_bounds__(128) name(float* parts, float* tops, const float* q, const T* k, const T* v,            \
                                     const int* slots, const int* begins, int h, int g, int d) {                   \
    paths<T, DP>(parts, tops, q, k, v, slots, begins, h, g, d);                                                    \
  }
PATHS(paths_f32_32, float, 32)
PATHS(paths_f32_64, float, 64)
PATHS(paths_f32_128, float, 128)
PATHS(paths_bf16_32, bf16, 32)
PATHS(paths_bf16_64, bf16, 64)
PATHS(paths_bf16_128, bf16, 128)
