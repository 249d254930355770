// A stand-in for cuBLASLt that multiplies in the memory of the host, for a test: the same functions, columns, leading
// dimensions and transposes. It is compiled by the test and checks what it is given.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int compute, scale; int32_t trans[2]; } desc;
typedef struct { int type; uint64_t rows, cols; int64_t ld; } layout;
typedef struct { uint64_t algorithm[8]; size_t workspace; int state; float waves; int reserved[4]; } heuristic;

enum { invalid = 7 };

int cublasLtCreate(void **h) { *h = malloc(1); return 0; }
size_t cublasLtGetVersion(void) { return 120900; }
int cublasLtMatmulDescCreate(void **d, int compute, int scale) {
    desc *x = calloc(1, sizeof *x);
    x->compute = compute, x->scale = scale, *d = x;
    return compute == 68 && scale == 0 ? 0 : invalid;
}
int cublasLtMatmulDescDestroy(void *d) { free(d); return 0; }
int cublasLtMatmulDescSetAttribute(void *d, int attribute, const void *v, size_t n) {
    if (n != 4 || attribute < 3 || attribute > 4) return invalid;
    memcpy(&((desc *)d)->trans[attribute - 3], v, 4);
    return 0;
}
int cublasLtMatrixLayoutCreate(void **l, int type, uint64_t rows, uint64_t cols, int64_t ld) {
    layout *x = malloc(sizeof *x);
    x->type = type, x->rows = rows, x->cols = cols, x->ld = ld, *l = x;
    return ld >= (int64_t)rows ? 0 : invalid;
}
int cublasLtMatrixLayoutDestroy(void *l) { free(l); return 0; }
int cublasLtMatmulPreferenceCreate(void **p) { *p = calloc(1, 16); return 0; }
int cublasLtMatmulPreferenceDestroy(void *p) { free(p); return 0; }
int cublasLtMatmulPreferenceSetAttribute(void *p, int attribute, const void *v, size_t n) {
    (void)p, (void)v;
    return attribute == 1 && n == 8 || attribute == 3 && n == 4 ? 0 : invalid;
}
// No algorithm for a product of one column, which stands for those that the library lacks.
int cublasLtMatmulAlgoGetHeuristic(void *h, void *d, layout *a, layout *b, layout *c, layout *y, void *p, int want,
                                   heuristic *out, int *n) {
    (void)h, (void)d, (void)a, (void)b, (void)p, (void)want;
    *n = 0;
    if (c != y || c->rows == 1) return 15;
    memset(out, 0, sizeof *out);
    out->algorithm[0] = 42, *n = 1;
    return 0;
}

static float value(const uint16_t *x, const layout *l, int trans, uint64_t r, uint64_t c) {
    uint32_t bits = (uint32_t)x[trans ? c + r * l->ld : r + c * l->ld] << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

int cublasLtMatmul(void *h, desc *d, const float *alpha, const void *a, layout *la, const void *b, layout *lb,
                   const float *beta, const float *c, layout *lc, float *y, layout *ly, const uint64_t *algorithm,
                   void *workspace, size_t bytes, void *stream) {
    (void)h, (void)lc, (void)workspace, (void)stream;
    uint64_t k = d->trans[0] ? la->rows : la->cols;
    if (la->type != 14 || lb->type != 14 || ly->type != 0 || algorithm[0] != 42 || bytes ||
        (d->trans[0] ? la->cols : la->rows) != ly->rows || (d->trans[1] ? lb->rows : lb->cols) != ly->cols ||
        (d->trans[1] ? lb->cols : lb->rows) != k)
        return invalid;
    for (uint64_t i = 0; i < ly->rows; i++)
        for (uint64_t j = 0; j < ly->cols; j++) {
            float sum = 0;
            for (uint64_t l = 0; l < k; l++) sum += value(a, la, d->trans[0], i, l) * value(b, lb, d->trans[1], l, j);
            float old = *beta ? *beta * c[i + j * ly->ld] : 0;
            y[i + j * ly->ld] = *alpha * sum + old;
        }
    return 0;
}
