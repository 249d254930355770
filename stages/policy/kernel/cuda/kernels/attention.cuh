// What the attention kernels share: which rows a block computes, and the online softmax of a warp.
#pragma once
#include "product.cuh" // piece: the swizzle of tiles

// Rows of the packed batch, as kernel.Device.Attention describes them.
struct Packed {
  const int *cu, *mask, *selected; // mask, selected: 0 for none
  int segments;
};

// A tile of query rows of one segment. With the shared-prefix mask a segment has two parts: the rows before the
// mask's end, and those behind it, which do not see a part of the keys. Keys are counted without those (compact), so
// that a row adds in the same order as if they did not exist.
struct QueryTile {
  int first;      // the segment's first row: key 0
  int row, rows;  // query rows row to row + rows − 1
  int query;      // where row is in q and out
  int from, hole; // keys from row `from` on are `hole` rows further
  // The last compact key that the row sees.
  __device__ __forceinline__ int last(int r) const { return row + r - first - hole; }
  // The row of a compact key.
  __device__ __forceinline__ int key(int j) const { return first + j + (first + j >= from ? hole : 0); }
};

// Finds tile number b of tiles of SIZE rows; false behind the last one.
template <int SIZE>
__device__ __forceinline__ bool find_tile(const Packed& p, int b, QueryTile& t) {
  int skipped = 0;
  for (int s = 0; s < p.segments; s++) {
    int begin = p.cu[s], end = p.cu[s + 1], from = end, to = end, query = begin;
    if (p.mask) from = p.mask[2 * s], to = p.mask[2 * s + 1];
    if (p.selected) query = p.selected[s];
    skipped += query - begin;
    int second = max(query, to);
    for (int part = 0; part < 2; part++) {
      int low = part ? second : query, high = part ? end : to, tiles = max(0, (high - low + SIZE - 1) / SIZE);
      if (b < tiles) {
        t.first = begin;
        t.row = low + b * SIZE;
        t.rows = min(SIZE, high - t.row);
        t.query = t.row - skipped;
        t.from = part ? from : end;
        t.hole = part ? to - from : 0;
        return true;
      }
      b -= tiles;
    }
  }
  return false;
}

// Begins to copy rows to a tile in bf16: tile row r is row(r) of x, whose rows are `stride` elements apart and have d
// elements; zeros from `count` rows and d columns on. Copies of bf16 are asynchronous, those of float are done.
template <int DP, int ROWS, int THREADS, class Row>
__device__ __forceinline__ void load_rows(bf16* tile, const bf16* x, int d, size_t stride, int count, int thread,
                                          Row row) {
#pragma unroll 4
  for (int c = thread; c < ROWS * DP / 8; c += THREADS) {
    int r = c / (DP / 8), q = c % (DP / 8);
    bool in = r < count && q * 8 < d;
    copy16(tile + piece<DP>(r, q), in ? x + row(r) * stride + q * 8 : x, in ? 16 : 0);
  }
}
template <int DP, int ROWS, int THREADS, class Row>
__device__ __forceinline__ void load_rows(bf16* tile, const float* x, int d, size_t stride, int count, int thread,
                                          Row row) {
#pragma unroll 4
  for (int c = thread; c < ROWS * DP / 8; c += THREADS) {
    int r = c / (DP / 8), q = c % (DP / 8), column = q * 8;
    float v[8] = {};
    if (r < count && column < d) {
      const float* from = x + row(r) * stride + column;
      if ((d & 7) == 0) {
        float4 a = ((const float4*)from)[0], b = ((const float4*)from)[1];
        v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
      } else {
#pragma unroll
        for (int e = 0; e < 8; e++) v[e] = column + e < d ? from[e] : 0.f;
      }
    }
    *(uint4*)(tile + piece<DP>(r, q)) =
        make_uint4(pack2(v[0], v[1]), pack2(v[2], v[3]), pack2(v[4], v[5]), pack2(v[6], v[7]));
  }
}

// Fragments of 16 rows of a tile as the left factor.
template <int DP>
__device__ __forceinline__ void load_left(unsigned f[DP / 16][4], const bf16* tile, int row) {
  int lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < DP / 16; k++) load4(f[k], tile + piece<DP>(row + (lane & 15), k * 2 + (lane >> 4)));
}

// s (16, KT) += left (16, DP) · tile (KT, DP)ᵀ.
template <int DP, int KT>
__device__ __forceinline__ void times_transposed(float s[KT / 8][4], const unsigned left[DP / 16][4],
                                                 const bf16* tile) {
  int lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < DP / 16; k++)
#pragma unroll
    for (int j = 0; j < KT / 16; j++) {
      unsigned f[4];
      load4(f, tile + piece<DP>(j * 16 + (lane >> 4) * 8 + (lane & 7), k * 2 + (lane >> 3 & 1)));
      mma(s[2 * j], left[k], f[0], f[1]);
      mma(s[2 * j + 1], left[k], f[2], f[3]);
    }
}

// The same with the left factor still in its tile, 16 rows from `row` on: it needs fewer registers.
template <int DP, int KT>
__device__ __forceinline__ void times_transposed(float s[KT / 8][4], const bf16* left, int row, const bf16* tile) {
  int lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < DP / 16; k++) {
    unsigned a[4];
    load4(a, left + piece<DP>(row + (lane & 15), k * 2 + (lane >> 4)));
#pragma unroll
    for (int j = 0; j < KT / 16; j++) {
      unsigned f[4];
      load4(f, tile + piece<DP>(j * 16 + (lane >> 4) * 8 + (lane & 7), k * 2 + (lane >> 3 & 1)));
      mma(s[2 * j], a, f[0], f[1]);
      mma(s[2 * j + 1], a, f[2], f[3]);
    }
  }
}

// o (16, DP) += s (16, KT), rounded to bf16, · tile (KT, DP).
template <int DP, int KT>
__device__ __forceinline__ void times(float o[DP / 8][4], const float s[KT / 8][4], const bf16* tile) {
  int lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < KT / 16; k++) {
    unsigned left[4] = {pack2(s[2 * k][0], s[2 * k][1]), pack2(s[2 * k][2], s[2 * k][3]),
                        pack2(s[2 * k + 1][0], s[2 * k + 1][1]), pack2(s[2 * k + 1][2], s[2 * k + 1][3])};
#pragma unroll
    for (int n = 0; n < DP / 16; n++) {
      unsigned f[4];
      load4_trans(f, tile + piece<DP>(k * 16 + (lane & 15), n * 2 + (lane >> 4)));
      mma(o[2 * n], left, f[0], f[1]);
      mma(o[2 * n + 1], left, f[2], f[3]);
    }
  }
}

// The column of element e of part n of a product's 16 rows, and its row.
__device__ __forceinline__ int column_of(int n, int e) { return n * 8 + (threadIdx.x & 3) * 2 + (e & 1); }
__device__ __forceinline__ int row_of(int e) { return (threadIdx.x & 31) / 4 + (e >> 1) * 8; }

// Sums of a warp's 16 query rows so far: of each of the two rows of a lane the largest score, in units of log 2, and
// the lane's part of Σ 2^(score − largest); and the weighted sum of the values.
template <int DP>
struct Softmax {
  float top[2], sum[2], o[DP / 8][4];

  __device__ __forceinline__ void clear() {
    top[0] = top[1] = -INFINITE;
    sum[0] = sum[1] = 0;
#pragma unroll
    for (int n = 0; n < DP / 8; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) o[n][e] = 0;
  }
  // Adds KT keys; visible(half, column) tells whether row half of the lane sees a key. Keys that a row does not see
  // leave its bits as they are.
  template <int KT, class Visible>
  __device__ __forceinline__ void add(const unsigned q[DP / 16][4], const bf16* keys, const bf16* values, float scale,
                                      Visible visible) {
    float s[KT / 8][4] = {};
    times_transposed<DP, KT>(s, q, keys);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float largest = -INFINITE;
#pragma unroll
      for (int n = 0; n < KT / 8; n++)
#pragma unroll
        for (int e = half * 2; e < half * 2 + 2; e++) {
          s[n][e] = visible(half, column_of(n, e)) ? s[n][e] * scale : -INFINITE;
          largest = nan_max(largest, s[n][e]);
        }
      largest = nan_max(largest, __shfl_xor_sync(ALL, largest, 1));
      largest = nan_max(largest, __shfl_xor_sync(ALL, largest, 2));
      float next = nan_max(top[half], largest), base = next == -INFINITE ? 0.f : next;
      float shrink = ex2(top[half] - base), added = 0;
      top[half] = next;
#pragma unroll
      for (int n = 0; n < KT / 8; n++)
#pragma unroll
        for (int e = half * 2; e < half * 2 + 2; e++) added += s[n][e] = ex2(s[n][e] - base);
      sum[half] = sum[half] * shrink + added;
#pragma unroll
      for (int n = 0; n < DP / 8; n++) {
        o[n][half * 2] *= shrink;
        o[n][half * 2 + 1] *= shrink;
      }
    }
    times<DP, KT>(o, s, values);
  }
  // The sum of a row over the four lanes that share it.
  __device__ __forceinline__ float total(int half) {
    float v = sum[half];
    v += __shfl_xor_sync(ALL, v, 1);
    return v + __shfl_xor_sync(ALL, v, 2);
  }
};
