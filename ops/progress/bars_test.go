package progress_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/ops/progress"
)

// terminal is a model of a terminal: lines that wrap at its width and scroll away at its height. It knows the
// escape codes that the bars use; any other fails the test.
type terminal struct {
	t             *testing.T
	columns, rows int

	mu      sync.Mutex
	lines   [][]rune // all that was written, the lines that scrolled away included
	top     int      // the first line that is on the screen
	y, x    int      // of the cursor; y is an index of lines
	wrapped []string // lines that did not fit
	colors  int      // escape codes for colours
	writes  int
}

func newTerminal(t *testing.T, columns, rows int) *terminal {
	return &terminal{t: t, columns: columns, rows: rows, lines: make([][]rune, 1)}
}

func (s *terminal) size() (int, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.columns, s.rows, nil
}

func (s *terminal) resize(columns int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.columns = columns
}

var escape = regexp.MustCompile(`^\x1b\[([0-9]*)([A-Za-z])`)

func (s *terminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	for text := string(p); text != ""; {
		if code := escape.FindStringSubmatch(text); code != nil {
			s.control(code[1], code[2])
			text = text[len(code[0]):]
			continue
		}
		r := []rune(text)[0]
		s.put(r)
		text = text[len(string(r)):]
	}
	return len(p), nil
}

func (s *terminal) control(number, letter string) {
	n, _ := strconv.Atoi(number)
	switch letter {
	case "A":
		if s.y-n < s.top {
			s.t.Errorf("the cursor goes up %d lines, %d above the screen", n, s.top-s.y+n)
		}
		s.y, s.x = max(s.top, s.y-n), 0
	case "J":
		s.lines = append(s.lines[:s.y:s.y], s.lines[s.y][:min(s.x, len(s.lines[s.y]))])
	case "m":
		s.colors++
	default:
		s.t.Errorf("escape code [%s%s", number, letter)
	}
}

func (s *terminal) put(r rune) {
	switch {
	case r == '\n':
		s.down()
		return
	case r < ' ':
		s.t.Errorf("control character %q", r)
	case s.x >= s.columns:
		s.wrapped = append(s.wrapped, string(s.lines[s.y]))
		s.down()
	}
	l := s.lines[s.y]
	for len(l) <= s.x {
		l = append(l, ' ')
	}
	l[s.x] = r
	s.lines[s.y] = l
	s.x++
}

func (s *terminal) down() {
	s.y, s.x = s.y+1, 0
	if s.y == len(s.lines) {
		s.lines = append(s.lines, nil)
	}
	s.top = max(s.top, s.y-s.rows+1)
}

// text is all that can be read, what has scrolled away included.
func (s *terminal) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, l := range s.lines {
		b.WriteString(strings.TrimRight(string(l), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// shows waits until the terminal shows a text.
func (s *terminal) shows(want string) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(s.text(), want); {
		if time.Now().After(end) {
			s.t.Fatalf("the terminal does not show %q:\n%s", want, s.text())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// drawn waits until the frame was drawn again.
func (s *terminal) drawn() {
	s.t.Helper()
	s.mu.Lock()
	from := s.writes
	s.mu.Unlock()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		now := s.writes
		s.mu.Unlock()
		if now > from+1 {
			return
		}
		if time.Now().After(end) {
			s.t.Fatal("nothing is drawn")
		}
	}
}

func frame(done int) progress.Frame {
	f := progress.Frame{
		Bars: []progress.Bar{{Name: "a-run-with-a-name", Done: done, Total: 100, Count: fmt.Sprintf("%d %%", done)}},
		Remarks: []string{
			"round 1 of 2 · 1m12s, about 2m0s left",
			"warning: of 60 answers to validation examples more than one in twenty have over 96 tokens, at which " +
				"the search cuts them (expand.max_answer_tokens)",
		},
	}
	for i := range 8 {
		f.Bars = append(f.Bars, progress.Bar{
			Name: fmt.Sprintf("  stage%d", i), Done: done, Total: 100, State: progress.State(i % 3),
			Count: fmt.Sprintf("%d/100", done), Note: "0.333/s loss 0.31",
		})
	}
	return f
}

// TestBarsOnATerminal: at every width no line of the bars wraps, nothing of an earlier frame stays, and what was
// written above the bars does, in its order.
func TestBarsOnATerminal(t *testing.T) {
	for _, columns := range []int{20, 40, 80, 200} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			t.Parallel()
			s := newTerminal(t, columns, 24)
			b := progress.NewBars(s, false, s.size)
			for i := range 2 {
				b.Show(frame(30 * i))
				b.Line(fmt.Sprintf("round %d  57 %% right (+6), 2m10s, 112 pairs, 14 steps", i))
				s.shows("stage7")
				s.drawn()
			}
			shown := s.text()
			b.Close()
			s.mu.Lock()
			if len(s.wrapped) > 0 {
				t.Errorf("%d lines wrap, such as %q", len(s.wrapped), s.wrapped[0])
			}
			if s.colors > 0 {
				t.Error("there are colours")
			}
			s.mu.Unlock()
			if n := strings.Count(shown, "stage3"); n != 1 {
				t.Errorf("a stage is shown %d times:\n%s", n, shown)
			}
			bar, rate := strings.Contains(shown, "█"), strings.Contains(shown, "  0.333/s")
			if columns >= 40 && !bar || columns >= 80 && !rate {
				t.Errorf("no bar, or no rate:\n%s", shown)
			}
			left := strings.Split(s.text(), "\n")
			for i, l := range left {
				if len(left) != 2 || !strings.HasPrefix(l, fmt.Sprintf("round %d  57", i)) || len([]rune(l)) > columns {
					t.Fatalf("%d lines stay:\n%s", len(left), s.text())
				}
			}
			if testing.Verbose() {
				t.Logf("\n%s", shown)
			}
		})
	}
}

// TestBarsBeginAgain: a second run on the same terminal, narrower now and too low for all lines; in colour.
func TestBarsBeginAgain(t *testing.T) {
	s := newTerminal(t, 80, 8)
	b := progress.NewBars(s, true, s.size)
	b.Show(frame(10))
	s.shows("round 1 of 2")
	t.Logf("\n%s", s.text())
	b.Close()
	s.resize(40)
	if _, err := b.Write([]byte("between\n")); err != nil {
		t.Error(err)
	}
	b.Show(frame(30))
	s.shows("round 1 of 2")
	s.drawn()
	b.Close()
	if got := s.text(); got != "between" || len(s.wrapped) > 0 || s.colors == 0 {
		t.Errorf("there stays %q, wrapped %q, %d codes for colours", got, s.wrapped, s.colors)
	}
}
