package progress

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"itool/ops/report"
)

// Frame is what a terminal shows of a run at one moment.
type Frame struct {
	Bars    []Bar
	Remarks []string // below the bars, wrapped
}

// Bar is one line of a Frame.
type Bar struct {
	Name        string
	Done, Total int
	State       State
	Count       string // behind the bar, such as 30/100
	Note        string // such as a rate; left out where there is no room
}

// State says how a bar looks.
type State int

// The states of a bar.
const (
	Idle State = iota // its turn has not come
	Working
	Done
)

// Bars keeps a Frame at the bottom of a terminal. What is written to it stays above, as in a log. Bars come from
// mpb, which knows the terminal's size at every drawing and cuts what does not fit. Safe for concurrent use.
type Bars struct {
	out           console
	color         bool
	life          sync.Mutex // guards what is below; no drawing takes it
	p             *mpb.Progress
	bars, remarks []*mpb.Bar // one for each line
	mu            sync.Mutex // guards frame, which drawings read
	frame         Frame
}

// console is a terminal as mpb draws on it. It leaves a column and a row free: a full last row would scroll the
// first one away, and some terminals wrap behind a full line.
type console struct {
	*cupwriter.Writer
	w    io.Writer
	size func() (columns, rows int, err error)
}

func (c console) IsTerminal() bool { return true }

func (c console) GetTermSize() (columns, rows int, err error) {
	columns, rows, err = c.size()
	return max(1, cmp.Or(columns, 80)-1), max(1, cmp.Or(rows, 24)-1), err
}

// NewBars draws on w, a terminal of that size, which is asked for at every drawing.
func NewBars(w io.Writer, color bool, size func() (columns, rows int, err error)) *Bars {
	return &Bars{color: color, out: console{cupwriter.New(w, true), w, size}}
}

// BarsOn draws on a file that is a terminal; nil: it is none, or one that cannot move its cursor. All that is
// drawn goes through w, which may change it. Colours are left out if NO_COLOR is set (https://no-color.org).
func BarsOn(f *os.File, w io.Writer) *Bars {
	probe := cupwriter.New(f, false)
	if !probe.IsTerminal() || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return NewBars(w, os.Getenv("NO_COLOR") == "", probe.GetTermSize)
}

// Color reports whether the bars have colours.
func (b *Bars) Color() bool { return b.color }

// Columns is the room for a line, in columns.
func (b *Bars) Columns() int {
	columns, _, err := b.out.GetTermSize()
	if err != nil {
		return 80
	}
	return columns
}

// Write writes whole lines above the bars.
func (b *Bars) Write(p []byte) (int, error) {
	b.life.Lock()
	defer b.life.Unlock()
	if b.p != nil {
		if n, err := b.p.Write(p); err == nil {
			return n, nil
		}
	}
	return b.out.w.Write(p)
}

// Line writes one line above the bars, cut where the terminal ends.
func (b *Bars) Line(s string) {
	fmt.Fprintln(b, runewidth.Truncate(s, b.Columns(), "…"))
}

// Show replaces the frame. Close ends it.
func (b *Bars) Show(f Frame) {
	b.mu.Lock()
	b.frame = f
	b.mu.Unlock()
	b.life.Lock()
	defer b.life.Unlock()
	if b.p == nil {
		b.p = mpb.New(mpb.WithConsoleWriter(b.out), mpb.WithRefreshRate(redrawTime), mpb.WithWidth(widestBar))
	}
	// mpb counts lines wrongly once there are more than rows, and a line that is dropped is drawn once more.
	const spare = 3
	columns, rows, _ := b.out.GetTermSize()
	remarks := min(len(b.remarkLines(columns)), max(1, rows-spare-1))
	b.bars = b.fit(b.bars, min(len(f.Bars), max(0, rows-spare-remarks)), b.bar)
	b.remarks = b.fit(b.remarks, remarks, b.remark)
}

const (
	redrawTime = 400 * time.Millisecond
	widestBar  = 40 // columns
	mostLines  = 8  // of remarks
)

// fit adds rows of the display, or drops some, until there are n. They never complete: what they show is in the frame.
func (b *Bars) fit(rows []*mpb.Bar, n int, row func(i int) (mpb.BarFiller, []mpb.BarOption)) []*mpb.Bar {
	for len(rows) < n {
		filler, options := row(len(rows))
		bar, err := b.p.Add(0, filler, options...)
		if err != nil { // the terminal is gone
			return rows
		}
		rows = append(rows, bar)
	}
	for _, bar := range rows[min(n, len(rows)):] {
		bar.Abort(true)
	}
	return rows[:min(n, len(rows))]
}

// Close takes the bars away. What was written above them stays. Show begins again.
func (b *Bars) Close() {
	b.life.Lock()
	defer b.life.Unlock()
	if b.p == nil {
		return
	}
	b.fit(b.bars, 0, nil)
	b.fit(b.remarks, 0, nil)
	b.p.Wait()
	b.p, b.bars, b.remarks = nil, nil, nil
	_ = b.out.Flush(0) // the order to erase the last frame is in the writer's buffer
}

// at is bar i of the frame.
func (b *Bars) at(i int) Bar {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i < len(b.frame.Bars) {
		return b.frame.Bars[i]
	}
	return Bar{}
}

// bar draws bar i of the frame.
func (b *Bars) bar(i int) (mpb.BarFiller, []mpb.BarOption) {
	styles := map[State]mpb.BarFiller{}
	for state, paint := range map[State]string{Idle: "2", Working: "36", Done: "32"} {
		meta := func(s string) string { return b.paint(paint, s) }
		styles[state] = mpb.BarStyle().Lbound("").Rbound("").Filler("█").Tip("█").Padding("░").
			FillerMeta(meta).TipMeta(meta).PaddingMeta(func(s string) string { return b.paint("2", s) }).Build()
	}
	fill := mpb.BarFillerFunc(func(w io.Writer, st decor.Statistics) error {
		bar := b.at(i)
		st.Total, st.Current = int64(max(1, bar.Total)), int64(min(bar.Done, max(1, bar.Total)))
		return styles[bar.State].Fill(w, st)
	})
	note := func(st decor.Statistics) string {
		if s := b.at(i).Note; runewidth.StringWidth(s)+leastBar <= st.AvailableWidth {
			return "  " + s
		}
		return ""
	}
	return fill, []mpb.BarOption{
		mpb.BarPriority(i),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return b.at(i).Name }, decor.WCSyncWidthR)),
		mpb.AppendDecorators(
			decor.Any(func(decor.Statistics) string { return b.at(i).Count }, decor.WCSyncWidthR),
			decor.Any(note, decor.WCSyncWidthR),
		),
	}
}

// leastBar is the room that a note leaves for its bar, in columns.
const leastBar = 14

// remark draws line i of the frame's remarks, behind all bars.
func (b *Bars) remark(i int) (mpb.BarFiller, []mpb.BarOption) {
	fill := mpb.BarFillerFunc(func(w io.Writer, st decor.Statistics) (err error) {
		if lines := b.remarkLines(st.AvailableWidth); i < len(lines) {
			_, err = io.WriteString(w, lines[i])
		}
		return err
	})
	const behindAll = 1 << 20
	return fill, []mpb.BarOption{mpb.BarPriority(behindAll + i), mpb.BarFillerTrim()}
}

// remarkLines wraps the remarks to a width.
func (b *Bars) remarkLines(width int) (lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.frame.Remarks {
		for l := range strings.SplitSeq(report.Wrap(r, "", width), "\n") {
			lines = append(lines, runewidth.Truncate(l, width, "…"))
		}
	}
	if len(lines) > mostLines {
		lines = append(lines[:mostLines-1], "…")
	}
	return lines
}

// paint colours a text by the number of an ANSI escape code.
func (b *Bars) paint(code, s string) string {
	if !b.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
