package integration

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"itool/integration/rig"
	"itool/ops/doctor"
)

// strictAuth has users who lack something: one may not make streams, the account of another has
// little room. Messages are small for all.
const strictAuth = `
max_payload: 100KB
accounts {
  ITOOL {
    jetstream: enabled
    users: [
      { user: itool, password: $ITOOL_NATS_PASSWORD }
      { user: reader, password: $ITOOL_NATS_PASSWORD, permissions: { publish: { deny: "$JS.API.STREAM.CREATE.>" } } }
    ]
  }
  SMALL {
    jetstream: { max_mem: 100MB, max_file: 100MB, max_streams: 1 }
    users: [ { user: small, password: $ITOOL_NATS_PASSWORD } ]
  }
}
`

// TestDoctorOnCluster: what a worker would miss on three servers is found, each with a remedy.
func TestDoctorOnCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nats-servers; the full test run does it")
	}
	c := rig.NATS(t, rig.ClusterOptions{Auth: strictAuth})
	dir := t.TempDir()
	for _, name := range []string{"ITOOL_BROKER", "ITOOL_STORE", "ITOOL_CONNECTION"} {
		t.Setenv(name, "")
	}
	t.Setenv("ITOOL_NATS_PASSWORD", c.Password)
	t.Setenv("ITOOL_NATS_CA", c.Certs.CA)
	examine := func(more ...string) (found map[string]doctor.Finding, code int) {
		t.Helper()
		where := []string{"doctor", "--json", "--broker", c.URLs(), "--store", "disk:" + filepath.Join(dir, "store")}
		args := append(where, more...)
		out, errs, code := rig.Itool(t, dir, args...)
		var all struct{ Findings []doctor.Finding }
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("%v\n%s%s", err, out, errs)
		}
		leaks(t, "doctor", []byte(out+errs), c.Password)
		found = map[string]doctor.Finding{}
		for _, f := range all.Findings {
			found[f.What] = f
		}
		return found, code
	}
	want := func(found map[string]doctor.Finding, what, text, remedy string) {
		t.Helper()
		f := found[what]
		said := strings.Contains(f.Found, text) && strings.Contains(f.Remedy, remedy)
		if !said || (remedy == "") != (f.Remedy == "") {
			t.Errorf("%s: got %+v, want %q and the remedy %q", what, f, text, remedy)
		}
	}

	found, code := examine("--user", "itool", "--stream-replicas", "1", "--create")
	want(found, "broker", "of cluster itool", "")
	want(found, "messages", "up to 100 KiB", "set max_payload to 8MB")
	want(found, "rights", "take items", "")
	want(found, "copies", "on 1 servers", "--stream-replicas 3, which raises them")
	want(found, "clock", "differs from", "")
	want(found, "runs", "0 have not ended", "")
	if code != 1 {
		t.Errorf("findings that need attention: exit code %d", code)
	}
	found, _ = examine("--user", "reader")
	want(found, "rights", "cannot make a run", "allow this user")
	found, _ = examine("--user", "small", "--stream-replicas", "3")
	want(found, "limits", "of 100.0 MiB", "hardly room for another run")
	want(found, "rights", "maximum number of streams reached", "raise the limits")
	found, _ = examine("--user", "itool", "--stream-replicas", "5")
	want(found, "rights", "start more servers", "the error says what to do")

	b := connect(t, c, 0, 1, 2)
	if err := b.EnsureReplicas(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitCopies(t, b)
	found, _ = examine("--user", "itool")
	want(found, "copies", "on 3 servers", "")
	c.Kill(2)
	await(t, "a doctor that names the copies of the dead server", func() bool { // first a leader may be elected
		found, _ = examine("--user", "itool")
		return strings.Contains(found["copies"].Remedy, "are current: start the servers that are down")
	})
}
