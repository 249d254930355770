package parquet

import (
	"encoding/binary"
	"math/bits"
)

// hybrid gives numbers of a fixed width that are stored as runs of one number and as packed
// groups of eight, one after the other without ever holding all of them.
type hybrid struct {
	b      []byte
	width  int // bits, ≤ 32
	run    uint64
	value  uint32 // of the run
	packed bool
	group  uint64 // position in a packed run, in numbers
}

func newHybrid(b []byte, width int) hybrid { return hybrid{b: b, width: width} }

func (h *hybrid) next() (uint32, error) {
	for h.run == 0 {
		if err := h.start(); err != nil {
			return 0, err
		}
	}
	h.run--
	if !h.packed {
		return h.value, nil
	}
	at := h.group * uint64(h.width)
	h.group++
	v := bitsAt(h.b, at, h.width)
	if h.run == 0 {
		h.b = h.b[h.group*uint64(h.width)/8:]
	}
	return uint32(v), nil
}

// start reads the head of the next run.
func (h *hybrid) start() error {
	u, n := binary.Uvarint(h.b)
	if n <= 0 {
		return errShort
	}
	h.b = h.b[n:]
	h.packed, h.run, h.group = u&1 == 1, u>>1, 0
	if h.packed {
		if h.run > maxValues {
			return errPage
		}
		h.run *= 8
		// Some writers cut the last group: numbers beyond the end do not count.
		if whole := uint64(len(h.b)) * 8; h.width > 0 && h.run*uint64(h.width) > whole {
			if h.run = whole / uint64(h.width); h.run == 0 {
				return errShort
			}
		}
		return nil
	}
	size := (h.width + 7) / 8
	if len(h.b) < size {
		return errShort
	}
	h.value = 0
	for i := range size {
		h.value |= uint32(h.b[i]) << (8 * i)
	}
	h.b = h.b[size:]
	return nil
}

// bitsAt reads width ≤ 64 bits from bit at of b, whose end reads as zeros.
func bitsAt(b []byte, at uint64, width int) (v uint64) {
	for got := 0; got < width; {
		i := int((at + uint64(got)) / 8)
		if i >= len(b) {
			break
		}
		shift := int((at + uint64(got)) % 8)
		v |= uint64(b[i]>>shift) << got
		got += 8 - shift
	}
	if width < 64 {
		v &= 1<<width - 1
	}
	return v
}

// widthOf is the number of bits of levels up to most.
func widthOf(most byte) int { return bits.Len8(most) }

// delta gives the integers of DELTA_BINARY_PACKED one after the other.
type delta struct {
	b      []byte
	left   uint64 // numbers not given yet
	first  bool
	last   int64
	least  int64  // of the differences in the block
	widths []byte // of the block's miniblocks that are not begun
	size   uint64 // numbers of a miniblock
	minis  int
	width  int // of the miniblock
	at     uint64
}

func newDelta(b []byte) (d delta, err error) {
	d.b = b
	block, err := d.uvarint()
	if err != nil {
		return d, err
	}
	minis, err := d.uvarint()
	if err != nil {
		return d, err
	}
	if d.left, err = d.uvarint(); err != nil {
		return d, err
	}
	if block == 0 || block > 1<<20 || minis == 0 || block%minis != 0 || (block/minis)%8 != 0 || d.left > maxValues {
		return d, errPage
	}
	d.size, d.minis, d.first = block/minis, int(minis), true
	d.at = d.size
	u, err := d.uvarint()
	d.last = unzigzag(u)
	return d, err
}

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

func (d *delta) uvarint() (uint64, error) {
	u, n := binary.Uvarint(d.b)
	if n <= 0 {
		return 0, errShort
	}
	d.b = d.b[n:]
	return u, nil
}

func (d *delta) next() (int64, error) {
	if d.left == 0 {
		return 0, errShort
	}
	d.left--
	if d.first {
		d.first = false
		return d.last, nil
	}
	if d.at == d.size {
		if err := d.mini(); err != nil {
			return 0, err
		}
	}
	d.last += d.least + int64(bitsAt(d.b, d.at*uint64(d.width), d.width))
	if d.at++; d.at == d.size || d.left == 0 {
		// A miniblock is whole, also the last; without its numbers it may be left out.
		d.b = d.b[min(uint64(len(d.b)), d.size*uint64(d.width)/8):]
		d.at = d.size
	}
	return d.last, nil
}

// mini begins the next miniblock.
func (d *delta) mini() error {
	if len(d.widths) == 0 {
		u, err := d.uvarint()
		if err != nil {
			return err
		}
		if len(d.b) < d.minis {
			return errShort
		}
		d.least, d.widths, d.b = unzigzag(u), d.b[:d.minis], d.b[d.minis:]
	}
	d.width, d.widths, d.at = int(d.widths[0]), d.widths[1:], 0
	need := min(d.size, d.left+1) * uint64(d.width)
	if d.width > 64 || need > uint64(len(d.b))*8 {
		return errPage
	}
	return nil
}
