// The head: log-probabilities of targets, and the gradient of a row's log-probability by its logits. Logits exist for a
// chunk of the vocabulary at a time; a block has one row of a chunk.
#include "warp.cuh"

// What is known of a row after some chunks: the largest logit, Σ e^(logit − largest), and the target's logit.
struct Row {
  float top, sum, target;
};

// Adds a chunk of n logits of tokens from v0 on. The first chunk starts the row.
KERNEL __launch_bounds__(256) head_add(Row* state, const float* logits, const int* targets, int v0, int n) {
  __shared__ float part[32], part2[32];
  const float* x = logits + (size_t)blockIdx.x * n;
  float top = -INFINITE, sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) top = nan_max(top, x[i]);
  top = block_max(top, part);
  Row s = v0 ? state[blockIdx.x] : Row{-INFINITE, 0.f, 0.f};
  float next = nan_max(s.top, top), base = next == -INFINITE ? 0.f : next;
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += expf(x[i] - base);
  sum = block_sum(sum, part2);
  if (threadIdx.x) return;
  int t = targets[blockIdx.x] - v0;
  if (t >= 0 && t < n) s.target = x[t];
  state[blockIdx.x] = Row{next, s.sum * expf(s.top - base) + sum, s.target};
}

// lse and logp of each row; 0 where there is no target.
KERNEL head_finish(float* logp, float* lse, const Row* state, const int* targets, int t) {
  int r = blockIdx.x * blockDim.x + threadIdx.x;
  if (r >= t) return;
  Row s = state[r];
  bool none = targets[r] < 0;
  float l = s.top + logf(s.sum);
  lse[r] = none ? 0.f : l;
  logp[r] = none ? 0.f : s.target - l;
}

// gradient (T, ld) = scale · (1[v = target] − softmax) of a chunk, in bf16; scale[r] is 1 without an array, and rows
// without a target are 0, as are the columns from n to ld.
KERNEL __launch_bounds__(256) head_gradient(bf16* gradient, const float* logits, const float* lse, const int* targets,
                                            const float* scale, int v0, int n, int ld) {
  size_t r = blockIdx.x;
  int target = targets[r];
  float l = lse[r], s = target < 0 ? 0.f : scale ? scale[r] : 1.f;
  for (int i = threadIdx.x; i < ld; i += blockDim.x) {
    float v = 0;
    if (i < n && target >= 0) v = s * ((v0 + i == target ? 1.f : 0.f) - expf(logits[r * n + i] - l));
    gradient[r * ld + i] = __float2bfloat16_rn(v);
  }
}
