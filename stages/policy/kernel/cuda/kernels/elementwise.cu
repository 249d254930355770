// Loops over elements. A thread takes every (grid · block)-th element.
#include "warp.cuh"
#define EACH(i, n) \
  for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)

// y = s · x. x may be y.
KERNEL scale(float* y, const float* x, float s, long long n) {
  EACH(i, n) y[i] = s * x[i];
}

// y += s · x.
KERNEL add(float* y, const float* x, float s, long long n) {
  EACH(i, n) y[i] += s * x[i];
}

// y (T, K) += bias (K), n = T · K.
KERNEL add_bias(float* y, const float* bias, int k, long long n) {
  EACH(i, n) y[i] += bias[i % k];
}

// x (T, K) *= by (T), n = T · K.
KERNEL scale_rows(float* x, const float* by, int k, long long n) {
  EACH(i, n) x[i] *= by[i / k];
}

KERNEL fill(float* y, float v, long long n) {
  EACH(i, n) y[i] = v;
}

// Rounds rows of k values to bf16; y has rows of ld, with zeros from k on. n = rows · ld.
KERNEL to_bf16(bf16* y, const float* x, int k, int ld, long long n) {
  EACH(i, n) {
    int c = i % ld;
    y[i] = __float2bfloat16_rn(c < k ? x[i / ld * k + c] : 0.f);
  }
}

// y = silu(gate) · up, with silu(g) = g / (1 + e^−g).
KERNEL swiglu(float* y, const float* gate, const float* up, long long n) {
  EACH(i, n) {
    float g = gate[i];
    y[i] = g / (1.f + expf(-g)) * up[i];
  }
}

// With s = sigmoid(g): dUp = dy · g·s, dGate = dy · up · s · (1 + g·(1 − s)).
KERNEL swiglu_backward(float* dgate, float* dup, const float* dy, const float* gate, const float* up, long long n) {
  EACH(i, n) {
    float g = gate[i], s = 1.f / (1.f + expf(-g)), d = dy[i], u = up[i];
    dup[i] = d * (g * s);
    dgate[i] = d * u * (s * (1.f + g * (1.f - s)));
  }
}

// Rotates the pairs (i, i + D/2) of each head of x (T, H, D) by the angles of pos[t]; sign −1 rotates back.
KERNEL rope(float* x, const float* cosines, const float* sines, const int* pos, float sign, int h, int d,
            long long pairs) {
  int half = d / 2;
  EACH(i, pairs) {
    long long head = i / half;
    int j = i % half;
    size_t angle = (size_t)pos[head / h] * half + j;
    float c = cosines[angle], s = sign * sines[angle];
    float *a = x + head * d + j, *b = a + half;
    float va = *a, vb = *b;
    *a = va * c - vb * s;
    *b = vb * c + va * s;
  }
}

// One step of AdamW, by the formula of kernel.Device.AdamW.
KERNEL adamw(float* w, float* m, float* v, const float* g, long long n, float rate, float b1, float b2, float eps,
             float decay, float gscale, float c1, float c2) {
  EACH(i, n) {
    float gi = g[i] * gscale;
    float mi = b1 * m[i] + (1.f - b1) * gi;
    float vi = b2 * v[i] + (1.f - b2) * (gi * gi);
    m[i] = mi;
    v[i] = vi;
    w[i] -= rate * (decay * w[i] + (mi / c1) / (sqrtf(vi / c2) + eps));
  }
}
