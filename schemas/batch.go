package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
)

// Batch holds rows of one record in the form in which they travel.
type Batch struct {
	Header Header
	Body   []byte // Arrow IPC stream, not compressed
}

// Encode packs rows and sets Schema, Rows and SHA256 of the header. The same rows give
// the same bytes on every machine. A nil slice in a row is written as an empty list.
// Encode refuses what Decode would refuse, such as text that is not UTF-8.
func Encode[R Record](h Header, rows []R) (Batch, error) {
	l, err := layoutOf[R]()
	if err != nil {
		return Batch{}, err
	}
	body, err := l.stream(reflect.ValueOf(rows))
	if err == nil {
		_, err = l.inspect(body)
	}
	if err == nil {
		h.Schema, h.Rows, h.SHA256 = l.schema, len(rows), digest(body)
		err = h.check()
	}
	if err != nil {
		return Batch{}, fmt.Errorf("schemas: encode %s: %w", l.schema, err)
	}
	return Batch{Header: h, Body: body}, nil
}

// Decode unpacks a batch that may come from anywhere. The header must name the record
// and the number of rows; the digest is compared if the header has one. A *NewerError
// means: hold the batch until a newer worker comes. Any other error means that the
// batch is damaged or holds another record.
//
// The rows own their memory: nothing points into the body. The rows of a batch share
// arrays: clone a text that you keep for long, or it keeps the whole batch in memory.
// Empty lists are nil.
func Decode[R Record](b Batch) ([]R, error) {
	l, err := layoutOf[R]()
	if err != nil {
		return nil, err
	}
	place := func(err error) error { return fmt.Errorf("schemas: %s: %w", l.schema, err) }
	switch newer, err := compareVersions(l.schema, b.Header.Schema); {
	case err != nil:
		return nil, place(err)
	case newer > 0:
		return nil, &NewerError{Have: l.schema, Want: b.Header.Schema}
	case newer < 0:
		var zero R
		if u, ok := any(zero).(Upgrader[R]); ok && newer == -1 {
			return u.Upgrade(b)
		}
		return nil, place(fmt.Errorf("%s is too old to be read: start the run again, "+
			"or finish it with the version of itool that began it", b.Header.Schema))
	}
	if want := b.Header.SHA256; want != "" {
		if got := digest(b.Body); got != want {
			return nil, place(fmt.Errorf("body of %d bytes has digest %s, the header says %.64s",
				len(b.Body), got, want))
		}
	}
	n, err := l.inspect(b.Body)
	if err != nil {
		return nil, place(err)
	}
	if n != b.Header.Rows {
		return nil, place(fmt.Errorf("%d rows, the header says %d", n, b.Header.Rows))
	}
	rows := make([]R, n)
	if err := l.fill(b.Body, reflect.ValueOf(rows)); err != nil {
		return nil, place(err)
	}
	return rows, nil
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
