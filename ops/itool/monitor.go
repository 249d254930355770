package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"itool/ops/line"
	"itool/ops/monitor"
)

// listening is the flag of the commands with a keeper.
type listening struct {
	Listen string `env:"ITOOL_LISTEN" placeholder:"HOST:PORT" help:"${listen}"`
}

// listen opens the port that --listen names.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("--listen %s: the port is in use: stop the program that uses it (perhaps another "+
			"itool), or choose another port; 0 takes any free one", address)
	}
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	return l, nil
}

// start serves what the keeper and its broker say; stop waits for the end of that. Call it before the keeper
// runs.
func (l listening) start(ctx context.Context, a *app, k *line.Keeper) (stop func(), err error) {
	if l.Listen == "" {
		return func() {}, nil
	}
	listener, err := listen(l.Listen)
	if err != nil {
		return nil, err
	}
	m := &monitor.Monitor{Courier: k.Courier, Stages: stageNames(line.Stages(nil)), Log: a.log}
	k.Observe = m.Observe
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { m.Run(ctx) })
	parts.Go(func() {
		if err := m.Serve(ctx, listener); err != nil {
			a.log.Error("serve metrics", "error", err)
		}
	})
	fmt.Fprintf(a.errs, "itool: metrics at http://%s/metrics\n", listener.Addr())
	return func() { cancel(); parts.Wait() }, nil
}
