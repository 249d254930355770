//go:build gpu && linux && amd64

// cuBLASLt, found at run time: types and numbers are those of cublasLt.h 12, of which only what is used stands here.
#include "cublaslt.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { r32f = 0, r16bf = 14, compute32f = 68 };                 // cudaDataType_t, cublasComputeType_t
enum { descTransA = 3, descTransB = 4 };                        // cublasLtMatmulDescAttributes_t
enum { prefWorkspace = 1, prefReduction = 3, reductionNone = 0 }; // cublasLtMatmulPreferenceAttributes_t

typedef struct { // cublasLtMatmulHeuristicResult_t
    uint64_t algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} heuristic;

static int (*create)(void **);
static size_t (*version)(void);
static int (*newDesc)(void **, int, int), (*freeDesc)(void *), (*setDesc)(void *, int, const void *, size_t);
static int (*newLayout)(void **, int, uint64_t, uint64_t, int64_t), (*freeLayout)(void *);
static int (*newPref)(void **), (*freePref)(void *), (*setPref)(void *, int, const void *, size_t);
static int (*search)(void *, void *, void *, void *, void *, void *, void *, int, heuristic *, int *);
static int (*multiply)(void *, void *, const void *, const void *, void *, const void *, void *, const void *,
                       const void *, void *, void *, void *, const void *, void *, size_t, void *);

// lt_open returns 0 if there is no library of that name, or it lacks a function.
int lt_open(const char *name) {
    void *lib = dlopen(name, RTLD_NOW);
    if (!lib) return 0;
#define FIND(to, symbol) \
    if (!(*(void **)&to = dlsym(lib, #symbol))) return 0;
    FIND(create, cublasLtCreate)
    FIND(version, cublasLtGetVersion)
    FIND(newDesc, cublasLtMatmulDescCreate)
    FIND(freeDesc, cublasLtMatmulDescDestroy)
    FIND(setDesc, cublasLtMatmulDescSetAttribute)
    FIND(newLayout, cublasLtMatrixLayoutCreate)
    FIND(freeLayout, cublasLtMatrixLayoutDestroy)
    FIND(newPref, cublasLtMatmulPreferenceCreate)
    FIND(freePref, cublasLtMatmulPreferenceDestroy)
    FIND(setPref, cublasLtMatmulPreferenceSetAttribute)
    FIND(search, cublasLtMatmulAlgoGetHeuristic)
    FIND(multiply, cublasLtMatmul)
    return 1;
}

int lt_create(void **handle) { return create(handle); }

size_t lt_version(void) { return version(); }

// lt_product computes y (m, n) in rows. cuBLASLt has columns, so it computes yᵀ = op(b)ᵀ · op(a)ᵀ. *found is 0 if there
// is no algorithm. Sums are not split among blocks, so that they have one order.
int lt_product(void *handle, struct lt_product p, int *found) {
    void *desc = NULL, *a = NULL, *b = NULL, *y = NULL, *pref = NULL;
    int32_t first = p.trans_b ? 1 : 0, second = p.trans_a ? 1 : 0;
    uint32_t reduction = reductionNone;
    uint64_t none = 0;
    float beta = p.add ? 1 : 0;
    heuristic best;
    int n = 0, e;
    *found = 0;
    memset(&best, 0, sizeof best);
    // The first matrix of cuBLASLt is b: in columns (k, n) if b is (n, k) in rows, and then transposed.
    if ((e = newDesc(&desc, compute32f, r32f)) || (e = setDesc(desc, descTransA, &first, sizeof first)) ||
        (e = setDesc(desc, descTransB, &second, sizeof second)) ||
        (e = newLayout(&b, r16bf, p.trans_b ? p.k : p.n, p.trans_b ? p.n : p.k, p.ldb)) ||
        (e = newLayout(&a, r16bf, p.trans_a ? p.m : p.k, p.trans_a ? p.k : p.m, p.lda)) ||
        (e = newLayout(&y, r32f, p.n, p.m, p.n)) || (e = newPref(&pref)) ||
        (e = setPref(pref, prefWorkspace, &none, sizeof none)) ||
        (e = setPref(pref, prefReduction, &reduction, sizeof reduction)))
        goto done;
    // An error of the search means that it has no algorithm.
    if (!search(handle, desc, b, a, y, y, pref, 1, &best, &n) && n > 0 && best.state == 0) {
        *found = 1;
        e = multiply(handle, desc, &p.alpha, p.b, b, p.a, a, &beta, p.y, y, p.y, y, best.algorithm, NULL, 0, NULL);
    }
done:
    if (pref) freePref(pref);
    if (y) freeLayout(y);
    if (a) freeLayout(a);
    if (b) freeLayout(b);
    if (desc) freeDesc(desc);
    return e;
}
