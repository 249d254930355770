package disk

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"

	"itool/storage"
)

// The trailer follows the content in the same file: so the content can be mapped from
// offset 0, and one rename publishes both. It is one line of text of fixed length, which a
// person can read too:
//
//	␤itool-object/1 sha256=<64 hex> size=<20 digits>␤
const (
	trailerFormat = "\nitool-object/1 sha256=%s size=%020d\n"
	trailerHead   = len("\nitool-object/1 sha256=")
	trailerMid    = len(" size=")
	trailerSize   = trailerHead + 64 + trailerMid + 20 + 1 // bytes
)

func trailer(info storage.Info) []byte {
	return fmt.Appendf(nil, trailerFormat, info.SHA256, info.Size)
}

// readTrailer returns Size and SHA256 of the object in f. If f is a folder, the object
// does not exist.
func readTrailer(f *os.File) (storage.Info, error) {
	st, err := f.Stat()
	if err != nil {
		return storage.Info{}, err
	}
	if st.IsDir() {
		return storage.Info{}, storage.ErrNotExist
	}
	if !st.Mode().IsRegular() || st.Size() < int64(trailerSize) {
		return storage.Info{}, fmt.Errorf("%w: the file has no trailer", storage.ErrCorrupt)
	}
	line := make([]byte, trailerSize)
	if _, err := f.ReadAt(line, st.Size()-int64(trailerSize)); err != nil {
		return storage.Info{}, err
	}
	info := storage.Info{SHA256: string(line[trailerHead : trailerHead+64])}
	info.Size, _ = strconv.ParseInt(string(line[trailerSize-21:trailerSize-1]), 10, 64)
	_, err = hex.DecodeString(info.SHA256)
	if err != nil || info.Size != st.Size()-int64(trailerSize) || string(trailer(info)) != string(line) {
		return storage.Info{}, fmt.Errorf("%w: the file's trailer is damaged", storage.ErrCorrupt)
	}
	return info, nil
}
