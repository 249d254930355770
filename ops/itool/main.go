// Command itool is iterative reinforced fine-tuning for tool-using language models,
// as a pipeline of workers around a message queue.
//
//	itool demo                          everything, on a small dataset, in one process
//	itool run data.json --base DIR      the same with your dataset and your model
//	itool up / publish / work / watch   the same spread over processes and machines
//
// Each verb has its own file. main.go parses the command line, turns signals into a
// cancelled context, and an error into an exit code.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/lmittmann/tint"

	"itool/ops/judge"
	"itool/ops/line"
	"itool/ops/progress"
	"itool/ops/report"
	"itool/ops/site"
	"itool/ops/telemetry"
	"itool/stages/policy/kernel"
)

// commands is the command line. A command's Run gets the context and the app.
type commands struct {
	Demo     demoCmd       `cmd:"" help:"Run everything on a small dataset and a small model, in one process."`
	Run      runCmd        `cmd:"" help:"${commands_run}"`
	Data     dataCmd       `cmd:"" help:"${commands_data}"`
	Estimate estimateCmd   `cmd:"" help:"${commands_estimate}"`
	Publish  publishCmd    `cmd:"" help:"Start a run: store dataset and base model, then wake the workers."`
	Work     workCmd       `cmd:"" help:"Be a worker of some stages, the keeper, or all of them."`
	Up       upCmd         `cmd:"" help:"Broker, store and keeper on this machine."`
	Watch    watchCmd      `cmd:"" help:"Watch a run until it ends."`
	Runs     runsCmd       `cmd:"" help:"List the runs."`
	UI       uiCmd         `cmd:"" name:"ui" help:"${commands_ui}"`
	Failed   failedCmd     `cmd:"" help:"List the items that a run gave up, and what to do about them."`
	Eval     evalCmd       `cmd:"" help:"${commands_eval}"`
	Report   reportCmd     `cmd:"" help:"Say what a run did and what it gained."`
	Examples examplesCmd   `cmd:"" help:"${commands_examples}"`
	Tree     treeCmd       `cmd:"" help:"${commands_tree}"`
	Trace    traceCmd      `cmd:"" help:"${commands_trace}"`
	Export   exportCmd     `cmd:"" help:"Write a policy as a PEFT adapter, or merged into its base."`
	Import   importCmd     `cmd:"" help:"${commands_import}"`
	Quantize quantizeCmd   `cmd:"" help:"${commands_quantize}"`
	Serve    serveCmd      `cmd:"" help:"${commands_serve}"`
	Chat     chatCmd       `cmd:"" help:"${commands_chat}"`
	Lab      labCmd        `cmd:"" help:"${commands_lab}"`
	Fork     forkCmd       `cmd:"" help:"${commands_fork}"`
	Resume   resumeCmd     `cmd:"" help:"${commands_resume}"`
	GC       gcCmd         `cmd:"" name:"gc" help:"${commands_gc}"`
	Fsck     fsckCmd       `cmd:"" help:"${commands_fsck}"`
	Cancel   cancelCmd     `cmd:"" help:"Cancel a run; its workers stop within a heartbeat."`
	Retire   retireCmd     `cmd:"" help:"${commands_retire}"`
	Quota    quotaCmd      `cmd:"" help:"Give a run more room at the broker, or less."`
	Doctor   doctorCmd     `cmd:"" help:"Check this machine, and the broker and store if they are given."`
	Deploy   deployCmd     `cmd:"" name:"deploy-config" help:"${commands_deploy}"`
	Conform  conformCmd    `cmd:"" help:"${commands_conform}"`
	Init     initCmd       `cmd:"" help:"Write the default configuration, commented, as YAML."`
	Synth    synthCmd      `cmd:"" help:"Make a dataset of tool-use conversations."`
	Pretrain pretrainCmd   `cmd:"" help:"Make a small base model from nothing, as the demo's was made."`
	Complete completionCmd `cmd:"" name:"completion" help:"${commands_complete}"`
	Build    versionCmd    `cmd:"" name:"version" help:"${commands_build}"`

	Cache   string `env:"ITOOL_CACHE" placeholder:"DIR" help:"${commands_cache}"`
	Device  string `env:"ITOOL_DEVICE" placeholder:"DEVICE" help:"${commands_device}"`
	Kernels string `env:"ITOOL_KERNELS" placeholder:"LEVEL" help:"${commands_kernels}"`
	Library string `name:"cublaslt" env:"ITOOL_CUBLASLT" enum:"auto,off" default:"auto" help:"${commands_cublaslt}"`
	judging
	Verbose bool             `short:"v" help:"Say more on stderr."`
	Version kong.VersionFlag `help:"Print the version."`
}

// app is what every verb shares.
type app struct {
	out  io.Writer // results
	errs io.Writer // progress and logs
	// bars are the bottom of the terminal that errs is, which are redrawn in place; nil: it is none.
	bars    *progress.Bars
	log     *slog.Logger
	color   bool // out is a terminal that shows colours
	verbose bool
	cache   string // folder for models that are made of GGUF files and runs; "" = the user's
	device  string // what computes: cpu, cuda:N or auto; "" = cpu
	kernels string // the kernel level to compute at; "" = the best
	library string // of large products on a GPU: auto, if it is there, or off

	judge  *judge.Judge      // of the user's own; nil: none
	tracer *telemetry.Tracer // sends spans; nil: none are sent
	opened kernel.Device     // of newDevice
}

// Exit codes, as the guide documents them.
const (
	exitError       = 1
	exitUsage       = 2
	exitFailed      = 3 // the run ended without a policy: failed or cancelled
	exitStalled     = 4 // the run waits for a person
	exitGuard       = 5 // the guard stopped the run; its last good policy stands
	exitInterrupted = 130
)

const about = "Iterative reinforced fine-tuning for tool-using language models, as a message-queue pipeline.\n\n" +
	"Exit codes: 0 done, 1 error, 2 wrong usage, 3 the run failed or was cancelled, 4 the run is stalled and " +
	"waits for a person, 5 the guard stopped the run (its last good policy stands), 130 interrupted " +
	"(the message says how to resume)."

// codedError carries an exit code; an error without one exits with 1.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func coded(code int, format string, args ...any) error {
	return &codedError{code, fmt.Errorf(format, args...)}
}

func main() {
	// What is large here are floats, which a collection does not look into: collecting four
	// times as often costs no time that shows, and saves a quarter of the memory.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
	os.Exit(realMain(os.Args[1:], os.Stdout, os.Stderr))
}

func realMain(args []string, outFile, errFile *os.File) int {
	given := secrets(args, os.Environ())
	stdout, stderr := hide(outFile, given), hideLogins(errFile, given)
	var cmds commands
	parser, err := newKong(&cmds, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "itool:", err)
		return exitError
	}
	if len(args) == 0 {
		sayStart(stdout)
		return 0
	}
	if args[0] == completeVerb {
		complete(stdout, parser.Model, args[1:])
		return 0
	}
	kctx, err := parse(parser, args)
	if err != nil {
		fmt.Fprintf(stderr, "itool: %v\n%s\n", err, seeHelp(kctx))
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills

	a := newApp(stdout, stderr, progress.BarsOn(errFile, stderr), cmds.Verbose)
	a.color = colored(outFile)
	a.cache, a.device, a.kernels = cmds.Cache, cmds.Device, cmds.Kernels
	a.library = cmds.Library
	if a.judge, err = cmds.judging.open(); err != nil {
		fmt.Fprintf(stderr, "itool: %v\n%s\n", err, seeHelp(kctx))
		return exitUsage
	}
	defer a.closeJudge()
	if a.tracer, err = telemetry.Open(ctx, version(), a.log); err != nil {
		fmt.Fprintln(stderr, "itool:", err)
		return exitUsage
	}
	defer a.tracer.Close()
	kctx.BindTo(ctx, (*context.Context)(nil))
	err = kctx.Run(a)
	var c *codedError
	var usage *site.UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &c) && c.code != exitUsage && c.code != exitError:
		fmt.Fprintln(stderr, "itool:", err)
		return c.code
	case c != nil || errors.As(err, &usage):
		fmt.Fprintf(stderr, "itool: %v\n%s\n", err, seeHelp(kctx))
		if c != nil {
			return c.code
		}
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "itool: interrupted")
		return exitInterrupted
	}
	fmt.Fprintf(stderr, "itool: %v\n%s\n", err, seeHelp(kctx))
	return exitError
}

// newKong makes the parser of command lines.
func newKong(cmds *commands, stdout, stderr io.Writer) (*kong.Kong, error) {
	vars := kong.Vars{
		"up_dir": upDir, "version": readBuild().String(), "stages": strings.Join(stageNames(line.Stages(nil)), ", "),
	}
	return kong.New(cmds, kong.Name("itool"), kong.Description(about), kong.UsageOnError(), vars,
		kong.PostBuild(setLongHelp), kong.PostBuild(setExamples), kong.PostBuild(setGroups),
		kong.Writers(stdout, stderr), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
}

func newApp(stdout, stderr io.Writer, bars *progress.Bars, verbose bool) *app {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	plain := true
	if bars != nil {
		stderr, plain = bars, !bars.Color()
	}
	log := slog.New(tint.NewTextHandler(stderr, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: plain}))
	return &app{out: stdout, errs: stderr, bars: bars, log: log, verbose: verbose}
}

// colored reports whether a file is a terminal that shows colours, and may. Bars on it would have them.
func colored(f *os.File) bool {
	bars := progress.BarsOn(f, io.Discard)
	return bars != nil && bars.Color()
}

// say prints a remark beside the results. On a terminal it breaks lines between words.
func (a *app) say(format string, args ...any) {
	text := "itool: " + fmt.Sprintf(format, args...)
	if a.bars != nil {
		text = report.Wrap(text, "", a.bars.Columns())
	}
	fmt.Fprintln(a.errs, text)
}

// display shows the progress of a run on the app's stderr.
func (a *app) display() progress.Display {
	return progress.Display{Bars: a.bars, Lines: a.errs, Log: a.log}
}
