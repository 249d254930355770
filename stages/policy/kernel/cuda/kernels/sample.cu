// Sampling: a block for each row of logits. Nothing is sorted: the least key that stays is found bit by bit.
#include "warp.cuh"
#define THREADS 512

// What a row is drawn with: temperature (0: the likeliest), top-p and min-p (0: all), top-k (0: all).
struct Setting {
  float temperature, top_p, min_p;
  int top_k;
};

// Larger logits have larger keys.
__device__ __forceinline__ unsigned key_of(float v) {
  unsigned u = __float_as_uint(v);
  return u & 0x80000000u ? ~u : u | 0x80000000u;
}

// The sum of a block's values, the same in all threads, in a fixed order.
__device__ __forceinline__ double block_sum(double v, double* part) {
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(ALL, v, o);
  __syncthreads(); // the last sum has been read
  if (lane == 0) part[warp] = v;
  __syncthreads();
  v = lane < THREADS / 32 ? part[lane] : 0.;
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(ALL, v, o);
  return v;
}

// Which tokens stay: those with a larger key than `least`, and the first `ties` of those with this key.
struct Kept {
  unsigned least;
  int ties;
};

// One row of logits.
struct Row {
  const float* x;
  int n;
  float top, inverse; // the largest logit, 1 / temperature
  double* part;       // for sums

  __device__ __forceinline__ float weight(float v) const { return expf((v - top) * inverse); }
  __device__ __forceinline__ float weight_of(unsigned key) const {
    return weight(__uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key));
  }
  // How many keys are at least c.
  __device__ int count(unsigned c) const {
    int m = 0;
    for (int i = threadIdx.x; i < n; i += THREADS) m += key_of(x[i]) >= c;
    return (int)block_sum((double)m, part);
  }
  // The sum of their weights.
  __device__ double sum(unsigned c) const {
    double s = 0;
    for (int i = threadIdx.x; i < n; i += THREADS)
      if (key_of(x[i]) >= c) s += weight(x[i]);
    return block_sum(s, part);
  }
  // The k likeliest tokens, lower ids first among equals.
  __device__ Kept top_k(int k) const {
    unsigned c = 0;
    for (int bit = 31; bit >= 0; bit--)
      if (count(c | 1u << bit) >= k) c |= 1u << bit;
    return Kept{c, k - count(c + 1)};
  }
  // The fewest of the likeliest tokens of `in` that have the share p of its weight.
  __device__ Kept top_p(Kept in, float p) const {
    double all = sum(in.least + 1), want;
    if (in.ties) all += in.ties * (double)weight_of(in.least);
    want = p * all;
    unsigned c = 0;
    for (int bit = 31; bit >= 0; bit--) {
      unsigned next = c | 1u << bit;
      if ((next > in.least ? sum(next) : all) >= want) c = next;
    }
    int ties = c == in.least ? in.ties : count(c) - count(c + 1);
    double rest = ceil((want - sum(c + 1)) / weight_of(c));
    return Kept{c, (int)fmin(fmax(rest, 1.), (double)ties)};
  }
};

// The block's largest logit, and its id: the lowest among equals.
__device__ __forceinline__ int likeliest(const float* x, int n, float& top, float* tops, int* ids) {
  int best = n, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  top = -INFINITE;
  auto take = [&](float v, int i) {
    if (v > top || (v == top && i < best)) top = v, best = i;
  };
  for (int i = threadIdx.x; i < n; i += THREADS) take(x[i], i);
  for (int o = 16; o; o >>= 1) {
    float v = __shfl_xor_sync(ALL, top, o);
    int i = __shfl_xor_sync(ALL, best, o);
    take(v, i);
  }
  if (lane == 0) tops[warp] = top, ids[warp] = best;
  __syncthreads();
  for (int w = 0; w < THREADS / 32; w++) take(tops[w], ids[w]);
  return best < n ? best : 0; // 0: every logit is NaN
}

// The sum over the threads before this one and, in `next`, with this one; the next thread begins exactly there.
template <class T>
__device__ __forceinline__ T before(T mine, T* shared, T& next, T& all) {
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  T first = 0, own = 0, base = 0;
  for (int i = 0; i < 32; i++) {
    if (i == lane) first = own;
    own += __shfl_sync(ALL, mine, i);
  }
  __syncthreads();
  if (lane == 0) shared[warp] = own;
  __syncthreads();
  all = 0;
  for (int w = 0; w < THREADS / 32; w++) {
    if (w == warp) base = all;
    all += shared[w];
  }
  next = base + (first + mine);
  return base + first;
}

// ids and logp (R): the token that u (R), uniform in 0..1, draws in the order of ids, and its log-probability at
// temperature 1 with nothing cut. Logits that are not finite give the likeliest token and a log-probability that is
// not finite.
KERNEL __launch_bounds__(THREADS)
    sample(int* ids, float* logp, const float* logits, const Setting* settings, const double* u, int n) {
  __shared__ double part[THREADS / 32];
  __shared__ int ranks[THREADS / 32];
  __shared__ float tops[THREADS / 32];
  Row r{logits + (size_t)blockIdx.x * n, n, 0, 1, part};
  Setting set = settings[blockIdx.x];
  int best = likeliest(r.x, n, r.top, tops, ranks);
  double raw = r.sum(0);
  if (set.temperature == 0 || !(raw - raw == 0)) {
    if (threadIdx.x == 0) ids[blockIdx.x] = best, logp[blockIdx.x] = (float)-log(raw);
    return;
  }
  r.inverse = 1.f / set.temperature;
  Kept kept{0, 0};
  if (set.top_k > 0 && set.top_k < n) kept = r.top_k(set.top_k);
  if (set.top_p > 0 && set.top_p < 1) kept = r.top_p(kept, set.top_p);

  // Each thread has neighbouring ids.
  int each = (n + THREADS - 1) / THREADS, from = min(n, (int)threadIdx.x * each), to = min(n, from + each);
  int ties = 0, unused;
  for (int i = from; i < to; i++) ties += key_of(r.x[i]) == kept.least;
  int rank = before(ties, ranks, unused, unused);
  auto weight = [&](int i, int& seen) { // 0 for tokens that are cut
    unsigned key = key_of(r.x[i]);
    float w = r.weight(r.x[i]);
    if (key == kept.least) return seen++ < kept.ties && w >= set.min_p ? w : 0.f;
    return key > kept.least && w >= set.min_p ? w : 0.f;
  };
  double mine = 0, next, total;
  int seen = rank;
  for (int i = from; i < to; i++) mine += weight(i, seen);
  double at = before(mine, part, next, total), want = u[blockIdx.x] * total;
  if (!(want >= at && at < next && (want < next || (next == total && at < total)))) return;
  int id = from;
  seen = rank;
  for (int i = from; i < to; i++) {
    float w = weight(i, seen);
    if (w == 0) continue;
    id = i;
    at += w;
    if (at > want) break;
  }
  ids[blockIdx.x] = id;
  logp[blockIdx.x] = r.x[id] - r.top - (float)log(raw);
}
