// Makes the compiler write instructions that the interpreter must know, each with a result that a test checks.
#include "tile.cuh"

KERNEL probe_math(const float* x, float* y, int n) { // y[10][n]
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float a = x[i];
  y[i] = expf(a);
  y[n + i] = logf(fabsf(a) + 1e-3f);
  y[2 * n + i] = tanhf(a);
  y[3 * n + i] = a / (1 + __expf(-a));
  y[4 * n + i] = sinf(a * 1000.f); // large arguments go through a slow path with a local array
  y[5 * n + i] = powf(fabsf(a), 1.7f);
  y[6 * n + i] = __half2float(__float2half(a));
  y[7 * n + i] = rintf(a) + truncf(a) * 0.5f + floorf(a) * 0.25f;
  y[8 * n + i] = (float)sqrt((double)fabsf(a));
  y[9 * n + i] = __fdividef(a, 3.f) + rsqrtf(fabsf(a) + 1.f);
}

KERNEL probe_int(const int* x, int* y, int n, int* count) { // y[7][n]
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  bool in = i < n;
  unsigned votes = __ballot_sync(ALL, in && (x[in ? i : 0] & 1));
  if ((threadIdx.x & 31) == 0) atomicAdd(count, __popc(votes));
  if (!in) return;
  int a = x[i], d = (i % 7) + 1, r;
  y[i] = a / d + a % d;
  y[n + i] = __clz(a) * 100 + __ffs(a) + (int)(__brev(a) & 7);
  y[2 * n + i] = (int)(((long long)a * d) >> 3) ^ (int)__umulhi((unsigned)a, 0x9e3779b9u);
  switch (i % 6) { // a jump table
    case 0: r = a * 3; break;
    case 1: r = a ^ 0x55; break;
    case 2: r = a >> 3; break;
    case 3: r = __vadd2(a, d); break;
    case 4: r = a - d; break;
    default: r = -a;
  }
  y[3 * n + i] = r;
  int table[8];
  for (int j = 0; j < 8; j++) table[j] = a * j;
  y[4 * n + i] = table[(unsigned)a % 8];
  int steps = 0;
  for (unsigned u = (unsigned)a & 63; u > 1; u = u & 1 ? 3 * u + 1 : u >> 1) steps++; // lanes leave one by one
  y[5 * n + i] = steps;
  y[6 * n + i] = (int)(__mul64hi(a * 0x123456789LL, 0x7654321fedcLL) & 0xffff);
}

KERNEL probe_warp(const unsigned* x, unsigned* y, unsigned* at) { // one warp; y[14][32], at[4]
  __shared__ unsigned s[32];
  __shared__ __align__(16) unsigned char c[32][16];
  int i = threadIdx.x;
  unsigned a = x[i], b = x[31 - i];
  y[i] = __byte_perm(a, b, 0x1642);
  y[32 + i] = __funnelshift_l(a, b, i);
  y[64 + i] = __shfl_up_sync(ALL, a, 3);
  y[96 + i] = __shfl_down_sync(ALL, a, 5, 16);
  y[128 + i] = __shfl_sync(ALL, a, i * 7, 8);
  y[160 + i] = __any_sync(ALL, a == b) * 2 + __all_sync(ALL, a != b + 1);
  y[192 + i] = min((int)a, (int)b) ^ max(a, b);
  unsigned r;
  asm("bfe.s32 %0, %1, 7, 9;" : "=r"(r) : "r"(a));
  y[224 + i] = r;
  asm("lop3.b32 %0, %1, %2, %3, 0xE8;" : "=r"(r) : "r"(a), "r"(b), "r"(i));
  y[256 + i] = r;
  __nv_bfloat162 p = __floats2bfloat162_rn((float)i, 0.1f), q = __hfma2(p, p, p);
  y[288 + i] = *(unsigned*)&q;
  s[i] = a;
  __syncwarp();
  const unsigned* g = i & 1 ? s : x; // a generic address: shared or global, by the lane
  y[320 + i] = g[i ^ 2];
  if (i % 3 == 0) y[352 + i] = __activemask(); else y[352 + i] = ~__activemask();
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(c[i])), "l"(x + (i & ~1)), "r"(6)
               : "memory");
  asm volatile("cp.async.wait_all;" ::: "memory");
  y[384 + i] = ((unsigned*)c[i])[1];
  y[416 + i] = __reduce_max_sync(ALL, a);
  atomicMax((int*)at, (int)a);
  atomicExch(at + 1, 7u);
  atomicCAS(at + 2, 0u, i + 1u);
  atomicXor(at + 3, a);
}

// c[16][8] = a[16][16] · b[16][8] in half precision; b goes through ldmatrix.trans.
KERNEL probe_trans(const __half* a, const __half* b, float* c) {
  __shared__ __align__(16) __half sa[16][16], sb[16][8];
  int l = threadIdx.x;
  for (int i = l; i < 256; i += 32) sa[i / 16][i % 16] = a[i];
  for (int i = l; i < 128; i += 32) sb[i / 8][i % 8] = b[i];
  __syncwarp();
  unsigned fa[4], fb[2];
  float d[4] = {};
  load4(fa, &sa[l & 15][(l >> 4) * 8]);
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(fb[0]), "=r"(fb[1]) : "r"(shared_address(sb[l & 15])));
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
  for (int e = 0; e < 4; e++) c[((l >> 2) + (e >> 1) * 8) * 8 + (l & 3) * 2 + (e & 1)] = d[e];
}
