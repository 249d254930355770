package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What a file may ask for. maxMemory bounds the memory, also if the headers claim more.
const (
	maxPage   = 64 << 20  // bytes of a page, unpacked; writers make pages of 1 MiB
	maxHeader = 16 << 20  // bytes of its header; some writers put the least and the largest value into it, twice
	maxMemory = 256 << 20 // bytes of pages and dictionaries that are held for all columns
	maxValues = 1 << 28   // values of a page
)

var errPage = errors.New("a page is damaged")

// entry is a value with its levels. It is absent if def is below the column's.
type entry struct {
	rep, def byte
	num      uint64 // bits of a number, 0 or 1 of a bool
	bytes    []byte // of an array, within the page or the dictionary
}

// chunk is where a column's part of a row group stands.
type chunk struct {
	at, end int64 // of its pages in the file
	codec   int
	values  int64
}

// column reads the values of one leaf.
type column struct {
	f      *File
	leaf   *node
	chunk  chunk
	left   int64 // values of the chunk that are not read
	page   []byte
	dict   dictionary
	inPage int64 // values of the page that are not read
	reps   hybrid
	defs   hybrid
	values values
	next   entry // read ahead, if ahead
	ahead  bool
	record []entry
}

// start begins the column's part of a row group.
func (c *column) start(k chunk) {
	c.chunk, c.left, c.inPage, c.ahead = k, k.values, 0, false
	c.f.held -= len(c.dict.page)
	c.dict = dictionary{}
}

// read reads the entries of the next row into c.record. Beyond most it only counts.
func (c *column) read(most int) (entries int, err error) {
	c.record = c.record[:0]
	for {
		if !c.ahead {
			if c.left == 0 {
				return entries, nil
			}
			if err := c.entry(); err != nil {
				return 0, err
			}
		}
		if c.next.rep == 0 && entries > 0 {
			return entries, nil
		}
		if entries == 0 && c.next.rep != 0 {
			return 0, errPage
		}
		c.ahead = false
		if entries++; entries <= most {
			c.record = append(c.record, c.next)
		}
	}
}

// entry reads one entry ahead.
func (c *column) entry() error {
	for c.inPage == 0 {
		if err := c.load(); err != nil {
			return err
		}
	}
	e := entry{}
	level := func(h *hybrid, most byte) (byte, error) {
		if most == 0 {
			return 0, nil
		}
		v, err := h.next()
		if err != nil || v > uint32(most) {
			return 0, errPage
		}
		return byte(v), nil
	}
	var err error
	if e.rep, err = level(&c.reps, c.leaf.rep); err != nil {
		return err
	}
	if e.def, err = level(&c.defs, c.leaf.def); err != nil {
		return err
	}
	if e.def == c.leaf.def {
		if err := c.values.next(&e); err != nil {
			return errPage
		}
	}
	c.inPage--
	c.left--
	c.next, c.ahead = e, true
	return nil
}

// load reads the next page.
func (c *column) load() error {
	h, size, err := c.header()
	if err != nil {
		return err
	}
	c.chunk.at += int64(size)
	packed, unpacked := h.int(3, -1), h.int(2, -1)
	if packed < 0 || packed > c.chunk.end-c.chunk.at || packed > maxPage || unpacked < 0 || unpacked > maxPage {
		return fmt.Errorf("a page of %d bytes, %d unpacked: %d are the most, and %d are left", packed, unpacked,
			maxPage,
			c.chunk.end-c.chunk.at)
	}
	body := io.NewSectionReader(c.f.r, c.chunk.at, packed)
	c.chunk.at += packed
	switch h.int(1, -1) {
	case 0:
		return c.dataPage(h.get(5), body, int(unpacked), false)
	case 3:
		return c.dataPage(h.get(8), body, int(unpacked), true)
	case 2:
		return c.dictPage(h.get(7), body, int(unpacked))
	}
	return nil // an index page: not needed
}

// header reads the head of the page at c.chunk.at. Statistics in it can make it long.
func (c *column) header() (h *field, size int, err error) {
	left := c.chunk.end - c.chunk.at
	for n := int64(1 << 10); ; n *= 4 {
		buf := make([]byte, min(n, left))
		if _, err := c.f.r.ReadAt(buf, c.chunk.at); err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		h, size, err = readStruct(buf)
		if !errors.Is(err, errShort) || n >= left || n >= maxHeader {
			if errors.Is(err, errShort) {
				err = errors.New("its pages end too early")
			}
			return h, size, err
		}
	}
}

// buffer returns n bytes for a page, in place of old.
func (c *column) buffer(old []byte, n int) ([]byte, error) {
	c.f.held += n - len(old)
	if c.f.held > maxMemory {
		return nil, fmt.Errorf("its pages need more than %d MiB at once: write it with smaller pages or fewer columns",
			maxMemory>>20)
	}
	if n <= cap(old) && len(c.record) == 0 { // else the row that is read points into it
		return old[:n], nil
	}
	return make([]byte, n), nil
}

// dataPage makes a page ready. Its levels stand before its values: in version 2 unpacked, with
// lengths in the header.
func (c *column) dataPage(h *field, body *io.SectionReader, unpacked int, second bool) (err error) {
	n := h.int(1, -1)
	if h == nil || n < 0 || n > c.left || n > maxValues {
		return errPage
	}
	var reps, defs int64
	codec, encoding := c.chunk.codec, h.int(2, -1)
	if second {
		encoding, defs, reps = h.int(4, -1), h.int(5, -1), h.int(6, -1)
		if reps < 0 || defs < 0 || reps+defs > body.Size() || reps+defs > int64(unpacked) {
			return errPage
		}
		if h.int(7, 1) == 0 {
			codec = 0
		}
	}
	if c.page, err = c.buffer(c.page, unpacked); err != nil {
		return err
	}
	levels := int(reps + defs)
	if _, err := io.ReadFull(body, c.page[:levels]); err != nil {
		return err
	}
	if err := c.f.unpack(codec, body, c.page[levels:]); err != nil {
		return err
	}
	data := c.page
	if second {
		c.reps, c.defs = newHybrid(data[:reps], widthOf(c.leaf.rep)), newHybrid(data[reps:levels], widthOf(c.leaf.def))
		data = data[levels:]
	} else {
		if (c.leaf.rep > 0 && h.int(4, 3) != 3) || (c.leaf.def > 0 && h.int(3, 3) != 3) {
			return errors.New("levels in the old bit-packed form cannot be read: write it with a newer program")
		}
		if data, err = cutLevels(&c.reps, data, c.leaf.rep); err == nil {
			data, err = cutLevels(&c.defs, data, c.leaf.def)
		}
		if err != nil {
			return err
		}
	}
	c.inPage = n
	return c.values.open(c.leaf, encoding, data, &c.dict)
}

// cutLevels takes the levels, which their length precedes, off the data of a page.
func cutLevels(into *hybrid, data []byte, most byte) ([]byte, error) {
	if most == 0 {
		return data, nil
	}
	if len(data) < 4 {
		return nil, errPage
	}
	n := uint64(binary.LittleEndian.Uint32(data))
	if data = data[4:]; n > uint64(len(data)) {
		return nil, errPage
	}
	*into = newHybrid(data[:n], widthOf(most))
	return data[n:], nil
}

func (c *column) dictPage(h *field, body *io.SectionReader, unpacked int) (err error) {
	n := h.int(1, -1)
	if enc := h.int(2, 0); h == nil || n < 0 || n > maxValues || enc != 0 && enc != 2 || c.dict.page != nil {
		return errPage
	}
	page, err := c.buffer(nil, unpacked)
	if err != nil {
		return err
	}
	if err := c.f.unpack(c.chunk.codec, body, page); err != nil {
		return err
	}
	c.dict, err = newDictionary(c.leaf, page, int(n))
	return err
}
