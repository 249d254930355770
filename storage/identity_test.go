package storage_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"itool/storage"
	"itool/storage/disk"
)

// TestIdentity: of several programs that give a store an identity one wins, and all learn which.
func TestIdentity(t *testing.T) {
	s, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Identity(t.Context(), s); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("a new store: %v, want ErrNotExist", err)
	}
	got := make([]string, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			id, err := storage.Identify(t.Context(), s, strings.Repeat(string(rune('a'+i)), 32))
			if err != nil {
				t.Error(err)
			}
			got[i] = id
		})
	}
	wg.Wait()
	for _, id := range got {
		if id != got[0] || len(id) != 32 {
			t.Errorf("identities %q, want one", got)
		}
	}
	for _, bad := range []string{"", "short", strings.Repeat("a", 65), "with space", "UPPERCASE"} {
		if _, err := storage.Identify(t.Context(), s, bad); err == nil {
			t.Errorf("identity %q was accepted", bad)
		}
	}
	if _, err := s.Put(t.Context(), storage.IdentityKey, strings.NewReader("\x00"), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Identity(t.Context(), s); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("a damaged identity: %v, want ErrCorrupt", err)
	}
}
