//go:build gpu && linux && amd64

package cudriver

/*
#include <stdlib.h>
#include "cublaslt.h"
*/
import "C"

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"itool/stages/policy/kernel/cuda"
)

// libraryFile is cuBLASLt of CUDA 12. The dynamic linker looks for it where LD_LIBRARY_PATH and its configuration say.
const libraryFile = "libcublasLt.so.12"

// libraryEnv names another file than libraryFile.
const libraryEnv = "ITOOL_CUBLASLT_FILE"

var openLibrary = sync.OnceValue(func() error {
	file := libraryFile
	if other := os.Getenv(libraryEnv); other != "" {
		file = other
	}
	name := C.CString(file)
	defer C.free(unsafe.Pointer(name))
	if C.lt_open(name) == 0 {
		return fmt.Errorf("%s is not there, or lacks a function: install cuBLAS 12, or name the file in %s", file,
			libraryEnv)
	}
	return nil
})

// library is cuBLASLt with the context of a driver.
type library struct {
	do     func(func() error) error
	large  func(cuda.LibraryProduct) bool
	handle unsafe.Pointer
}

// Library opens cuBLASLt if it is there.
func (d *Driver) Library() (cuda.Library, error) { return newLibrary(d.do, cuda.LibraryProduct.Large) }

// newLibrary is Library with calls made by do, for products that are large.
func newLibrary(do func(func() error) error, large func(cuda.LibraryProduct) bool) (*library, error) {
	if err := openLibrary(); err != nil {
		return nil, err
	}
	l := &library{do: do, large: large}
	return l, do(func() error { return failed("cublasLtCreate", C.lt_create(&l.handle)) })
}

// Name has the version: another one may sum in another order.
func (l *library) Name() string { return fmt.Sprintf("cublaslt-%d", uint64(C.lt_version())) }

// Product queues it on the default stream, behind the kernels.
func (l *library) Product(p cuda.LibraryProduct) (done bool, err error) {
	if !l.large(p) {
		return false, nil
	}
	err = l.do(func() error {
		var found C.int
		status := C.lt_product(l.handle, C.struct_lt_product{
			y: pointer(p.Y), a: pointer(p.A), b: pointer(p.B),
			m: C.int64_t(p.M), n: C.int64_t(p.N), k: C.int64_t(p.K), lda: C.int64_t(p.LDA), ldb: C.int64_t(p.LDB),
			trans_a: flag(p.TransA), trans_b: flag(p.TransB), add: flag(p.Add), alpha: C.float(p.Alpha),
		}, &found)
		done = found != 0
		return failed("cublasLtMatmul", status)
	})
	return done && err == nil, err
}

// pointer is an address of the device, as C has it.
func pointer(a cuda.Address) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&a)) }

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

func failed(what string, status C.int) error {
	if status == 0 {
		return nil
	}
	return fmt.Errorf("%s: status %d", what, int(status))
}
