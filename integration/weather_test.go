package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/broker"
	"itool/integration/results"
	"itool/integration/rig"
	"itool/schemas"
	"itool/storage"
	"itool/storage/disk"
)

// weather is what commands say in bad weather.
type weather struct {
	t    *testing.T
	dir  string
	rows [][]string
}

// TestWeather: what is wrong with a login, a store, a server or a record is named, or waited for and said so; nothing
// stalls in silence. What other tests show stands in the table, too, with their names.
func TestWeather(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some twenty processes; the full test run does it")
	}
	r := results.Begin("Bad weather")
	for _, name := range []string{"ITOOL_BROKER", "ITOOL_STORE", "ITOOL_CONNECTION", "ITOOL_NATS_PASSWORD"} {
		t.Setenv(name, "")
	}
	w := &weather{t: t, dir: t.TempDir()}
	w.logins()
	w.stores()
	w.smallServer()
	w.newerRecord()
	w.rows = append(w.rows, [][]string{
		{"another nkey, another .creds, no client certificate", "`doctor`, `runs`, `work`", "named, no secret in it",
			"`TestLogins`"},
		{"a login that lacks a right of its stage", "12 roles × 27 acts", "named: permission denied", "`TestMatrix`"},
		{"another store than the run's", "a worker", "waiting: store …; it takes no item",
			"`TestAWorkerWithAnotherStoreTakesNoItem`"},
		{"a full stream", "`watch`, a worker", "stalled: stream full; a failure record waits, too",
			"`TestAStreamGrowsAndStalls`, `TestAFailureRecordWaitsForAFullStream`"},
		{"a full disk of the broker", "`runs`, `watch`", "waiting: disk: … no space left; it goes on by itself",
			"`TestFullDisk` (ops/itool, broker/embed)"},
		{"a full disk of the store", "a worker", "waiting: disk: …; no failed attempt", "`TestAFullStore`"},
		{"an item of a newer schema, an old binary", "a worker", "waiting: needs score/v3; it holds no slot",
			"`TestANewerRecordWaitsForANewerWorker`, `TestItemsThatWaitHoldNoSlot`"},
		{"a run that an old binary began", "all", "it finishes", "`TestUpgrade`"},
	}...)
	rows := append([][]string{{"trouble", "who", "says", "shown by, time"}}, w.rows...)
	t.Log("\n" + results.Table(rows...))
	if err := r.Write(results.Table(rows...)); err != nil {
		t.Error(err)
	}
}

// expect runs a command that must fail with these words, and notes its line.
func (w *weather) expect(trouble, words string, env map[string]string, args ...string) {
	w.t.Helper()
	for name, value := range env {
		w.t.Setenv(name, value)
	}
	began := time.Now()
	out, errs, code := rig.Itool(w.t, w.dir, args...)
	said := lineWith(out+errs, words)
	if said == "" || code == 0 {
		w.t.Errorf("%s: itool %s: exit code %d, want an error with %q\n%s%s",
			trouble, strings.Join(args, " "), code, words, out, errs)
	}
	w.note(trouble, "`itool "+args[0]+"`", said, began)
}

func (w *weather) note(trouble, who, said string, began time.Time) {
	took := time.Since(began).Round(100 * time.Millisecond)
	said = strings.ReplaceAll(strings.ReplaceAll(said, w.dir, "…"), "|", "\\|")
	w.rows = append(w.rows, []string{trouble, who, said, "here, " + took.String()})
}

func (w *weather) logins() {
	w.t.Helper()
	s := rig.NATSServer(w.t, `authorization { users: [ { user: itool, password: right } ] }`)
	folder := filepath.Join(w.dir, "store")
	d, err := disk.Open(folder)
	if err == nil {
		_, err = storage.Identify(w.t.Context(), d, "storeofweather")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	store := "disk:" + folder
	where := []string{"--broker", s.URL, "--store", store}
	w.expect("no login", "--creds, --nkey or --user", nil, append([]string{"runs"}, where...)...)
	for _, verb := range [][]string{{"runs"}, {"work", "filter"}, {"doctor"}} {
		wrong := map[string]string{"ITOOL_NATS_PASSWORD": "wrong"}
		w.expect("a wrong password", "wants another token, user or key", wrong,
			append(append(verb, "--user", "itool"), where...)...)
	}
	w.t.Setenv("ITOOL_NATS_PASSWORD", "")
	token := rig.NATSServer(w.t, `authorization { token: right }`)
	url := strings.Replace(token.URL, "nats://", "nats://wrong@", 1)
	w.expect("a wrong token", "wants another token, user or key", nil, "runs", "--broker", url, "--store", store)
	w.expect("no server at the address", "is the server up", nil, "runs", "--broker",
		"nats://127.0.0.1:1", "--store", store)
}

// stores are wrong keys and buckets of a MinIO, and a server whose clock is another.
func (w *weather) stores() {
	w.t.Helper()
	s := rig.NATSServer(w.t)
	skewed := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		rw.Header().Set("Content-Type", "application/xml")
		rw.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprint(rw, `<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message></Error>`)
	}))
	defer skewed.Close()
	keys := map[string]string{"ITOOL_MINIO_ACCESS_KEY": "access", "ITOOL_MINIO_SECRET_KEY": "secret-key"}
	w.expect("an hour between the clocks (a stand-in answers as S3 does)", "clocks", keys,
		"doctor", "--broker", s.URL, "--store", "minio://"+strings.TrimPrefix(skewed.URL, "http://")+"/runs")
	if !rig.HasMinIO() {
		w.rows = append(w.rows, []string{"wrong keys, a missing bucket", "MinIO is not built here", "", "`TestMinIO`"})
		return
	}
	m := rig.StartMinIO(w.t)
	right := map[string]string{"ITOOL_MINIO_ACCESS_KEY": m.Access, "ITOOL_MINIO_SECRET_KEY": m.Secret}
	spec := []string{"--broker", s.URL, "--store", "minio://" + m.Endpoint + "/runs"}
	w.expect("a missing bucket", "no such bucket", right, append([]string{"work", "filter"}, spec...)...)
	w.expect("a missing bucket", "no such bucket", right, append([]string{"doctor"}, spec...)...)
	right["ITOOL_MINIO_SECRET_KEY"] = "not-the-secret"
	w.expect("a wrong secret key", "check access key", right, append([]string{"doctor"}, spec...)...)
	right["ITOOL_MINIO_ACCESS_KEY"], right["ITOOL_MINIO_SECRET_KEY"] = "not-the-key", m.Secret
	w.expect("a wrong access key", "check access key", right, append([]string{"work", "filter"}, spec...)...)
}

// smallServer is a nats-server with its own limit of messages: 1 MB. The doctor says so, and a run ends all the same.
func (w *weather) smallServer() {
	w.t.Helper()
	s := rig.NATSServer(w.t)
	store := "disk:" + filepath.Join(w.dir, "small")
	where := []string{"--broker", s.URL, "--store", store}
	began := time.Now()
	out, errs, _ := rig.Itool(w.t, w.dir, append([]string{"doctor", "--create"}, where...)...)
	said := lineWith(out+errs, "1.0 MiB")
	if said == "" {
		w.t.Errorf("doctor does not say that messages may have 1 MB:\n%s%s", out, errs)
	}
	w.note("a server for messages of 1 MB", "`itool doctor`", said, began)
	rig.Start(w.t, w.dir, append([]string{"work", "all", "--ack-wait", "5s", "--slots", "1"}, where...)...)
	dataset, base := assets(w.t)
	args := append([]string{"publish", dataset, "--base", base, "--name", name}, settings(oneRound)...)
	for _, args := range [][]string{append(args, where...), append([]string{"watch", name}, where...)} {
		if out, errs, code := rig.Itool(w.t, w.dir, args...); code != 0 {
			w.t.Errorf("itool %s: exit code %d\n%s%s", args[0], code, out, errs)
		}
	}
	w.note("a server for messages of 1 MB", "a run", "done: what is larger than 256 KiB lies in the store", began)
}

// newerRecord is a run that a newer version published.
func (w *weather) newerRecord() {
	w.t.Helper()
	s := rig.NATSServer(w.t)
	where := []string{"--broker", s.URL, "--store", "disk:" + filepath.Join(w.dir, "newer")}
	if out, errs, code := rig.Itool(w.t, w.dir, append([]string{"doctor", "--create"}, where...)...); code != 0 {
		w.t.Logf("doctor: exit code %d\n%s%s", code, out, errs) // it may find fault with the server
	}
	b, err := broker.Connect(w.t.Context(), broker.Config{URL: s.URL})
	if err != nil {
		w.t.Fatal(err)
	}
	defer b.Close()
	began := time.Now()
	rig.Start(w.t, w.dir, append([]string{"work", "keeper", "--ack-wait", "5s"}, where...)...)
	start, err := schemas.Encode(schemas.Header{Run: "newer", Key: schemas.KeyRun},
		[]schemas.Run{{Name: "newer", Config: "{}", ConfigDigest: "cfg"}})
	if err != nil {
		w.t.Fatal(err)
	}
	start.Header.Schema = "run/v9"
	if err := b.Start(w.t.Context(), "newer", start.Header.Map(), start.Body); err != nil {
		w.t.Fatal(err)
	}
	said := ""
	awaitWithin(w.t, 2*time.Minute, "word of the newer record", func() bool {
		out, _, _ := rig.Itool(w.t, w.dir, append([]string{"runs"}, where...)...)
		said = lineWith(out, "run/v9")
		return said != ""
	})
	w.note("a run that a newer version published", "`itool runs`", said, began)
}
