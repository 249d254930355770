// The products: each layout of B with tiles for few rows (decoding), some rows, and many. The sizes are those of
// tiles in product.go.
#include "product.cuh"

#define PRODUCT(name, BM, BN, BK, WM, WN, STAGES, TA, LAYOUT)                                                    \
  KERNEL __launch_bounds__(BM / WM*(BN / WN) * 32)                                                               \
      name(float* y, const bf16* a, const void* b, const void* scales, int m, int n, int k, int lda, int ldb,    \
           int add, int half, float alpha) {                                                                     \
    product<BM, BN, BK, WM, WN, STAGES, TA, LAYOUT>(Product{y, a, b, scales, m, n, k, lda, ldb, add, half, alpha}); \
  }

#define FEW(name, LAYOUT) PRODUCT(name##_few, 16, 32, 128, 16, 16, 4, false, LAYOUT)
#define SOME(name, TA, LAYOUT) PRODUCT(name##_some, 64, 64, 32, 32, 32, 4, TA, LAYOUT)
#define MANY(name, TA, LAYOUT) PRODUCT(name##_many, 128, 128, 32, 64, 32, 3, TA, LAYOUT)

FEW(bf16_nk, NK)
SOME(bf16_nk, false, NK)
MANY(bf16_nk, false, NK)
SOME(bf16_kn, false, KN)
MANY(bf16_kn, false, KN)
SOME(bf16_t_nk, true, NK)
SOME(bf16_t_kn, true, KN)
MANY(bf16_t_kn, true, KN)
FEW(int8_nk, INT8_NK)
SOME(int8_nk, false, INT8_NK)
MANY(int8_nk, false, INT8_NK)
SOME(int8_kn, false, INT8_KN)
MANY(int8_kn, false, INT8_KN)
FEW(nf4_nk, NF4_NK)
SOME(nf4_nk, false, NF4_NK)
MANY(nf4_nk, false, NF4_NK)
SOME(nf4_kn, false, NF4_KN)
MANY(nf4_kn, false, NF4_KN)
