package main

import (
	"context"
	"fmt"
	"os"

	"itool/broker"
	"itool/ops/doctor"
	"itool/ops/site"
	"itool/storage"
)

// doctorCmd is `itool doctor`.
type doctorCmd struct {
	target
	Create bool `help:"Create the store's folder or bucket, and give it an identity, if it lacks them."`
}

func (c *doctorCmd) Run(ctx context.Context, a *app) error {
	dir, err := os.Getwd()
	if err != nil {
		dir = os.TempDir()
	}
	conn, err := c.site()
	if err != nil {
		return err
	}
	all := []doctor.Finding{{What: "version", Found: readBuild().String()}, doctor.Kernels(a.kernels)}
	all = append(all, doctor.Machine(dir)...)
	if conn.Broker != "" {
		all = append(all, doctor.Broker(ctx, broker.Redact(conn.Broker), func() (*broker.Broker, error) {
			return site.Connect(ctx, conn, a.log)
		}))
	}
	if conn.Store != "" {
		all = append(all, doctor.Store(ctx, conn.Store, func() (storage.Store, error) {
			if c.Create {
				return site.CreateStore(ctx, conn.Store, conn.StoreLogin)
			}
			return site.OpenStore(ctx, conn.Store, conn.StoreLogin)
		}))
	}
	attention := 0
	for _, f := range all {
		fmt.Fprintf(a.out, "%-10s %s\n", f.What, f.Found)
		if f.Remedy != "" {
			attention++
			fmt.Fprintf(a.out, "%-10s → %s\n", "", f.Remedy)
		}
	}
	if attention > 0 {
		return fmt.Errorf("findings that need attention: %d", attention)
	}
	return nil
}
