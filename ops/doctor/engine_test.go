package doctor_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"itool/ops/doctor"
	"itool/ops/serve"
	"itool/stages/policy/policytest"
	"itool/stages/policy/remote"
)

func TestEngines(t *testing.T) {
	s := serve.New(policytest.Open(t, 1), serve.Options{Name: "tiny", Key: "s3cret"})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	server := httptest.NewServer(s)
	t.Cleanup(func() { server.Close(); stop(); <-done })
	gone := httptest.NewServer(s)
	gone.Close()
	for _, c := range []struct {
		key    string
		want   []string
		remedy bool
	}{
		{"s3cret", []string{
			"itool, model tiny", "the same seed drew the same tokens", "given tokens", "in one request",
		}, false},
		{"wr0ng", []string{"401"}, true},
	} {
		pool, err := remote.New(remote.Options{Addresses: []string{server.URL}, Key: c.key})
		if err != nil {
			t.Fatal(err)
		}
		check(t, doctor.Engines(pool.Examine(t.Context())), c.key, c.want, c.remedy)
	}
	pool, err := remote.New(remote.Options{Addresses: []string{gone.URL}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, doctor.Engines(pool.Examine(t.Context())), "s3cret", []string{gone.URL, "is the server running?"}, true)
}

func check(t *testing.T, all []doctor.Finding, key string, want []string, remedy bool) {
	t.Helper()
	said, remedies := "", 0
	for _, f := range all {
		said += f.What + " " + f.Found + "\n"
		if f.Remedy != "" {
			remedies++
		}
	}
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("%q is not in\n%s", w, said)
		}
	}
	if remedies > 0 != remedy || strings.Contains(said, key) {
		t.Errorf("%d remedies, or the key, in\n%s", remedies, said)
	}
}
