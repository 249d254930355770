package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"itool/ops/courier"
	"itool/ops/demo"
	"itool/ops/export"
	"itool/ops/job"
	"itool/ops/report"
	"itool/ops/serve"
	"itool/schemas/toolcall"
	"itool/stages/policy"
	"itool/stages/policy/model"
	"itool/stages/split"
	"itool/storage/checkpoint"
)

// serveCmd is `itool serve`.
type serveCmd struct {
	policyFlags
	Listen   string   `default:"127.0.0.1:8000" help:"Address to listen on."`
	Name     string   `help:"Name of the model as clients see it; default: that of the run or the folder."`
	APIKey   string   `name:"api-key" env:"ITOOL_API_KEY" help:"${serve_apikey}"`
	Insecure bool     `help:"${serve_insecure}"`
	CORS     []string `name:"cors" placeholder:"ORIGIN" help:"${serve_cors}"`
	Log      string   `name:"request-log" placeholder:"FILE" help:"${serve_log}"`
	Requests int      `default:"256" help:"Most answers that wait or are drawn at a time; more are refused: try again."`
	Tokens   int      `help:"${serve_tokens}"`
	Answer   int      `default:"2048" help:"${serve_answer}"`
	Adapters string   `type:"existingdir" placeholder:"DIR" help:"${serve_adapters}"`
}

// policyFlags say which policy answers: one of a run, or a model.
type policyFlags struct {
	target
	RunName string `arg:"" optional:"" name:"run" help:"Take a policy of this run."`
	Round   int    `default:"-2" min:"-1" placeholder:"ROUND" help:"${policy_round}"`
	Model   string `placeholder:"MODEL" help:"${serve_model}"`
	Adapter string `placeholder:"DIR" help:"With --model: put the PEFT adapter in this folder on it."`
	Weights string `enum:"auto,float32,stored,int8" default:"auto" help:"${serve_weights}"`
	Calls   string `enum:"auto,pythonic,hermes,llama_json" default:"auto" help:"${serve_calls}"`
	ToolsIn string `enum:"template,system" default:"template" help:"${serve_tools_in}"`
}

func (c *serveCmd) Run(ctx context.Context, a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	p, name, err := c.open(ctx, a, c.Tokens)
	if err != nil {
		return err
	}
	adapters, closeFolder, err := adapterFolder(c.Adapters)
	if err != nil {
		return err
	}
	defer closeFolder()
	requested, closeLog, err := requestLog(a, c.Log)
	if err != nil {
		return err
	}
	defer closeLog()
	listener, err := c.listen()
	if err != nil {
		return err
	}
	s := serve.New(p, serve.Options{
		Name: cmp.Or(c.Name, name), Key: c.APIKey, Origins: c.CORS, AnyHost: c.Insecure, Calls: callsOf(c.Calls),
		Requests: c.Requests, Tokens: c.Tokens, Answer: c.Answer, Adapters: adapters, Log: a.log,
		Requested: requested,
	})
	fmt.Fprintf(a.out, "%s at http://%s/v1\n", s.Name, listener.Addr())
	return answerOn(ctx, s, listener)
}

// check refuses wrong values of flags.
func (c *serveCmd) check() error {
	for _, flag := range []struct {
		name         string
		value, least int
	}{{"--requests", c.Requests, 1}, {"--tokens", c.Tokens, 0}, {"--answer", c.Answer, 1}} {
		if flag.value < flag.least {
			return coded(exitUsage, "%s: %d is below %d", flag.name, flag.value, flag.least)
		}
	}
	for _, origin := range c.CORS {
		if err := serve.CheckOrigin(origin); err != nil {
			return coded(exitUsage, "--cors %s: %w", origin, err)
		}
	}
	return nil
}

// listen opens the port. Other machines may ask only with a key, unless --insecure says that this is meant.
func (c *serveCmd) listen() (net.Listener, error) {
	listener, err := listen(c.Listen)
	if err != nil {
		return nil, err
	}
	if at, ok := listener.Addr().(*net.TCPAddr); ok && at.IP.IsLoopback() || c.APIKey != "" || c.Insecure {
		return listener, nil
	}
	listener.Close()
	return nil, coded(exitUsage, "--listen %s: other machines could ask without a key: set ITOOL_API_KEY, "+
		"or say --insecure", c.Listen)
}

// requestLog opens the file of the request log; "-" is stderr, "" none.
func requestLog(a *app, name string) (log *slog.Logger, done func(), err error) {
	done = func() {}
	out := a.errs
	switch name {
	case "":
		return nil, done, nil
	case "-":
	default:
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, done, fmt.Errorf("--request-log: %w", err)
		}
		out, done = f, func() { f.Close() }
	}
	return slog.New(slog.NewJSONHandler(out, nil)), done, nil
}

// adapterFolder opens the folder of --adapters so that no name leads out of it.
func adapterFolder(dir string) (fsys fs.FS, done func(), err error) {
	if dir == "" {
		return nil, func() {}, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("--adapters: %w", err)
	}
	return root.FS(), func() { root.Close() }, nil
}

// callsOf is the format that --calls names; "": auto.
func callsOf(flag string) toolcall.Format {
	if flag == split.Auto {
		return ""
	}
	return toolcall.Format(flag)
}

// answerOn answers until ctx ends. Answers may then finish within five seconds; longer ones are cut off.
func answerOn(ctx context.Context, s *serve.Server, listener net.Listener) error {
	stop := job.Until(context.WithoutCancel(ctx), func(ctx context.Context) error { s.Run(ctx); return nil })
	defer func() { _ = stop() }()
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(shutdown); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// open opens the policy that the flags name: one of a run, or the one of --model. Without either it is the
// demo's base model. The second result is the name of the model unless --name says otherwise.
func (c *policyFlags) open(ctx context.Context, a *app, cacheTokens int) (*policy.Policy, string, error) {
	d, err := newDevice(a)
	if err != nil {
		return nil, "", err
	}
	opt := policy.Options{Device: d, CacheTokens: cacheTokens}
	if c.Weights != "auto" {
		opt.Form = model.Form(c.Weights)
	}
	switch {
	case c.Model == "" && c.ToolsIn == split.ToolsInSystem:
		return nil, "", coded(exitUsage, "--tools-in system: needs --model; a run's policy has them "+
			"where the run had them")
	case c.RunName != "" && (c.Model != "" || c.Adapter != ""):
		return nil, "", coded(exitUsage, "a run and --model or --adapter exclude each other: take one of them")
	case c.RunName != "":
		p, err := c.ofRun(ctx, a, opt)
		return p, c.RunName, err
	case c.Model == "" && c.Adapter != "":
		return nil, "", coded(exitUsage, "--adapter: needs the model that it belongs to: --model MODEL")
	case c.Model == "":
		p, err := policy.Open(demo.Base(), opt)
		return p, "demo", err
	}
	dir, err := findBase(ctx, a, "--model", c.Model, nil)
	if err != nil {
		return nil, "", err
	}
	fsys := os.DirFS(dir)
	if c.ToolsIn == split.ToolsInSystem {
		if fsys, err = policy.ToolsInSystem(fsys); err != nil {
			return nil, "", fmt.Errorf("%s: %w", c.Model, err)
		}
	}
	if c.Adapter != "" {
		adapter := os.DirFS(c.Adapter)
		if _, err := fs.Stat(adapter, export.AdapterConfig); err != nil {
			return nil, "", fmt.Errorf("--adapter %s: %w", c.Adapter, err)
		}
		fsys = export.WithAdapter(fsys, adapter)
	}
	p, err := policy.Open(fsys, opt)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", c.Model, err)
	}
	abs, err := filepath.Abs(c.Model)
	return p, filepath.Base(abs), err
}

// ofRun opens the policy of --round from the run's store. If --calls is auto, it takes the call format of
// the run.
func (c *policyFlags) ofRun(ctx context.Context, a *app, opt policy.Options) (*policy.Policy, error) {
	s, err := c.openRun(ctx, a, c.RunName)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	r, err := report.Gather(ctx, s.Courier, c.RunName)
	if err != nil {
		return nil, notYet(c.RunName, err)
	}
	chosen, err := policyOf(r, c.Round)
	if err != nil {
		return nil, err
	}
	if c.Calls == split.Auto {
		if c.Calls, err = callFormat(r.Config); err != nil {
			return nil, fmt.Errorf("run %s: its configuration: %w", c.RunName, err)
		}
	}
	fsys, _, err := checkpoint.Open(ctx, s.Store, courier.Checkpoints, chosen.Digest)
	if err != nil {
		return nil, err
	}
	return policy.Open(fsys, opt)
}

// callFormat is the call format that a run's configuration names. A run from before the setting
// existed used the pythonic format.
func callFormat(config []byte) (string, error) {
	var c struct {
		Split split.Config `json:"split"`
	}
	err := json.Unmarshal(config, &c)
	return cmp.Or(c.Split.CallFormat, string(toolcall.Pythonic)), err
}
