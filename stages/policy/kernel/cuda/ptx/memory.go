package ptx

import (
	"encoding/binary"
	"fmt"
)

// Addresses: every allocation has a window of 64 GiB of addresses for itself and begins in the middle of
// it, so that an index that is wrong by less than 32 GiB meets no other allocation. A window is used
// once: an access after Free is noticed too. Window 0 is empty, so that a null pointer faults.
const (
	windowBits   = 36
	windowMiddle = 1 << (windowBits - 1)
	sharedBase   = 1 << 60 // generic addresses of shared memory
	localBase    = 1 << 61 // generic addresses of local memory
	maxWindows   = 1 << 22
)

// space is where an address points.
type space int

const (
	generic space = iota
	global        // and const
	shared
	local
	param
)

// memory is the global memory.
type memory struct {
	allocs []*allocation // by window
	bytes  int           // in use
}

type allocation struct {
	data    []byte
	written []byte // 1 for every byte that has been written
	freed   bool
	pinned  bool // a variable of a module

	shadow  []shadow // of the race check: one for each granule bytes, the smallest access so far
	granule int
}

// Alloc reserves n bytes; they count as not written. The address is a multiple of 256.
func (m *Machine) Alloc(n int) (uint64, error) {
	limit := m.MaxMemory
	if limit == 0 {
		limit = defaultMemory
	}
	if n <= 0 {
		return 0, fmt.Errorf("an allocation of %d bytes", n)
	}
	if n > limit-m.memory.bytes || len(m.memory.allocs) >= maxWindows {
		return 0, fmt.Errorf("out of memory: %d bytes, with %d of %d in use", n, m.memory.bytes, limit)
	}
	if len(m.memory.allocs) == 0 {
		m.memory.allocs = append(m.memory.allocs, nil)
	}
	m.memory.allocs = append(m.memory.allocs, &allocation{data: make([]byte, n), written: make([]byte, n)})
	m.memory.bytes += n
	return uint64(len(m.memory.allocs)-1)<<windowBits + windowMiddle, nil
}

// pin marks an allocation as a variable with these first bytes and zeros behind them.
func (m *memory) pin(address uint64, init []byte) {
	a := m.allocs[address>>windowBits]
	a.pinned = true
	copy(a.data, init)
	setAll(a.written)
}

// Free releases an allocation.
func (m *Machine) Free(address uint64) error {
	a, off, err := m.memory.find(address, 0)
	if err != nil {
		return err
	}
	if off != 0 || a.pinned {
		return fmt.Errorf("free of %#x, which no allocation begins at", address)
	}
	m.memory.bytes -= len(a.data)
	a.freed, a.data, a.written, a.shadow = true, nil, nil, nil
	return nil
}

// Used returns the bytes of allocations that are not freed, the variables of modules among them.
func (m *Machine) Used() int { return m.memory.bytes }

// CopyIn writes b to global memory.
func (m *Machine) CopyIn(address uint64, b []byte) error {
	a, off, err := m.memory.find(address, len(b))
	if err != nil {
		return err
	}
	copy(a.data[off:], b)
	setAll(a.written[off : off+len(b)])
	return nil
}

// CopyOut reads from global memory. It refuses bytes that nothing has written: this finds a kernel that
// leaves a hole in its result.
func (m *Machine) CopyOut(b []byte, address uint64) error {
	a, off, err := m.memory.find(address, len(b))
	if err != nil {
		return err
	}
	for i, w := range a.written[off : off+len(b)] {
		if w == 0 {
			return fault(Uninitialised, -1, "copy to the host of byte %d of an allocation of %d", off+i, len(a.data))
		}
	}
	copy(b, a.data[off:])
	return nil
}

// find gives the allocation of n bytes at an address, and where in it they begin.
func (m *memory) find(address uint64, n int) (*allocation, int, error) {
	window := address >> windowBits
	if window == 0 || window >= uint64(len(m.allocs)) {
		return nil, 0, fmt.Errorf("address %#x is in no allocation", address)
	}
	a, off := m.allocs[window], int64(address&(1<<windowBits-1))-windowMiddle
	if a.freed {
		return nil, 0, fmt.Errorf("address %#x is used after free", address)
	}
	if off < 0 || off+int64(n) > int64(len(a.data)) {
		return nil, 0, fmt.Errorf("%d bytes at offset %d of an allocation of %d", n, off, len(a.data))
	}
	return a, int(off), nil
}

// access checks one lane's access of n bytes, a power of two up to 16, and gives the bytes.
func (w *warp) access(sp space, lane int, address uint64, n int, kind accessKind) ([]byte, error) {
	if sp == generic {
		switch {
		case address >= localBase:
			sp, address = local, address-localBase
		case address >= sharedBase:
			sp, address = shared, address-sharedBase
		}
	}
	switch sp {
	case shared:
		return w.block.shared.access(w, lane, address, n, kind)
	case local:
		return w.localAccess(lane, address, n, kind)
	case param:
		if size := uint64(len(w.block.params)); address > size || address+uint64(n) > size {
			return nil, fault(OutOfBounds, lane, "%d bytes at %d of the parameters", n, address)
		}
		return w.block.params[address : address+uint64(n)], nil
	}
	return w.globalAccess(lane, address, n, kind)
}

func (w *warp) globalAccess(lane int, address uint64, n int, kind accessKind) ([]byte, error) {
	a, off, err := w.block.machine.memory.find(address, n)
	if err != nil {
		return nil, fault(OutOfBounds, lane, "%s: %v", kind, err)
	}
	if address&uint64(n-1) != 0 {
		return nil, fault(Misaligned, lane, "%s of %d bytes at offset %d", kind, n, off)
	}
	written := a.written[off : off+n]
	if kind == writeAccess {
		setAll(written)
	} else if !allSet(written) {
		return nil, fault(Uninitialised, lane, "%d bytes at offset %d of an allocation of %d", n, off, len(a.data))
	}
	if !a.pinned {
		if err := a.touch(w, lane, off, n, kind); err != nil {
			return nil, err
		}
	}
	return a.data[off : off+n], nil
}

func (w *warp) localAccess(lane int, address uint64, n int, kind accessKind) ([]byte, error) {
	size := w.block.kernel.localBytes
	if address > uint64(size) || address+uint64(n) > uint64(size) {
		return nil, fault(OutOfBounds, lane, "%s of %d bytes at %d of local memory, which has %d",
			kind, n, int64(address), size)
	}
	if address&uint64(n-1) != 0 {
		return nil, fault(Misaligned, lane, "%s of %d bytes at %d of local memory", kind, n, address)
	}
	at := lane*size + int(address)
	written := w.localWritten[at : at+n]
	if kind == writeAccess {
		setAll(written)
	} else if !allSet(written) {
		return nil, fault(Uninitialised, lane, "%d bytes at %d of local memory", n, address)
	}
	return w.local[at : at+n], nil
}

const ones = 0x0101010101010101

func allSet(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != ones {
			return false
		}
	}
	for _, v := range b {
		if v == 0 {
			return false
		}
	}
	return true
}

func setAll(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, ones)
	}
	for i := range b {
		b[i] = 1
	}
}

func getLE(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

func putLE(b []byte, v uint64) {
	switch len(b) {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(b, uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(b, uint32(v))
	default:
		binary.LittleEndian.PutUint64(b, v)
	}
}
