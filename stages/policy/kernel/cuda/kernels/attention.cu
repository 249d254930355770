// Attention without the T × T matrix: scores of 64 queries and 64 keys at a time, on tensor cores, with the online
// softmax (Dao, FlashAttention-2, 2023). Queries, keys and values are rounded to bf16; sums are float32.
#include "attention.cuh"

// Causal attention over a packed batch: a block of four warps for 64 query rows of one head. path, if there is one,
// says in which slot of k and v each key is.
template <class T, int DP>
__device__ __forceinline__ void attention(float* out, float* lse, const float* q, const T* k, const T* v,
                                          const Packed& p, const int* path, int h, int g, int d) {
  __shared__ __align__(128) bf16 sq[64 * DP], sk[64 * DP], sv[64 * DP];
  QueryTile t;
  if (!find_tile<64>(p, blockIdx.x, t)) return;
  int head = blockIdx.y, group = head / (h / g), warp = threadIdx.x >> 5;
  load_rows<DP, 64, 128>(sq, q + head * d, d, h * d, t.rows, threadIdx.x, [&](int r) { return (size_t)t.query + r; });
  __syncthreads();
  unsigned fq[DP / 16][4];
  load_left<DP>(fq, sq, warp * 16);
  Softmax<DP> softmax;
  softmax.clear();
  float scale = LOG2E / sqrtf(d);
  int keys = t.last(t.rows - 1) + 1, seen[2] = {t.last(warp * 16 + row_of(0)), t.last(warp * 16 + row_of(2))};
  for (int j = 0; j < keys; j += 64) {
    auto slot = [&](int r) { return (size_t)(path ? path[t.key(j + r)] : t.key(j + r)); };
    __syncthreads(); // the last tile has been read
    load_rows<DP, 64, 128>(sk, k + group * d, d, g * d, keys - j, threadIdx.x, slot);
    load_rows<DP, 64, 128>(sv, v + group * d, d, g * d, keys - j, threadIdx.x, slot);
    copy_commit();
    copy_wait<0>();
    __syncthreads();
    if (j <= t.last(warp * 16 + 15)) // else no row of the warp sees these keys
      softmax.template add<64>(fq, sk, sv, scale, [&](int half, int c) { return j + c <= seen[half]; });
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float total = softmax.total(half);
    int r = warp * 16 + row_of(half * 2);
    if (r >= t.rows) continue;
    size_t at = (size_t)(t.query + r) * h + head;
    if ((threadIdx.x & 3) == 0) lse[at] = (softmax.top[half] + log2f(total)) * LN2;
#pragma unroll
    for (int n = 0; n < DP / 8; n++)
#pragma unroll
      for (int e = 0; e < 2; e++)
        if (column_of(n, e) < d) out[at * d + column_of(n, e)] = softmax.o[n][half * 2 + e] / total;
  }
}

// delta (rows, H) = Σ dout · out over D: a warp for each.
KERNEL attention_delta(float* delta, const float* dout, const float* out, int d, int n) {
  int i = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x & 31;
  if (i >= n) return;
  float s = 0;
  for (int c = lane; c < d; c += 32) s += dout[(size_t)i * d + c] * out[(size_t)i * d + c];
  s = warp_sum(s);
  if (lane == 0) delta[i] = s;
}

// dq = Σ ds · k with p = e^(score − lse), ds = p · (dout · v − delta) / √D: blocks as in attention.
template <int DP>
__device__ __forceinline__ void gradient_queries(float* dq, const float* dout, const float* delta, const float* lse,
                                                 const float* q, const float* k, const float* v, const Packed& p, int h,
                                                 int g, int d) {
  __shared__ __align__(128) bf16 rows[64 * DP], sk[32 * DP], sv[32 * DP];
  QueryTile t;
  if (!find_tile<64>(p, blockIdx.x, t)) return;
  int head = blockIdx.y, group = head / (h / g), warp = threadIdx.x >> 5;
  auto query = [&](int r) { return (size_t)t.query + r; };
  unsigned fq[DP / 16][4], fo[DP / 16][4];
  load_rows<DP, 64, 128>(rows, q + head * d, d, h * d, t.rows, threadIdx.x, query);
  __syncthreads();
  load_left<DP>(fq, rows, warp * 16);
  __syncthreads();
  load_rows<DP, 64, 128>(rows, dout + head * d, d, h * d, t.rows, threadIdx.x, query);
  __syncthreads();
  load_left<DP>(fo, rows, warp * 16);
  float scale = 1.f / sqrtf(d), row_lse[2], row_delta[2], sum[DP / 8][4] = {};
  int keys = t.last(t.rows - 1) + 1, seen[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int r = warp * 16 + row_of(half * 2);
    size_t at = (size_t)(t.query + r) * h + head;
    seen[half] = t.last(r);
    row_lse[half] = r < t.rows ? lse[at] * LOG2E : 0.f;
    row_delta[half] = r < t.rows ? delta[at] : 0.f;
  }
  for (int j = 0; j < keys; j += 32) {
    auto slot = [&](int r) { return (size_t)t.key(j + r); };
    __syncthreads();
    load_rows<DP, 32, 128>(sk, k + group * d, d, g * d, keys - j, threadIdx.x, slot);
    load_rows<DP, 32, 128>(sv, v + group * d, d, g * d, keys - j, threadIdx.x, slot);
    __syncthreads();
    if (j > t.last(warp * 16 + 15)) continue; // no row of the warp sees these keys
    float s[4][4] = {}, dp[4][4] = {};
    times_transposed<DP, 32>(s, fq, sk);
    times_transposed<DP, 32>(dp, fo, sv);
#pragma unroll
    for (int n = 0; n < 4; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        float probability = ex2(s[n][e] * (scale * LOG2E) - row_lse[e >> 1]);
        s[n][e] = j + column_of(n, e) <= seen[e >> 1] ? probability * (dp[n][e] - row_delta[e >> 1]) * scale : 0.f;
      }
    times<DP, 32>(sum, s, sk);
  }
#pragma unroll
  for (int n = 0; n < DP / 8; n++)
#pragma unroll
    for (int e = 0; e < 4; e++) {
      int r = warp * 16 + row_of(e), c = column_of(n, e);
      if (r < t.rows && c < d) dq[((size_t)(t.query + r) * h + head) * d + c] = sum[n][e];
    }
}

// dv = Σ p · dout and dk = Σ ds · q: a block of four warps for 64 keys of one group. It goes through the group's
// heads and, QT at a time, through the queries that see the keys; QT is small where registers are few.
template <int DP>
__device__ __forceinline__ void gradient_keys(float* dk, float* dv, const float* dout, const float* delta,
                                              const float* lse, const float* q, const float* k, const float* v,
                                              const Packed& p, int h, int g, int d) {
  constexpr int QT = DP > 64 ? 16 : 32;
  __shared__ __align__(128) bf16 sk[64 * DP], sv[64 * DP], sq[QT * DP], so[QT * DP];
  QueryTile t; // of keys: all rows, without the mask
  if (!find_tile<64>(Packed{p.cu, 0, 0, p.segments}, blockIdx.x, t)) return;
  int s = 0, skipped = 0; // the segment, and how many rows before its end are not selected
  for (;; s++) {
    if (p.selected) skipped += p.selected[s] - p.cu[s];
    if (p.cu[s] == t.first && p.cu[s + 1] > t.first) break;
  }
  int end = p.cu[s + 1], from = end, to = end, query = p.selected ? p.selected[s] : t.first;
  if (p.mask) from = p.mask[2 * s], to = p.mask[2 * s + 1];
  int group = blockIdx.y, warp = threadIdx.x >> 5;
  auto key = [&](int r) { return (size_t)t.row + r; };
  load_rows<DP, 64, 128>(sk, k + group * d, d, g * d, t.rows, threadIdx.x, key);
  load_rows<DP, 64, 128>(sv, v + group * d, d, g * d, t.rows, threadIdx.x, key);
  float scale = 1.f / sqrtf(d), sum_k[DP / 8][4] = {}, sum_v[DP / 8][4] = {};
  for (int head = group * (h / g); head < (group + 1) * (h / g); head++)
    for (int i = max(query, t.row); i < end; i += QT) {
      auto row = [&](int r) { return (size_t)(i - skipped) + r; };
      __syncthreads();
      load_rows<DP, QT, 128>(sq, q + head * d, d, h * d, end - i, threadIdx.x, row);
      load_rows<DP, QT, 128>(so, dout + head * d, d, h * d, end - i, threadIdx.x, row);
      __syncthreads();
      float score[QT / 8][4] = {}, dp[QT / 8][4] = {};
      times_transposed<DP, QT>(score, sk, warp * 16, sq);
      times_transposed<DP, QT>(dp, sv, warp * 16, so);
#pragma unroll
      for (int n = 0; n < QT / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
          int r = i + column_of(n, e), j = t.row + warp * 16 + row_of(e);
          bool sees = r < end && j <= r && !(r >= to && j >= from && j < to);
          size_t at = sees ? (size_t)(r - skipped) * h + head : 0;
          float probability = sees ? ex2(score[n][e] * (scale * LOG2E) - lse[at] * LOG2E) : 0.f;
          score[n][e] = probability;
          dp[n][e] = sees ? probability * (dp[n][e] - delta[at]) * scale : 0.f;
        }
      times<DP, QT>(sum_v, score, so);
      times<DP, QT>(sum_k, dp, sq);
    }
#pragma unroll
  for (int n = 0; n < DP / 8; n++)
#pragma unroll
    for (int e = 0; e < 4; e++) {
      int r = warp * 16 + row_of(e), c = column_of(n, e);
      size_t at = ((size_t)(t.row + r) * g + group) * d + c;
      if (r < t.rows && c < d) dk[at] = sum_k[n][e], dv[at] = sum_v[n][e];
    }
}

#define ATTENTION(name, T, DP)                                                                                     \
  KERNEL __launch_bounds__(128, 1)                                                                                    \
      name(float* out, float* lse, const float* q, const T* k, const T* v, const int* cu, const int* mask,         \
           const int* selected, const int* path, int segments, int h, int g, int d) {                              \
    attention<T, DP>(out, lse, q, k, v, Packed{cu, mask, selected, segments}, path, h, g, d);                      \
  }
#define GRADIENT(DP)                                                                                               \
  KERNEL __launch_bounds__(128, 1)                                                                                    \
      attention_dq_##DP(float* dq, const float* dout, const float* delta, const float* lse, const float* q,        \
                        const float* k, const float* v, const int* cu, const int* mask, const int* selected,       \
                        int segments, int h, int g, int d) {                                                       \
    gradient_queries<DP>(dq, dout, delta, lse, q, k, v, Packed{cu, mask, selected, segments}, h, g, d);            \
  }                                                                                                                \
  KERNEL __launch_bounds__(128, 1)                                                                                    \
      attention_dkv_##DP(float* dk, float* dv, const float* dout, const float* delta, const float* lse,            \
                         const float* q, const float* k, const float* v, const int* cu, const int* mask,           \
                         const int* selected, int segments, int h, int g, int d) {                                 \
    gradient_keys<DP>(dk, dv, dout, delta, lse, q, k, v, Packed{cu, mask, selected, segments}, h, g, d);           \
  }

ATTENTION(attention_f32_32, float, 32)
ATTENTION(attention_f32_64, float, 64)
ATTENTION(attention_f32_128, float, 128)
ATTENTION(attention_bf16_32, bf16, 32)
ATTENTION(attention_bf16_64, bf16, 64)
ATTENTION(attention_bf16_128, bf16, 128)
GRADIENT(32)
GRADIENT(64)
GRADIENT(128)
