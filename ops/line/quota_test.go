package line_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/schemas"
)

// described is a run of a dataset of that many rows.
func described(t *testing.T, name string, rows int, cfg line.Config) schemas.Run {
	t.Helper()
	section, err := json.Marshal(map[string]any{"line": cfg})
	if err != nil {
		t.Fatal(err)
	}
	shards, err := json.Marshal([]schemas.Shard{{Key: "s0", Rows: int32(rows)}})
	if err != nil {
		t.Fatal(err)
	}
	return schemas.Run{
		Name: name, Seed: 5, Config: string(section), ConfigDigest: "cfg", Base: "base", Dataset: string(shards),
	}
}

func quotaOf(t *testing.T, c *courier.Courier, run string) broker.Usage {
	t.Helper()
	u, err := c.Broker.Usage(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestReserve: a run sets aside what it will need, and one that is too large for its setting says so.
func TestReserve(t *testing.T) {
	c := couriertest.Open(t)
	var last int64
	for _, rows := range []int{60, 20_000, 60_000} {
		name := fmt.Sprint("r", rows)
		if err := line.Reserve(t.Context(), c, described(t, name, rows, line.Default())); err != nil {
			t.Fatal(err)
		}
		if q := quotaOf(t, c, name).QuotaBytes; q <= last || q > 4<<30 {
			t.Errorf("%d rows: quota %s after %s", rows, line.Size(q), line.Size(last))
		} else {
			t.Logf("%d rows: %s", rows, line.Size(q))
			last = q
		}
	}
	if q := quotaOf(t, c, "r60").QuotaBytes; q > 32<<20 {
		t.Errorf("60 rows reserve %s", line.Size(q))
	}
	err := line.Reserve(t.Context(), c, described(t, "huge", 2_000_000, line.Default()))
	if err == nil || !strings.Contains(err.Error(), "--set line.stream_max_bytes=") {
		t.Errorf("two million rows: %v", err)
	}
}

// TestNoRoom: when the broker is full, publishing says what holds its room and how to get it back.
func TestNoRoom(t *testing.T) {
	c := couriertest.Start(t, 300<<20).Connect(t)
	var refused error
	n := 0
	for ; refused == nil && n < 100; n++ {
		refused = line.Start(t.Context(), c, described(t, fmt.Sprintf("r%02d", n), 60, line.Default()))
	}
	if n < 14 || n == 100 {
		t.Fatalf("%d runs of 60 rows fit into 300 MiB; the last says %v", n-1, refused)
	}
	if text := refused.Error(); !errors.Is(refused, broker.ErrFull) || !strings.Contains(text, "16.0 MiB") ||
		!strings.Contains(text, fmt.Sprintf("%d runs hold", n-1)) || !strings.Contains(text, "none of them has ended") {
		t.Errorf("the refusal says: %v", refused)
	}
	for m, err := range c.Broker.Started(t.Context()) {
		if err != nil || m.Run == fmt.Sprintf("r%02d", n-1) {
			t.Errorf("the refused run was started all the same (%v)", err)
		}
	}
	// One run ends without a keeper that shrinks it.
	b, err := schemas.Encode(schemas.Header{Run: "r03", Key: schemas.KeyEnd}, []schemas.End{{Status: "done"}})
	if err == nil {
		_, err = c.Publish(t.Context(), schemas.RecordEnd, b, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	last := described(t, fmt.Sprintf("r%02d", n-1), 60, line.Default())
	err = line.Start(t.Context(), c, last)
	if err == nil || !strings.Contains(err.Error(), "`itool retire RUN`") ||
		!strings.Contains(err.Error(), "r03 16.0 MiB") {
		t.Errorf("with an ended run: %v", err)
	}
	// A keeper gives its room back.
	k := &line.Keeper{Courier: c, Worker: "k", Log: quiet}
	for m, err := range c.Broker.Started(t.Context()) {
		if err == nil && m.Run == "r03" {
			_, err = k.Step(t.Context(), m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if q := quotaOf(t, c, "r03").QuotaBytes; q > 3<<20 {
		t.Errorf("the ended run holds %s", line.Size(q))
	}
	last = described(t, last.Name, 60, small(15<<20))
	if err := line.Start(t.Context(), c, last); err != nil {
		t.Errorf("after its room was given back: %v", err)
	}
}

// small is a configuration with a bound on the run's stream.
func small(most int64) line.Config {
	cfg := line.Default()
	cfg.StreamMaxByte = most
	return cfg
}

// fill publishes records of 100 kB until the stream has no room for another one, or holds most bytes.
func fill(t *testing.T, c *courier.Courier, run string, most int64) {
	t.Helper()
	for i := 0; int64(quotaOf(t, c, run).Bytes) < most; i++ {
		at := broker.Address{Run: run, Record: "filler", Key: fmt.Sprint(time.Now().UnixNano(), "-", i)[5:]}
		_, err := c.Broker.Publish(t.Context(), at, nil, make([]byte, 100_000))
		if errors.Is(err, broker.ErrFull) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAStreamGrowsAndStalls: the keeper raises the quota as the stream fills. At the bound of the setting
// the run is stalled and says how to go on; then it does.
func TestAStreamGrowsAndStalls(t *testing.T) {
	c := couriertest.Open(t)
	if err := line.Start(t.Context(), c, described(t, "r", 60, small(40<<20))); err != nil {
		t.Fatal(err)
	}
	state := keeper(t, c, 50*time.Millisecond)
	eventually(t, "the run is opened", func() bool { return state("r").Run != "" })
	before := quotaOf(t, c, "r").QuotaBytes
	fill(t, c, "r", 13<<20)
	eventually(t, "the quota is raised", func() bool {
		return quotaOf(t, c, "r").QuotaBytes == 2*before
	})
	if s := state("r"); s.Stalled != "" {
		t.Errorf("stalled while it could grow: %+v", s)
	}
	eventually(t, "the run is stalled", func() bool {
		fill(t, c, "r", 1<<40)
		return strings.Contains(state("r").Stalled, "`itool quota r 80MiB`")
	})
	if q := quotaOf(t, c, "r").QuotaBytes; q != 40<<20 {
		t.Errorf("the quota went to %s, line.stream_max_bytes is 40 MiB", line.Size(q))
	}
	if err := line.SetQuota(t.Context(), c, "r", 80<<20); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the run goes on", func() bool { return state("r").Stalled == "" })
}

// TestAnEndedRunGivesItsRoomBack: what is reserved follows what is used.
func TestAnEndedRunGivesItsRoomBack(t *testing.T) {
	c := couriertest.Open(t)
	if err := line.Start(t.Context(), c, described(t, "r", 40, line.Default())); err != nil {
		t.Fatal(err)
	}
	work(t, c, &world{})
	state := keeper(t, c, 50*time.Millisecond)
	eventually(t, "the run ends", func() bool { return state("r").Ended })
	if u := quotaOf(t, c, "r"); u.QuotaBytes > int64(u.Bytes)+3<<20 {
		t.Errorf("%s are used and %s reserved", line.Size(int64(u.Bytes)), line.Size(u.QuotaBytes))
	}
}
