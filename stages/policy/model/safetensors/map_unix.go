//go:build unix

package safetensors

import (
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapBytes is the size from which a local file is mapped: several processes then share its memory, and
// the operating system reclaims what is not used. Smaller files are read.
const mapBytes = 64 << 20

// load returns a file's bytes and, if they are mapped, the function that unmaps them.
func load(fsys fs.FS, name string) (data []byte, unmap func([]byte), err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	local, ok := f.(interface{ Fd() uintptr }) // an *os.File, or a file of a checkpoint on disk
	if err != nil || !ok || !st.Mode().IsRegular() || st.Size() < mapBytes || int64(int(st.Size())) != st.Size() {
		data, err = fs.ReadFile(fsys, name)
		return data, nil, err
	}
	data, err = unix.Mmap(int(local.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, &fs.PathError{Op: "mmap", Path: name, Err: err}
	}
	return data, func(data []byte) { _ = unix.Munmap(data) }, nil
}

// release drops the pages that lie wholly within data.
func release(data []byte) {
	page := os.Getpagesize()
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(data)))) & (page - 1)
	if whole := (len(data) - skip) / page * page; whole > 0 {
		_ = unix.Madvise(data[skip:skip+whole], unix.MADV_DONTNEED) // an error is harmless: the pages stay
	}
}
