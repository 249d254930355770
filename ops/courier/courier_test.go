package courier_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/schemas"
	"itool/storage"
)

const run = "r1"

// shut is a store that can stop to answer.
type shut struct {
	storage.Store
	away bool
}

func (s *shut) Get(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	if s.away {
		return nil, storage.Info{}, errors.New("connection refused")
	}
	return s.Store.Get(ctx, key)
}

func open(t *testing.T) (*courier.Courier, *shut) {
	t.Helper()
	c := couriertest.Open(t)
	if err := c.Broker.CreateRun(t.Context(), run, 0); err != nil {
		t.Fatal(err)
	}
	store := &shut{Store: c.Store}
	c.Store = store
	return c, store
}

// large returns a batch that is claim-checked.
func large(t *testing.T, key string) schemas.Batch {
	t.Helper()
	rows := make([]schemas.Score, 20000)
	for i := range rows {
		rows[i].ExampleID = fmt.Sprintf("%08d", i*7919)
	}
	b, err := schemas.Encode(schemas.Header{Run: run, Key: key}, rows)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Body) <= courier.InlineBytes {
		t.Fatalf("%d bytes are not large", len(b.Body))
	}
	return b
}

func TestBodiesOfAnySizeComeBack(t *testing.T) {
	c, _ := open(t)
	small, err := schemas.Encode(schemas.Header{Run: run, Key: "small"}, []schemas.Score{{ExampleID: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []schemas.Batch{small, large(t, "large")} {
		for i := range 2 { // the second time nothing is stored
			stored, err := c.Publish(t.Context(), "score", b, nil)
			if err != nil || stored != (i == 0) {
				t.Fatalf("%s: stored %v, %v at try %d", b.Header.Key, stored, err, i)
			}
		}
		got, err := c.Get(t.Context(), run, "score", 0, b.Header.Key)
		if err != nil || string(got.Body) != string(b.Body) || got.Header != b.Header {
			t.Errorf("%s: got %d bytes with %+v, %v", b.Header.Key, len(got.Body), got.Header, err)
		}
	}
}

// A worker waits for broker and store without limit. An error that waiting does not cure must not look
// like theirs.
func TestErrorsToWaitFor(t *testing.T) {
	for name, c := range map[string]struct {
		change func(h map[string]string, data []byte) []byte
		away   bool
		infra  bool
		want   string
	}{
		"the store is away":     {away: true, infra: true, want: "connection refused"},
		"junk in a header":      {change: set("itool-rows", "many"), want: "itool-rows"},
		"a size that is none":   {change: set("itool-size", "-1"), want: "is not a size"},
		"a size beyond bounds":  {change: set("itool-size", "99999999999999"), want: "is not a size"},
		"another size":          {change: set("itool-size", "17"), want: "claim"},
		"a claim of nothing":    {change: set("itool-claim", "runs/r1/bodies/none"), want: "no such object"},
		"a claim with bad name": {change: set("itool-claim", "../../etc/passwd"), want: "bad key"},
		"headers in upper case": {change: set("Itool-Run", run), want: "lower case"},
	} {
		t.Run(name, func(t *testing.T) {
			cr, store := open(t)
			b := large(t, "k")
			if _, err := cr.Publish(t.Context(), "score", b, nil); err != nil {
				t.Fatal(err)
			}
			m, err := cr.Broker.Get(t.Context(), broker.Address{Run: run, Record: "score", Key: "k"})
			if err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				m.Data = c.change(m.Header, m.Data)
			}
			at := broker.Address{Run: run, Record: "pair", Key: "k"}
			if _, err := cr.Broker.Publish(t.Context(), at, m.Header, m.Data); err != nil {
				t.Fatal(err)
			}
			store.away = c.away
			n := 0
			for _, err = range cr.Round(t.Context(), run, "pair", 0, []string{"k", "l"}) {
				n++
			}
			var infra *courier.InfraError
			if err == nil || n != 1 || errors.As(err, &infra) != c.infra || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v after %d batches, want %q, an InfraError: %v", err, n, c.want, c.infra)
			}
		})
	}
}

func set(key, value string) func(map[string]string, []byte) []byte {
	return func(h map[string]string, data []byte) []byte {
		h[key] = value
		return data
	}
}

// A claim of a few bytes may say that it holds a gigabyte. It must not get that much memory.
func TestAClaimNeverExpandsBeyondItsSize(t *testing.T) {
	c, _ := open(t)
	b := large(t, "k")
	if _, err := c.Publish(t.Context(), "score", b, nil); err != nil {
		t.Fatal(err)
	}
	m, err := c.Broker.Get(t.Context(), broker.Address{Run: run, Record: "score", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	m.Header["itool-size"] = "100"
	if _, err := c.Open(t.Context(), m); err == nil || !strings.Contains(err.Error(), "claim") {
		t.Errorf("got %v, want the claim refused", err)
	}
}

func TestProgressArrives(t *testing.T) {
	c, _ := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	news, err := c.ListenProgress(ctx, run)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Broker.Announce(ctx, broker.Progress, run, []byte("junk")); err != nil {
		t.Fatal(err)
	}
	c.AnnounceProgress(ctx, schemas.Header{Run: run}, schemas.Progress{Stage: "update", Done: 3, Total: 9})
	if p := <-news; p.Stage != "update" || p.Done != 3 {
		t.Errorf("got %+v", p)
	}
	cancel()
	for range news { // ends with the context
	}
}
