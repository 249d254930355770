// Declarations of cublaslt.c.
#include <stddef.h>
#include <stdint.h>

struct lt_product { // cuda.LibraryProduct
    void *y, *a, *b;
    int64_t m, n, k, lda, ldb;
    int trans_a, trans_b, add;
    float alpha;
};

int lt_open(const char *name);
int lt_create(void **handle);
size_t lt_version(void);
int lt_product(void *handle, struct lt_product p, int *found);
