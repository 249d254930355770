package main

import (
	"context"
	"fmt"
	"os"

	"itool/broker"
	"itool/ops/device"
	"itool/ops/doctor"
	"itool/ops/site"
	"itool/storage"
)

// doctorCmd is `itool doctor`.
type doctorCmd struct {
	target
	engineFlags
	Create bool `help:"Create the store's folder or bucket, and give it an identity, if it lacks them."`
	JSON   bool `name:"json" help:"Print the findings as one JSON object."`
}

func (c *doctorCmd) Run(ctx context.Context, a *app) error {
	conn, err := c.site()
	if err != nil {
		return err
	}
	conn.Timeout = patience
	all := c.examine(ctx, a, conn)
	attention := 0
	for _, f := range all {
		if f.Remedy != "" {
			attention++
		}
	}
	if c.JSON {
		findings := map[string][]doctor.Finding{"findings": all}
		if err := printIndentedJSON(a.out, schemaDoctor, findings); err != nil {
			return err
		}
	} else {
		printFindings(a, all)
	}
	if attention > 0 {
		return fmt.Errorf("findings that need attention: %d", attention)
	}
	return nil
}

// examine checks this machine, and broker and store as far as they are given.
func (c *doctorCmd) examine(ctx context.Context, a *app, conn site.Connection) []doctor.Finding {
	dir, err := os.Getwd()
	if err != nil {
		dir = os.TempDir()
	}
	all := []doctor.Finding{{What: "version", Found: readBuild().String()}}
	all = append(all, doctor.Kernels(a.kernels), doctor.GPUs(device.This()))
	all = append(all, doctor.Machine(dir)...)
	servers, err := c.engineFlags.pool(a)
	if err != nil {
		all = append(all, doctor.Finding{What: "engine", Found: err.Error(), Remedy: "give another address"})
	} else if servers != nil {
		all = append(all, doctor.Engines(servers.Examine(ctx))...)
	}
	if conn.Broker != "" {
		all = append(all, doctor.Broker(ctx, broker.Redact(conn.Broker), func() (*broker.Broker, error) {
			return site.Connect(ctx, conn, a.log)
		})...)
	}
	if conn.Store != "" {
		all = append(all, doctor.Store(ctx, conn.Store, func() (storage.Store, error) {
			if c.Create {
				return site.CreateStore(ctx, conn.Store, conn.StoreLogin)
			}
			return site.OpenStore(ctx, conn.Store, conn.StoreLogin)
		})...)
	}
	if conn.Broker == "" || conn.Store == "" {
		return all
	}
	if s, err := site.Open(ctx, conn, a.log); err == nil { // if not, it is said above
		defer s.Close()
		all = append(all, doctor.Runs(ctx, s.Courier))
	}
	return all
}

func printFindings(a *app, all []doctor.Finding) {
	for _, f := range all {
		fmt.Fprintf(a.out, "%-10s %s\n", f.What, f.Found)
		if f.Remedy != "" {
			fmt.Fprintf(a.out, "%-10s → %s\n", "", f.Remedy)
		}
	}
}
