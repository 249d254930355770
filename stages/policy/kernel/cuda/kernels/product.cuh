// Matrix products on tensor cores: y (M, N) = alpha · A (M, K) · B (K, N), or += …, in bf16 with float32 sums.
//
// A block computes a tile of BM × BN; K advances by BK. Tiles of A and B come to shared memory by cp.async, STAGES
// of them under way, and go to mma.sync by ldmatrix. Rows in shared memory are swizzled, so that neither has bank
// conflicts. Weights in eight and four bits arrive as codes and are widened to bf16 in shared memory, a tile at a
// time.
//
// The sum over K is a chain of mma.m16n8k16 in the order of K. It is the same for every tile size and place, so a
// row has the same bits in every batch.
#pragma once
#include "tile.cuh"

// How B is stored. W is the weight (N', K'): NK and the codes with _NK multiply by Wᵀ (N = N', K = K'), KN and _KN by
// W itself (N = K', K = N').
enum Layout { NK, KN, INT8_NK, INT8_KN, NF4_NK, NF4_KN };

struct Product {
  float* y;           // (M, N)
  const bf16* a;      // rows of lda elements; (M, K), or (K, M) if it is transposed
  const void* b;      // rows of ldb elements, or codes
  const void* scales; // of codes
  int m, n, k, lda, ldb, add, half; // half: values of NF4 are rounded to fp16 first
  float alpha;
};

// The element at which 16-byte piece q of row r begins, in a tile with rows of COLUMNS.
template <int COLUMNS>
__device__ __forceinline__ int piece(int r, int q) {
  constexpr int C = COLUMNS / 8, TURN = C >= 8 ? 1 : 8 / C;
  return r * COLUMNS + ((q ^ (r / TURN & (C >= 8 ? 7 : C - 1))) * 8);
}

// Begins to copy a tile: rows from row0 and columns from column0 of g; zeros outside of rows and columns.
template <int ROWS, int COLUMNS, int THREADS>
__device__ __forceinline__ void copy_tile(bf16* tile, const bf16* g, int row0, int rows, int column0, int columns,
                                          int ld) {
#pragma unroll
  for (int c = threadIdx.x; c < ROWS * COLUMNS / 8; c += THREADS) {
    int r = c / (COLUMNS / 8), q = c % (COLUMNS / 8), column = column0 + q * 8;
    bool in = row0 + r < rows && column < columns;
    copy16(tile + piece<COLUMNS>(r, q), in ? g + (size_t)(row0 + r) * ld + column : g, in ? 16 : 0);
  }
}

// Eight bits (kernel.Int8): a piece is the codes of sixteen rows of W for one k, and has sixteen scales. The tile's
// rows are k, its columns n.
template <int ROWS, int COLUMNS, int THREADS>
struct Int8 {
  static constexpr int PIECES = ROWS * COLUMNS / 16, EACH = (PIECES + THREADS - 1) / THREADS, RAW = PIECES * 16;
  uint4 scale[EACH][2];

  __device__ __forceinline__ void copy(char* raw, const Product& p, int k0, int n0, int wk, int wn) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      int c = threadIdx.x + i * THREADS, k = k0 + c % ROWS, n = n0 + c / ROWS * 16;
      bool in = k < wk && n < wn;
      if (c < PIECES)
        copy16(raw + c * 16, (const char*)p.b + (in ? ((size_t)(n / 16) * wk + k) * 16 : 0), in ? 16 : 0);
    }
  }
  // Loads the scales of a tile, one step before they are used.
  __device__ __forceinline__ void prefetch(const Product& p, int k0, int n0, int wk, int wn) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      int c = threadIdx.x + i * THREADS, k = k0 + c % ROWS, n = n0 + c / ROWS * 16;
      scale[i][0] = scale[i][1] = make_uint4(0, 0, 0, 0);
      if (c < PIECES && k < wk && n < wn) {
        const uint4* s = (const uint4*)((const __half*)p.scales + ((size_t)(n / 16) * ((wk + 31) / 32) + k / 32) * 16);
        scale[i][0] = s[0];
        scale[i][1] = s[1];
      }
    }
  }
  __device__ __forceinline__ void widen(bf16* tile, const char* raw, const Product&, const float*) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      int c = threadIdx.x + i * THREADS;
      if (c >= PIECES) break;
      uint4 codes = *(const uint4*)(raw + c * 16);
#pragma unroll
      for (int j = 0; j < 2; j++) {
        unsigned four[2] = {j ? codes.z : codes.x, j ? codes.w : codes.y};
        const __half2* s = (const __half2*)&scale[i][j];
        unsigned out[4];
#pragma unroll
        for (int e = 0; e < 4; e++) {
          unsigned two = four[e / 2] >> (e % 2 * 16);
          float2 f = __half22float2(s[e]);
          out[e] = pack2((float)((int)(two & 255) - 128) * f.x, (float)((int)(two >> 8 & 255) - 128) * f.y);
        }
        *(uint4*)(tile + piece<COLUMNS>(c % ROWS, c / ROWS * 2 + j)) = make_uint4(out[0], out[1], out[2], out[3]);
      }
    }
  }
};

__device__ const float nf4_codebook[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,
    -0.18477343022823334f, -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f,
    0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};

// Four bits (NF4): a piece is 32 neighbouring codes of a row of W, and has one scale. The tile's rows are n, its
// columns k; K' is a multiple of 32.
template <int ROWS, int COLUMNS, int THREADS>
struct NF4 {
  static constexpr int ACROSS = COLUMNS / 32, PIECES = ROWS * ACROSS, EACH = (PIECES + THREADS - 1) / THREADS,
                       RAW = PIECES * 16;
  float scale[EACH];

  __device__ __forceinline__ void copy(char* raw, const Product& p, int k0, int n0, int wk, int wn) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      int c = threadIdx.x + i * THREADS, n = n0 + c / ACROSS, k = k0 + c % ACROSS * 32;
      bool in = k < wk && n < wn;
      if (c < PIECES) copy16(raw + c * 16, (const char*)p.b + (in ? ((size_t)n * wk + k) / 2 : 0), in ? 16 : 0);
    }
  }
  __device__ __forceinline__ void prefetch(const Product& p, int k0, int n0, int wk, int wn) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      int c = threadIdx.x + i * THREADS, n = n0 + c / ACROSS, k = k0 + c % ACROSS * 32;
      scale[i] = c < PIECES && k < wk && n < wn ? ((const float*)p.scales)[((size_t)n * wk + k) / 64] : 0.f;
    }
  }
  // codebook has 32 copies of the 16 values, one in each bank of shared memory.
  __device__ __forceinline__ void widen(bf16* tile, const char* raw, const Product& p, const float* codebook) {
    const float* mine = codebook + (threadIdx.x & 31);
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      int c = threadIdx.x + i * THREADS, r = c / ACROSS, q = c % ACROSS;
      if (c >= PIECES) break;
      uint4 words = *(const uint4*)(raw + c * 16);
#pragma unroll
      for (int j = 0; j < 4; j++) {
        int turn = (j + q) & 3; // neighbouring threads write to other banks
        unsigned codes = turn & 2 ? (turn & 1 ? words.w : words.z) : (turn & 1 ? words.y : words.x), out[4];
#pragma unroll
        for (int e = 0; e < 4; e++) {
          unsigned two = codes >> (e * 8); // the first of two codes is in the high half
          float low = mine[(two >> 4 & 15) * 32] * scale[i], high = mine[(two & 15) * 32] * scale[i];
          if (p.half) {
            low = __half2float(__float2half_rn(low));
            high = __half2float(__float2half_rn(high));
          }
          out[e] = pack2(low, high);
        }
        *(uint4*)(tile + piece<COLUMNS>(r, q * 4 + turn)) = make_uint4(out[0], out[1], out[2], out[3]);
      }
    }
  }
};

// Weights that need no widening.
struct Plain {
  static constexpr int RAW = 0;
};

template <int L, int ROWS, int COLUMNS, int THREADS>
struct Codes {
  typedef Plain type;
};
template <int ROWS, int COLUMNS, int THREADS>
struct Codes<INT8_NK, ROWS, COLUMNS, THREADS> {
  typedef Int8<ROWS, COLUMNS, THREADS> type;
};
template <int ROWS, int COLUMNS, int THREADS>
struct Codes<INT8_KN, ROWS, COLUMNS, THREADS> {
  typedef Int8<ROWS, COLUMNS, THREADS> type;
};
template <int ROWS, int COLUMNS, int THREADS>
struct Codes<NF4_NK, ROWS, COLUMNS, THREADS> {
  typedef NF4<ROWS, COLUMNS, THREADS> type;
};
template <int ROWS, int COLUMNS, int THREADS>
struct Codes<NF4_KN, ROWS, COLUMNS, THREADS> {
  typedef NF4<ROWS, COLUMNS, THREADS> type;
};

// y from the sums of a warp's tile.
template <int MI, int NI>
__device__ __forceinline__ void store_tile(const Product& p, float acc[MI][NI][4], int row0, int column0) {
  int lane = threadIdx.x & 31;
  bool pairs = (p.n & 1) == 0;
#pragma unroll
  for (int i = 0; i < MI; i++)
#pragma unroll
    for (int j = 0; j < NI; j++)
#pragma unroll
      for (int e = 0; e < 4; e += 2) {
        int r = row0 + i * 16 + (lane >> 2) + e * 4, c = column0 + j * 8 + (lane & 3) * 2;
        if (r >= p.m || c >= p.n) continue;
        float* y = p.y + (size_t)r * p.n + c;
        float low = p.alpha * acc[i][j][e], high = p.alpha * acc[i][j][e + 1];
        if (pairs) {
          float2 old = p.add ? *(float2*)y : make_float2(0.f, 0.f);
          *(float2*)y = p.add ? make_float2(old.x + low, old.y + high) : make_float2(low, high);
        } else {
          y[0] = p.add ? y[0] + low : low;
          if (c + 1 < p.n) y[1] = p.add ? y[1] + high : high;
        }
      }
}

// Blocks of BM/WM · BN/WN warps; TA: A is transposed. Shared memory: shared_bytes of the launching code.
template <int BM, int BN, int BK, int WM, int WN, int STAGES, bool TA, int L>
__device__ __forceinline__ void product(const Product& p) {
  constexpr int THREADS = BM / WM * (BN / WN) * 32, MI = WM / 16, NI = WN / 8;
  constexpr bool CODES = L >= INT8_NK, BY_K = L == KN || L == INT8_NK || L == NF4_KN; // rows of B in memory are k
  constexpr int BROWS = BY_K ? BK : BN, BCOLUMNS = BY_K ? BN : BK;
  typedef typename Codes<L, BROWS, BCOLUMNS, THREADS>::type Weights;
  constexpr int A = BM * BK * 2, B = CODES ? Weights::RAW : BN * BK * 2, STAGE = A + B;
  extern __shared__ __align__(128) char memory[];
  bf16* wide = (bf16*)(memory + STAGES * STAGE); // the tile of widened codes
  __shared__ float codebook[L >= NF4_NK ? 512 : 1];
  if (L >= NF4_NK) // a barrier follows before it is read
    for (int i = threadIdx.x; i < 512; i += THREADS) codebook[i] = nf4_codebook[i / 32];

  int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN, steps = (p.k + BK - 1) / BK;
  Weights w;
  auto copy = [&](int t) {
    if (t >= steps) return;
    char* stage = memory + t % STAGES * STAGE;
    if (TA)
      copy_tile<BK, BM, THREADS>((bf16*)stage, p.a, t * BK, p.k, m0, p.m, p.lda);
    else
      copy_tile<BM, BK, THREADS>((bf16*)stage, p.a, m0, p.m, t * BK, p.k, p.lda);
    if constexpr (L == INT8_NK || L == NF4_NK)
      w.copy(stage + A, p, t * BK, n0, p.k, p.n);
    else if constexpr (CODES)
      w.copy(stage + A, p, n0, t * BK, p.n, p.k);
    else if constexpr (L == NK)
      copy_tile<BN, BK, THREADS>((bf16*)(stage + A), (const bf16*)p.b, n0, p.n, t * BK, p.k, p.ldb);
    else
      copy_tile<BK, BN, THREADS>((bf16*)(stage + A), (const bf16*)p.b, t * BK, p.k, n0, p.n, p.ldb);
  };
  auto prefetch = [&](int t) {
    if constexpr (L == INT8_NK || L == NF4_NK)
      w.prefetch(p, t * BK, n0, p.k, p.n);
    else if constexpr (CODES)
      w.prefetch(p, n0, t * BK, p.n, p.k);
  };

  float acc[MI][NI][4] = {};
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  int wm = warp % (BM / WM) * WM, wn = warp / (BM / WM) * WN;
  for (int t = 0; t < STAGES - 1; t++) {
    copy(t);
    copy_commit();
  }
  prefetch(0);
  for (int t = 0; t < steps; t++) {
    copy_wait<STAGES - 2>(); // this thread's part of tile t is here
    __syncthreads();         // all of it is, and the tile before is not needed any more
    copy(t + STAGES - 1);
    copy_commit();
    const bf16* a = (const bf16*)(memory + t % STAGES * STAGE);
    const bf16* b = (const bf16*)((const char*)a + A);
    if constexpr (CODES) {
      w.widen(wide, (const char*)b, p, codebook); // the codes that this thread copied itself
      prefetch(t + 1);
      __syncthreads();
      b = wide;
    }
#pragma unroll
    for (int k = 0; k < BK; k += 16) {
      unsigned fa[MI][4], fb[NI / 2][4];
#pragma unroll
      for (int i = 0; i < MI; i++) {
        if (TA)
          load4_trans(fa[i], a + piece<BM>(k + (lane >> 4) * 8 + (lane & 7), (wm + i * 16) / 8 + (lane >> 3 & 1)));
        else
          load4(fa[i], a + piece<BK>(wm + i * 16 + (lane & 15), k / 8 + (lane >> 4)));
      }
#pragma unroll
      for (int j = 0; j < NI / 2; j++) {
        if (BY_K)
          load4_trans(fb[j], b + piece<BN>(k + (lane & 15), (wn + j * 16) / 8 + (lane >> 4)));
        else
          load4(fb[j], b + piece<BK>(wn + j * 16 + (lane >> 4) * 8 + (lane & 7), k / 8 + (lane >> 3 & 1)));
      }
#pragma unroll
      for (int i = 0; i < MI; i++)
#pragma unroll
        for (int j = 0; j < NI; j++) mma(acc[i][j], fa[i], fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]);
    }
  }
  store_tile<MI, NI>(p, acc, m0 + wm, n0 + wn);
}
