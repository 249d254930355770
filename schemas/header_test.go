package schemas_test

import (
	"maps"
	"math"
	"strings"
	"testing"

	"itool/schemas"
)

var fullHeader = schemas.Header{
	Run: "demo-1", Round: -1, Key: "s0-17", Seed: math.MaxUint64, Policy: "sha256:ab", Config: "c1", Input: "d2",
	Schema: "score/v2", SHA256: strings.Repeat("0af9", 16), Rows: 64, Worker: "host/12 itool 0.1 avx512",
	Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}

func TestHeaderMap(t *testing.T) {
	want := map[string]string{
		"itool-run": "demo-1", "itool-round": "-1", "itool-key": "s0-17", "itool-seed": "18446744073709551615",
		"itool-policy": "sha256:ab", "itool-config": "c1", "itool-input": "d2", "itool-schema": "score/v2",
		"itool-sha256": strings.Repeat("0af9", 16), "itool-rows": "64", "itool-worker": "host/12 itool 0.1 avx512",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	if got := fullHeader.Map(); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	want = map[string]string{"itool-round": "0", "itool-seed": "0", "itool-rows": "0"}
	if got := (schemas.Header{}).Map(); !maps.Equal(got, want) {
		t.Errorf("empty header: got %v, want %v", got, want)
	}
}

func TestParseHeader(t *testing.T) {
	full, err := schemas.ParseHeader(fullHeader.Map())
	if err != nil || full != fullHeader {
		t.Fatalf("got %+v, err %v, want %+v", full, err, fullHeader)
	}
	for _, c := range []struct {
		name string
		in   map[string]string
		want schemas.Header
		err  string // part of the error; "" = none
	}{
		{"nothing", nil, schemas.Header{}, ""},
		{"others' keys",
			map[string]string{"Nats-Msg-Id": "\x00", "Traceparent": "?", "itool-colour": "of a newer writer"},
			schemas.Header{}, ""},
		{"round of the base", map[string]string{"itool-round": "-1"}, schemas.Header{Round: -1}, ""},
		{"upper case", map[string]string{"Itool-Run": "x"}, schemas.Header{},
			`schemas: header "Itool-Run": must be written in lower case`},
		{"empty run", map[string]string{"itool-run": ""}, schemas.Header{}, "schemas: header itool-run: empty name"},
		{"dot in run", map[string]string{"itool-run": "a.b"}, schemas.Header{},
			`schemas: header itool-run: name "a.b": byte 1`},
		{"wildcard key", map[string]string{"itool-key": ">"}, schemas.Header{}, "schemas: header itool-key: "},
		{"long key", map[string]string{"itool-key": strings.Repeat("k", 129)}, schemas.Header{},
			"itool-key: name of 129 bytes, at most 128"},
		{"round -2", map[string]string{"itool-round": "-2"}, schemas.Header{},
			`itool-round: "-2" is not a number from -1`},
		{"round +1", map[string]string{"itool-round": "+1"}, schemas.Header{}, "itool-round: "},
		{"round 01", map[string]string{"itool-round": "01"}, schemas.Header{}, "itool-round: "},
		{"round empty", map[string]string{"itool-round": ""}, schemas.Header{}, "itool-round: "},
		{"huge round", map[string]string{"itool-round": strings.Repeat("9", 400)}, schemas.Header{}, "itool-round: "},
		{"rows -1", map[string]string{"itool-rows": "-1"}, schemas.Header{}, "itool-rows: "},
		{"rows beyond int32", map[string]string{"itool-rows": "2147483648"}, schemas.Header{}, "itool-rows: "},
		{"seed -1", map[string]string{"itool-seed": "-1"}, schemas.Header{}, "itool-seed: "},
		{"seed hex", map[string]string{"itool-seed": "0x1"}, schemas.Header{}, "itool-seed: "},
		{"seed too large", map[string]string{"itool-seed": "18446744073709551616"}, schemas.Header{}, "itool-seed: "},
		{"digest in capitals", map[string]string{"itool-sha256": strings.Repeat("AB", 32)}, schemas.Header{},
			"itool-sha256: "},
		{"short digest", map[string]string{"itool-sha256": "ab"}, schemas.Header{}, "itool-sha256: "},
		{"schema without version", map[string]string{"itool-schema": "pair"}, schemas.Header{},
			`itool-schema: schema "pair" is not of the form name/v1`},
		{"schema version 0", map[string]string{"itool-schema": "pair/v0"}, schemas.Header{}, "itool-schema: "},
		{"schema version 01", map[string]string{"itool-schema": "pair/v01"}, schemas.Header{}, "itool-schema: "},
		{"schema without name", map[string]string{"itool-schema": "/v1"}, schemas.Header{}, "itool-schema: "},
		{"long schema", map[string]string{"itool-schema": strings.Repeat("x", 200) + "/v1"}, schemas.Header{},
			"itool-schema: schema of 203 bytes"},
		{"line break", map[string]string{"itool-worker": "a\r\nitool-run: b"}, schemas.Header{},
			"itool-worker: byte 1 is not printable"},
		{"long text", map[string]string{"itool-policy": strings.Repeat("p", 1025)}, schemas.Header{},
			"itool-policy: 1025 bytes, at most 1024"},
		{"trace with a zero byte", map[string]string{"traceparent": "00-\x00"}, schemas.Header{}, "traceparent: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := schemas.ParseHeader(c.in)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v: err = %v, want %q", c.in, err, c.err)
			}
			if got != c.want {
				t.Errorf("%v: got %+v, want %+v", c.in, got, c.want)
			}
		})
	}
}

func TestValidName(t *testing.T) {
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"letters and digits", "Az09_-", true},
		{"one", "-", true},
		{"longest", strings.Repeat("x", 128), true},
		{"too long", strings.Repeat("x", 129), false},
		{"empty", "", false},
		{"space", "a b", false},
		{"slash", "a/b", false},
		{"star", "*", false},
		{"umlaut", "ä", false},
		{"zero byte", "a\x00", false},
	} {
		if err := schemas.ValidName(c.in); (err == nil) != c.ok {
			t.Errorf("%s: ValidName(%q) = %v, want ok %v", c.name, c.in, err, c.ok)
		}
	}
}

// A header that parses is written back unchanged, so that nothing is lost on the way.
func FuzzParseHeader(f *testing.F) {
	for key, value := range fullHeader.Map() {
		f.Add(key, value)
	}
	f.Add("itool-round", "-1")
	f.Add("itool-rows", "99999999999999999999")
	f.Add("Itool-Run", "x")
	f.Fuzz(func(t *testing.T, key, value string) {
		h, err := schemas.ParseHeader(map[string]string{key: value})
		if err != nil {
			if h != (schemas.Header{}) {
				t.Errorf("%q: %q: an error and a header %+v", key, value, h)
			}
			return
		}
		if got, known := h.Map()[key]; known && got != value {
			t.Errorf("%q: %q came back as %q", key, value, got)
		}
		if again, err := schemas.ParseHeader(h.Map()); err != nil || again != h {
			t.Errorf("%+v came back as %+v, err %v", h, again, err)
		}
	})
}
