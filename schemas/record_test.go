package schemas_test

import (
	"strings"
	"testing"

	"itool/schemas"
)

type untagged struct{ A string }

type oneTagTwice struct {
	A string `arrow:"x"`
	B string `arrow:"x"`
}

type hidden struct {
	_ string `arrow:"a"`
}

type plainInt struct {
	A int `arrow:"a"`
}

type noFields struct{}

type noVersion struct {
	A string `arrow:"a"`
}

func (untagged) Schema() string    { return "untagged/v1" }
func (oneTagTwice) Schema() string { return "twice/v1" }
func (hidden) Schema() string      { return "hidden/v1" }
func (plainInt) Schema() string    { return "int/v1" }
func (noFields) Schema() string    { return "none/v1" }
func (noVersion) Schema() string   { return "record" }

// A struct that cannot be a record is refused at its first use, even without rows.
func TestEncodeRefusesBadRecords(t *testing.T) {
	for _, c := range []struct {
		name   string
		encode func() error
		want   string
	}{
		{"no tag", encodeNothing[untagged], "field A needs an arrow tag of its own"},
		{"tag twice", encodeNothing[oneTagTwice], "field B needs an arrow tag of its own"},
		{"unexported", encodeNothing[hidden], "field _ needs"},
		{"int", encodeNothing[plainInt], "field A: no column type for int"},
		{"no fields", encodeNothing[noFields], "has no fields"},
		{"no version", encodeNothing[noVersion], `schema "record" is not of the form name/v1`},
		{"pointer", encodeNothing[*every], "*schemas_test.every is not a struct"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.encode(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want %q", err, c.want)
			}
		})
	}
}

func encodeNothing[R schemas.Record]() error {
	_, err := schemas.Encode[R](schemas.Header{}, nil)
	return err
}

// Encode refuses rows that Decode would refuse.
func TestEncodeRefusesBadRows(t *testing.T) {
	for _, c := range []struct {
		name   string
		header schemas.Header
		row    every
		want   string
	}{
		{"text", schemas.Header{}, every{Text: "a\xff"}, "schemas: encode every/v3: column text: row 1: not UTF-8"},
		{"text in a list", schemas.Header{}, every{Texts: []string{"ok", "\xc3"}},
			"schemas: encode every/v3: column texts: item 1: not UTF-8"},
		{"run name", schemas.Header{Run: "a b"}, every{}, "schemas: encode every/v3: header itool-run: "},
		{"round", schemas.Header{Round: -2}, every{}, "schemas: encode every/v3: header itool-round: "},
		{"worker", schemas.Header{Worker: "a\nb"}, every{}, "schemas: encode every/v3: header itool-worker: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := schemas.Encode(c.header, []every{{}, c.row})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want %q", err, c.want)
			}
		})
	}
}
