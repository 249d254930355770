package broker

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Address names one record. Its subject is itool.run.<Run>.<Record>.<Round>.<Key>.
// Run, Record and Key have 1 to 128 characters of [A-Za-z0-9_-].
type Address struct {
	Run    string
	Record string
	Round  int // ≥ −1; −1 is for records that are written before the first round
	Key    string
}

// Message is one record as it was stored.
type Message struct {
	Address
	Header   map[string]string // as published; the headers that the server adds are removed
	Data     []byte            // the receiver owns it
	Sequence uint64            // position in the run's stream, from 1
	Time     time.Time         // when the server stored it, by its clock; zero if it does not say
}

const (
	runPrefix   = "itool.run."
	startPrefix = "itool.start."
	streamRuns  = "RUNS"
	streamRun   = "RUN_" // + run
)

// MaxName is the longest name of a run, record, key or stage, in characters. The name of a
// lease consists of parts with dots between them, each at most this long.
const MaxName = 128

// String returns the subject of the address.
func (a Address) String() string {
	return runPrefix + a.Run + "." + a.Record + "." + strconv.Itoa(a.Round) + "." + a.Key
}

func (a Address) validate() error {
	if err := validToken("run", a.Run); err != nil {
		return err
	}
	if err := validToken("record", a.Record); err != nil {
		return err
	}
	if a.Round < -1 {
		return fmt.Errorf("broker: round %d: %w: rounds begin at -1", a.Round, ErrBadName)
	}
	return validToken("key", a.Key)
}

// parseAddress reads a subject of a run's stream.
func parseAddress(subject string) (Address, error) {
	rest, ok := strings.CutPrefix(subject, runPrefix)
	f := strings.Split(rest, ".")
	if !ok || len(f) != 4 {
		return Address{}, fmt.Errorf("broker: subject %q: want itool.run.<run>.<record>.<round>.<key>", subject)
	}
	round, err := strconv.Atoi(f[2])
	if err != nil || f[2] != strconv.Itoa(round) {
		return Address{}, fmt.Errorf("broker: subject %q: round %q is not a number", subject, f[2])
	}
	a := Address{Run: f[0], Record: f[1], Round: round, Key: f[3]}
	return a, a.validate()
}

// Filter returns the filter for all keys of one record in one round; see [Broker.Pull].
func Filter(record string, round int) string {
	return record + "." + strconv.Itoa(round) + ".*"
}

// Everything is the filter for all records of a run.
const Everything = "*.*.*"

// filterSubject turns the filter "record.round.key", each part a name or "*", into a subject
// of the run's stream. The caller has checked the name of the run.
func filterSubject(run, filter string) (string, error) {
	f := strings.Split(filter, ".")
	if len(f) != 3 {
		return "", fmt.Errorf("broker: filter %q: %w: want record.round.key; each part may be *", filter, ErrBadName)
	}
	for i, what := range []string{"record", "round", "key"} {
		if f[i] == "*" {
			continue
		}
		if err := validToken(what, f[i]); err != nil {
			return "", fmt.Errorf("broker: filter %q: %w", filter, err)
		}
		if n, err := strconv.Atoi(f[i]); i == 1 && (err != nil || n < -1 || strconv.Itoa(n) != f[i]) {
			return "", fmt.Errorf("broker: filter %q: %w: the round must be a number from -1", filter, ErrBadName)
		}
	}
	return runPrefix + run + "." + filter, nil
}

// validToken refuses a part of a subject, or the name of a header, that is empty, too long or
// has other characters than A-Z a-z 0-9 _ -. what is its kind, for the error.
func validToken(what, s string) error {
	if s == "" || len(s) > MaxName {
		return fmt.Errorf("broker: %s %.40q: %w: it has %d characters, 1 to %d are allowed",
			what, s, ErrBadName, len(s), MaxName)
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			continue
		}
		return fmt.Errorf("broker: %s %q: %w: only A-Z a-z 0-9 _ - are allowed", what, s, ErrBadName)
	}
	return nil
}

// newMsg builds a message. It refuses headers that NATS would change on the way, and
// headers that the server would take for its own instructions.
func newMsg(subject string, header map[string]string, data []byte) (*nats.Msg, error) {
	m := &nats.Msg{Subject: subject, Data: data}
	if len(header) > 0 {
		m.Header = make(nats.Header, len(header))
	}
	for k, v := range header {
		if err := validToken("header", k); err != nil {
			return nil, err
		}
		if len(k) >= 5 && strings.EqualFold(k[:5], "nats-") || k == "Status" || k == "Description" {
			return nil, fmt.Errorf("broker: header %q: %w: it is reserved for the server", k, ErrBadName)
		}
		for i := range len(v) {
			if v[i] < ' ' || v[i] == 0x7f {
				return nil, fmt.Errorf("broker: header %s: byte %d is a control character", k, i)
			}
		}
		if strings.TrimSpace(v) != v {
			return nil, fmt.Errorf("broker: header %s: %q begins or ends with a space", k, v)
		}
		m.Header[k] = []string{v}
	}
	return m, nil
}

// ownHeader drops the headers that the server added.
func ownHeader(h nats.Header) map[string]string {
	own := make(map[string]string, len(h))
	for k, v := range h {
		if len(v) > 0 && !strings.HasPrefix(k, "Nats-") {
			own[k] = v[0]
		}
	}
	return own
}

// RunsIn are the runs whose streams lie in the data folder of a server of this machine, by name. It reads the names
// of folders only: no server is started, and one that is running is not asked.
func RunsIn(dir string) (runs []string) {
	found, _ := fs.Glob(os.DirFS(dir), path.Join("jetstream", "*", "streams", streamRun+"*"))
	for _, f := range found {
		runs = append(runs, strings.TrimPrefix(path.Base(f), streamRun))
	}
	slices.Sort(runs)
	return runs
}
