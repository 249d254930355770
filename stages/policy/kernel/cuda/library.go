package cuda

import (
	"errors"
	"fmt"
)

// Library is a vendor's library of products: cuBLASLt in the binary, a stand-in in tests. Its sums have another order
// than the kernels here, which may change with the number of rows; so few rows never use it.
type Library interface {
	// Name is that of library and version, such as "cublaslt-120903".
	Name() string
	// Product queues y (M, N) float32 = alpha · op(a) · op(b), or += …, behind the kernels before it. done is false,
	// and nothing is queued, if the library has no algorithm for it, or does not gain on the kernels.
	Product(p LibraryProduct) (done bool, err error)
}

// LibraryProduct is one product of bf16 matrices in device memory: a is (M, K) or, with TransA, (K, M); b is (K, N)
// or, with TransB, (N, K). A row of a has LDA elements in memory, and one of b has LDB; y has no gaps.
type LibraryProduct struct {
	Y, A, B        Address
	M, N, K        int
	LDA, LDB       int
	TransA, TransB bool
	Add            bool
	Alpha          float32
}

// librarian is a driver that looks for a library. The error says where it has looked.
type librarian interface{ Library() (Library, error) }

// Large tells whether a product has so many rows and operations that a library gains on the kernels. Decoding and the
// search have fewer rows: their results stay those of the kernels, no matter what else is in the batch.
func (p LibraryProduct) Large() bool {
	const rows, operations = 1024, 1 << 30
	return p.M >= rows && p.M*p.N*p.K >= operations
}

// ErrNoLibrary says that the driver has none.
var ErrNoLibrary = errors.New("cuda: no library of products")

// UseLibrary switches the library for large products on or off; at the beginning it is off. The error says why there
// is none.
func (d *Device) UseLibrary(on bool) error {
	l := d.l
	l.mu.Lock()
	defer l.mu.Unlock()
	l.library = nil
	if !on {
		return nil
	}
	driver, ok := l.driver.(librarian)
	if !ok {
		return ErrNoLibrary
	}
	library, err := driver.Library()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoLibrary, err)
	}
	l.library = library
	return nil
}

// byLibrary leaves a large product to the library. The caller holds mu.
func (d *Launcher) byLibrary(p product) (done bool, err error) {
	of, ok := libraryLayouts[p.name]
	if d.library == nil || !ok || p.half {
		return false, nil
	}
	of.Y, of.A, of.B, of.M, of.N, of.K = p.y, p.a, p.b, p.m, p.n, p.k
	of.LDA, of.LDB, of.Add, of.Alpha = p.lda, p.ldb, p.add, p.alpha
	if done, err = d.library.Product(of); err != nil {
		return false, fmt.Errorf("cuda: %s: %s: product %d × %d × %d: %w", d.driver.Name(), d.library.Name(), p.m, p.n,
			p.k, err)
	}
	return done, nil
}

// libraryLayouts are the layouts in bf16. Weights in eight and four bits are widened by the kernels only.
var libraryLayouts = map[string]LibraryProduct{
	bf16NK.name:      {TransB: true},
	bf16KN.name:      {},
	bf16TransNK.name: {TransA: true, TransB: true},
	bf16TransKN.name: {TransA: true},
}
