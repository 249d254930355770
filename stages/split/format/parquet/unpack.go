package parquet

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// codecs are the names of the ways to pack a page, by number.
var codecs = []string{"UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW"}

// unpack fills into from a packed page, whose size must be just that.
func (f *File) unpack(codec int, body *io.SectionReader, into []byte) error {
	wrong := fmt.Errorf("a page does not unpack to the %d bytes that its header says", len(into))
	switch codec {
	case 0:
		return exactly(body, into, wrong)
	case 1:
		size, _ := body.Seek(0, io.SeekCurrent)
		f.scratch = append(f.scratch[:0], make([]byte, body.Size()-size)...)
		if _, err := io.ReadFull(body, f.scratch); err != nil {
			return err
		}
		if len(f.scratch) == 0 && len(into) == 0 {
			return nil
		}
		if n, err := snappy.DecodedLen(f.scratch); err != nil || n != len(into) {
			return wrong
		}
		if _, err := snappy.Decode(into, f.scratch); err != nil {
			return errPage
		}
		return nil
	case 2:
		z, err := gzip.NewReader(body)
		if err != nil {
			return errPage
		}
		return exactly(z, into, wrong)
	case 6:
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxPage))
		if err != nil {
			return errPage
		}
		defer z.Close()
		return exactly(z, into, wrong)
	}
	name := fmt.Sprint(codec)
	if codec >= 0 && codec < len(codecs) {
		name = codecs[codec]
	}
	return fmt.Errorf("its pages are packed with %s, which cannot be read: write it with zstd or snappy", name)
}

// exactly fills into and makes sure that r ends there.
func exactly(r io.Reader, into []byte, wrong error) error {
	if _, err := io.ReadFull(r, into); err != nil {
		return wrong
	}
	var more [1]byte
	if n, err := io.ReadFull(r, more[:]); n > 0 || !errors.Is(err, io.EOF) {
		return wrong
	}
	return nil
}
