package schemas_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"itool/schemas"
)

// word is a record in its third version; it still reads the second.
type word struct {
	Text string `arrow:"text"`
	Size int32  `arrow:"size"`
}

func (word) Schema() string { return "word/v3" }

func (word) Upgrade(b schemas.Batch) ([]word, error) {
	old, err := schemas.Decode[wordV2](b)
	var rows []word
	for _, o := range old {
		rows = append(rows, word{o.Text, int32(len(o.Text))})
	}
	return rows, err
}

type wordV2 struct {
	Text string `arrow:"text"`
}

func (wordV2) Schema() string { return "word/v2" }

func TestVersions(t *testing.T) {
	v2 := encode(t, []wordV2{{"four"}})
	rows, err := schemas.Decode[word](v2)
	if err != nil || len(rows) != 1 || rows[0] != (word{"four", 4}) {
		t.Errorf("v2 read as v3: %v, err %v", rows, err)
	}

	v3 := encode(t, []word{{"four", 4}})
	_, err = schemas.Decode[wordV2](v3)
	var newer *schemas.NewerError
	if !errors.As(err, &newer) || newer.Have != "word/v2" || newer.Want != "word/v3" {
		t.Errorf("v3 read by a program that knows v2: err = %v, want a NewerError", err)
	}
	if want := "schemas: needs word/v3, this program knows word/v2: update it"; fmt.Sprint(err) != want {
		t.Errorf("err = %v, want %s", err, want)
	}

	for _, c := range []struct{ name, schema, want string }{
		{"two versions back", "word/v1", "schemas: word/v3: word/v1 is too old to be read"},
		{"another record", "pair/v3", "schemas: word/v3: the batch holds pair/v3 records"},
		{"a newer other record", "pair/v9", "schemas: word/v3: the batch holds pair/v9 records"},
		{"no schema", "", `schemas: word/v3: schema "" is not of the form`},
		{"huge version", "word/v99999999999999999999", "is not of the form"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := v3
			b.Header.Schema = c.schema
			if _, err := schemas.Decode[word](b); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want %q", err, c.want)
			}
		})
	}
}

func TestReadable(t *testing.T) {
	for _, c := range []struct{ name, have, want, err string }{
		{"same", "pair/v2", "pair/v2", ""},
		{"older", "pair/v2", "pair/v1", ""},
		{"newer", "pair/v2", "pair/v3", "schemas: needs pair/v3, this program knows pair/v2: update it"},
		{"another", "pair/v2", "score/v2", "the batch holds score/v2 records"},
		{"no version", "pair/v2", "pair", `schema "pair" is not of the form name/v1`},
	} {
		err := schemas.Readable(c.have, c.want)
		if got := fmt.Sprint(err); c.err == "" && err != nil || c.err != "" && got != c.err {
			t.Errorf("%s: Readable(%s, %s) = %v, want %q", c.name, c.have, c.want, err, c.err)
		}
		var newer *schemas.NewerError
		if errors.As(err, &newer) != (c.name == "newer") {
			t.Errorf("%s: %T is the wrong kind of error", c.name, err)
		}
	}
}
