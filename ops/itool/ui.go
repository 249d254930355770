package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"itool/ops/site"
	"itool/ops/ui"
)

// uiCmd is `itool ui`: it serves the page of runs.
type uiCmd struct {
	target
	RunName string `arg:"" optional:"" name:"run" help:"Show this run first; default: the list of all runs."`
	webFlags
}

// webFlags say how the page is served, and who may see it.
type webFlags struct {
	Listen string   `default:"127.0.0.1:0" help:"${ui_listen}"`
	Token  string   `env:"ITOOL_UI_TOKEN" help:"${ui_token}"`
	NoKey  bool     `help:"Let everybody who reaches the port read the runs, without the key in the address."`
	Host   []string `placeholder:"NAME" help:"${ui_host}"`
}

func (c *uiCmd) Run(ctx context.Context, a *app) error {
	source, done, err := c.source(ctx, a)
	if err != nil {
		return err
	}
	defer done()
	p, err := c.serve(a, source, c.RunName, c.flags())
	if err != nil {
		return err
	}
	defer p.close()
	fmt.Fprintf(a.out, "the page is at %s\nstop it with Ctrl-C; no run needs it\n", p.address)
	select {
	case err := <-p.failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// source is where the runs are: a broker, a folder, or all folders of itool run here.
func (c *uiCmd) source(ctx context.Context, a *app) (source ui.Source, done func(), err error) {
	conn, err := c.connection.site()
	if err != nil {
		return nil, nil, err
	}
	if c.Dir == "" && conn.Broker == "" && !site.HasRuns(upDir) {
		m := ui.Folders(runsDir, a.log)
		if all, err := m.List(ctx); err == nil && len(all) > 0 {
			return m, m.Close, c.inFolders(all)
		}
	}
	if c.RunName != "" {
		s, err := c.openRun(ctx, a, c.RunName)
		if err != nil {
			return nil, nil, err
		}
		return ui.Of(s.Courier), s.Close, nil
	}
	s, err := c.open(ctx, a, "")
	if err != nil {
		return nil, nil, err
	}
	return ui.Of(s.Courier), s.Close, nil
}

// inFolders is an error when no folder of ./itool-runs has the run.
func (c *uiCmd) inFolders(all []ui.Listed) error {
	var names []string
	for _, l := range all {
		if l.Run == c.RunName || c.RunName == "" {
			return nil
		}
		names = append(names, l.Run)
	}
	return fmt.Errorf("there is no run named %s in %s; there are: %s", c.RunName, runsDir, strings.Join(names, ", "))
}

// webPage is a page that is served.
type webPage struct {
	address string
	failed  chan error
	server  *http.Server
	page    *ui.Server
}

// serve serves the page of runs. first is the run that it shows first; "": the list.
func (f webFlags) serve(a *app, source ui.Source, first, flags string) (*webPage, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	listener, err := listen(f.Listen)
	if err != nil {
		return nil, err
	}
	key := f.Token
	if key == "" && !f.NoKey {
		key = rand.Text()
	}
	p := &webPage{address: "http://" + listener.Addr().String() + "/", failed: make(chan error, 1)}
	if f.Token == "" && key != "" {
		p.address += "?key=" + url.QueryEscape(key)
	}
	p.page = ui.New(ui.Options{
		Source: source, First: first, Key: key, MayChange: f.Token != "", Hosts: f.Host, Flags: flags, Log: a.log,
	})
	p.server = &http.Server{
		Handler: p.page, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	go func() { p.failed <- p.server.Serve(listener) }()
	return p, nil
}

// check refuses what would show runs to strangers.
func (f webFlags) check() error {
	host, _, err := net.SplitHostPort(f.Listen)
	if err != nil {
		return coded(exitUsage, "--listen %s: give HOST:PORT, such as 127.0.0.1:8080", f.Listen)
	}
	local := host == "localhost" || net.ParseIP(host).IsLoopback()
	if !local && f.NoKey && f.Token == "" {
		return coded(exitUsage, "--listen %s with --no-key would show the runs to everybody on the network: "+
			"leave --no-key out", f.Listen)
	}
	return nil
}

// close ends the page. Requests that take longer are cut off.
func (p *webPage) close() {
	p.page.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if p.server.Shutdown(ctx) != nil {
		p.server.Close()
	}
}

// webOption is the flag of commands that serve the page beside their work.
type webOption struct {
	Web webAddress `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"${web_option}"`
}

// webAddress is HOST:PORT; "" and "off": no page.
type webAddress string

func (w webAddress) off() bool { return w == "" || w == "off" }

// Validate is called when the command line is read, before anything is done.
func (w webAddress) Validate() error {
	_, port, err := net.SplitHostPort(string(w))
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil && !w.off() {
		return fmt.Errorf("%q: give HOST:PORT, such as 127.0.0.1:8080, or off", string(w))
	}
	return nil
}

// beside serves the page while a command works, and prints its address. No command fails because of it.
func (o webOption) beside(a *app, w io.Writer, source ui.Source, first, flags string) (stop func()) {
	if o.Web.off() {
		return func() {}
	}
	p, err := webFlags{Listen: string(o.Web)}.serve(a, source, first, flags)
	if err != nil {
		a.log.Warn("the page is not served; the run goes on without it", "error", err)
		return func() {}
	}
	fmt.Fprintf(w, "itool: the page of the run is at %s\n", p.address)
	return p.close
}
