//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// upIn starts up in dir/itool-up and waits until it serves.
func upIn(t *testing.T, dir string, args ...string) (c *exec.Cmd, address string) {
	t.Helper()
	c = start(t, dir, append([]string{"up", "--port", fmt.Sprint(freePort(t))}, args...)...)
	waitFor(t, func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "itool-up", "address"))
		address = string(text)
		return err == nil
	})
	return c, address
}

// TestToken: the broker of up wants a token, which commands on this machine find by themselves, and which
// stays the same when up is started again. Without one it is open only if that was asked for.
func TestToken(t *testing.T) {
	dir := t.TempDir()
	up, address := upIn(t, dir)
	login, host, found := strings.Cut(strings.TrimPrefix(address, "nats://"), "@")
	if !found || len(login) < 32 {
		t.Fatalf("the address %s has no token", address)
	}
	open, store := "nats://"+host, "disk:"+filepath.Join(dir, "itool-up", "store")
	expect(t, dir, 0, "disk:other writes", "doctor", "--create", "--store", "disk:other")
	expect(t, dir, exitError, "permission denied", "runs", "--broker", open, "--store", "disk:other")
	expect(t, dir, exitError, "permission denied", "runs", "--broker", "nats://wrong@"+host, "--store", store)
	for _, args := range [][]string{
		{}, {"--dir", "itool-up"}, {"--broker", open, "--store", store}, {"--broker", address, "--store", "disk:other"},
	} {
		expect(t, dir, 0, "no runs", append([]string{"runs"}, args...)...)
	}
	stop(t, up)
	up, address = upIn(t, dir)
	if !strings.Contains(address, "//"+login+"@") {
		t.Errorf("started again, up has another token")
	}
	stop(t, up)
	up, address = upIn(t, dir, "--no-token")
	if strings.Contains(address, "@") {
		t.Errorf("--no-token: the address is %s", address)
	}
	expect(t, dir, 0, "no runs", "runs", "--broker", address, "--store", "disk:other")
	stop(t, up)
}

// TestPrivateFiles: what run and up make can be read by its owner only, under any umask.
func TestPrivateFiles(t *testing.T) {
	dir := t.TempDir()
	file, base := writeRows(t, dir, 40), writeBase(t, dir, nil)
	old := syscall.Umask(0) // children get it
	defer syscall.Umask(old)
	up, _ := upIn(t, dir)
	args := append([]string{"run", file, "--base", base, "--name", "r1"}, small...)
	expect(t, dir, 0, "adapter", append(args, "--set", "line.rounds=0")...)
	stop(t, up)
	for _, made := range []string{"itool-up", "itool-runs"} {
		files := 0
		err := filepath.WalkDir(filepath.Join(dir, made), func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has the mode %v", name, info.Mode())
			}
			files++
			return err
		})
		if err != nil || files < 5 {
			t.Errorf("%s: %d files, %v", made, files, err)
		}
	}
}

// TestNoSecretIsShown searches everything that commands say for what they were given to log in with.
func TestNoSecretIsShown(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 30), writeBase(t, dir, nil)
	up, address := upIn(t, dir)
	defer stop(t, up)
	login, host, _ := strings.Cut(strings.TrimPrefix(address, "nats://"), "@")
	given := []string{login, "p4ssw0rd-of-a-user", "access-key-of-minio", "secret-key-of-minio", "key-of-the-api"}
	env := []string{
		"ITOOL_MINIO_ACCESS_KEY=" + given[2], "ITOOL_MINIO_SECRET_KEY=" + given[3], "ITOOL_API_KEY=" + given[4],
	}
	store := "disk:" + filepath.Join(dir, "itool-up", "store")
	where := []string{"--broker", address, "--store", store}
	user := "nats://u:" + given[1]
	two := []string{"--store", store, "--broker", user + "@127.0.0.1:1," + user + "@" + host}
	broken := []string{"--store", store, "--broker", user + "%@" + host}
	minio := []string{"--broker", address, "--store", "minio://" + given[2] + ":" + given[3] + "@127.0.0.1:1/b"}
	said := func(env []string, args ...string) string {
		c := command(t, dir, args...)
		c.Env = append(c.Env, env...)
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		_ = c.Run() // some fail, as they should
		for _, secret := range given {
			if i := strings.Index(out.String(), secret); i >= 0 {
				t.Errorf("itool %s shows a secret:\n%s", strings.Join(args, " "), out.String())
			}
		}
		return out.String()
	}
	publish := append([]string{"publish", file, "--base", base, "--name", "r1", "-v"}, small...)
	if out := said(env, append(publish, where...)...); !strings.Contains(out, "itool watch r1 --broker nats://***@") {
		t.Errorf("publish says\n%s", out)
	}
	work := []string{"work", "all", "-v", "--until-idle", "2s"}
	for range 20 { // on a busy machine a worker may find nothing for two seconds before the run is over
		said(env, append(work, where...)...)
		if strings.Contains(said(env, append([]string{"runs"}, where...)...), "done") {
			break
		}
	}
	for _, verb := range [][]string{
		{"doctor"}, {"runs"}, {"watch", "r1"}, {"failed", "r1"}, {"report", "r1", "--json"}, {"cancel", "r1"},
		{"export", "r1", "--out", "a"}, {"tree", "r1", "x"}, {"serve", "nosuch"},
	} {
		for _, place := range [][]string{where, two, broken, minio, {"--broker", login, "--store", store}} {
			out := said(env, append(append([]string{}, verb...), append(place, "-v")...)...)
			if out == "" {
				t.Errorf("%s %s says nothing", verb, place)
			}
		}
	}
	// The same from the environment.
	env = append(env, "ITOOL_BROKER="+two[3], "ITOOL_STORE="+store)
	said(env, "doctor", "-v")
	said(env, "runs", "-v")
}
