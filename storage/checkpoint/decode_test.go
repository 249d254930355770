package checkpoint

import (
	"strings"
	"testing"
)

// FuzzDecode: every accepted manifest is canonical, so that one checkpoint has one digest.
func FuzzDecode(f *testing.F) {
	good := Manifest{Parts: []Part{{Name: "a/b", SHA256: strings.Repeat("0", 62) + "ff", Size: 1}}}
	f.Add(good.encode())
	f.Add([]byte(`{"format":"itool-checkpoint/1","parts":null}`))
	f.Add([]byte(`{"Format":"itool-checkpoint/1","parts":[{"name":"a"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decode(raw)
		if err == nil && string(m.encode()) != string(raw) {
			t.Errorf("accepted %q, which encodes as %q", raw, m.encode())
		}
		if err == nil && m.check() != nil {
			t.Errorf("accepted %q, although %v", raw, m.check())
		}
	})
}
