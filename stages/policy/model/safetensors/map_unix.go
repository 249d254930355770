//go:build unix

package safetensors

import (
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapBytes is the size from which a local file is mapped: then several processes share its
// memory, and the system takes back what is not used. Small files are read.
const mapBytes = 64 << 20

// load returns a file's bytes and, when it is mapped, what gives them back.
func load(fsys fs.FS, name string) (data []byte, unmap func([]byte), err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	local, ok := f.(interface{ Fd() uintptr }) // an *os.File, or a part of a checkpoint on disk
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

// release drops the whole pages of data.
func release(data []byte) {
	page := os.Getpagesize()
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(data)))) & (page - 1)
	if whole := (len(data) - skip) / page * page; whole > 0 {
		_ = unix.Madvise(data[skip:skip+whole], unix.MADV_DONTNEED) // or keep them: nothing is lost
	}
}
