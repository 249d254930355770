package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"itool/ops/access"
	"itool/ops/line"
)

// deployCmd is `itool deploy-config`.
type deployCmd struct {
	Out       string `arg:"" help:"Folder to write; it must not exist."`
	Bucket    string `default:"itool" help:"The store's bucket."`
	Prefix    string `help:"The keys of the store begin with it, as in --store minio://HOST/BUCKET/PREFIX."`
	Passwords bool   `help:"${deploy_passwords}"`
	jsonOption
}

// deployed is what --json prints.
type deployed struct {
	Out   string   `json:"out"`
	Files []string `json:"files"` // in that folder, sorted
	Roles []string `json:"roles"` // that have a login at the broker and a policy of the store
}

func (c *deployCmd) Help() string {
	return "Writes auth.conf for the nats-servers, with a user for each stage, the keeper, publishers, viewers and " +
		"operators, and for each of them a policy of the store (s3/NAME.json). No login may do more than " +
		"its work needs. The passwords are read from the server's environment: the variables are listed in " +
		"passwords.env.\n\n" +
		"A worker then logs in with --user NAME --inbox NAME."
}

func (c *deployCmd) Run(_ context.Context, a *app) error {
	roles := access.Roles(line.Rows(nil))
	files := map[string]string{
		"auth.conf": access.NATS(roles), "passwords.env": c.passwords(roles),
	}
	for _, r := range roles {
		policy, err := access.S3(r, c.Bucket, c.Prefix)
		if err != nil {
			return coded(exitUsage, "--bucket %s, --prefix %s: %w", c.Bucket, c.Prefix, err)
		}
		files[filepath.Join("s3", r.Name+".json")] = string(policy) + "\n"
	}
	if err := os.Mkdir(c.Out, 0o700); err != nil {
		return fmt.Errorf("%w: give the name of a new folder", err)
	}
	if err := os.Mkdir(filepath.Join(c.Out, "s3"), 0o700); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(c.Out, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	done := deployed{Out: c.Out, Files: slices.Sorted(maps.Keys(files))}
	for _, r := range roles {
		done.Roles = append(done.Roles, r.Name)
	}
	return c.print(a, schemaDeploy, done, "wrote %s: auth.conf and passwords.env for the nats-servers, and %d "+
		"policies of the store in s3\n"+
		"a worker of a stage then logs in with: itool work expand --user expand --inbox expand …\n", c.Out, len(roles))
}

// passwords lists the server's variables; with --passwords each has a random value.
func (c *deployCmd) passwords(roles []access.Role) string {
	var b strings.Builder
	b.WriteString("# Environment of every nats-server. A password must begin with a letter.\n")
	names := []string{"NATS_SYS_PASSWORD"}
	for _, r := range roles {
		names = append(names, access.PasswordVariable(r.Name))
	}
	for _, name := range names {
		value := ""
		if c.Passwords {
			value = "p" + rand.Text()
		}
		fmt.Fprintf(&b, "%s=%s\n", name, value)
	}
	return b.String()
}
