package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"itool/ops/site"
)

// TestConnectionPrecedence: a setting comes from its flag, else from the environment, else from
// the file of --connection. The flag and the environment are kong's: by then they are one.
func TestConnectionPrecedence(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("password", "of the file\n")
	file := write("connection.yaml", "broker: nats://file:4222\nuser: somebody\npassword_file: password\n"+
		"stream_replicas: 3\nstore: disk:store\nstore_keys: cloud\nca: /etc/ca.crt\n")
	got, err := connection{Broker: "nats://flag:4222", Connection: file}.site()
	want := site.Connection{
		Broker: "nats://flag:4222", User: "somebody", Password: "of the file", Replicas: 3, CA: "/etc/ca.crt",
		Store: "disk:" + filepath.Join(dir, "store"), StoreLogin: site.StoreLogin{Keys: site.Cloud},
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	t.Setenv("ITOOL_NATS_PASSWORD", "of the environment")
	got, err = connection{User: "somebody"}.site()
	if err != nil || got.Password != "of the environment" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestConnectionErrors: what is wrong is named with its flag, or its file and line.
func TestConnectionErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name string
		env  string // ITOOL_NATS_PASSWORD
		c    connection
		want []string
	}{
		{"unknown key", "", connection{Connection: file("a.yaml", "broker: x\nstream_replica: 3\n")},
			[]string{"a.yaml:2", "did you mean stream_replicas"}},
		{"wrong type", "", connection{Connection: file("b.yaml", "stream_replicas: many\n")},
			[]string{"b.yaml:1", "stream_replicas"}},
		{"no file", "", connection{Connection: filepath.Join(dir, "none")}, []string{"--connection", "no such file"}},
		{"user alone", "", connection{User: "u"}, []string{"--user", "--password-file", "ITOOL_NATS_PASSWORD"}},
		{"password alone", "p", connection{}, []string{"--user"}},
		{"two passwords", "p", connection{User: "u", PasswordFile: file("p", "q")}, []string{"keep one of them"}},
		{"empty password", "", connection{User: "u", PasswordFile: file("e", "\n")}, []string{"it is empty"}},
		{"another file", "", connection{User: "u", PasswordFile: file("l", strings.Repeat("x", 1<<13))},
			[]string{"8192 bytes"}},
		{"copies", "", connection{StreamReplicas: -1}, []string{"--stream-replicas -1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("ITOOL_NATS_PASSWORD", c.env)
			_, err := c.c.site()
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got %q, want %q in it", err, w)
				}
			}
		})
	}
}

// TestConnectionFlags: the command that is printed reaches the same place, without what the
// environment gives, and without a secret.
func TestConnectionFlags(t *testing.T) {
	t.Setenv("ITOOL_NATS_CREDS", "a.creds")
	c := connection{
		Broker: "nats://hunter2@h:4222", Creds: "a.creds", CA: "ca.crt", StreamReplicas: 3,
		storeLogin: storeLogin{StoreCA: "s.crt"}, Connection: "c.yaml",
	}
	const want = " --broker nats://***@h:4222 --ca ca.crt --stream-replicas 3 --store-ca s.crt --connection c.yaml"
	if got := c.flags(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestGuidedConnection: the file that the guide shows can be read, and its table names every flag.
func TestGuidedConnection(t *testing.T) {
	page, err := os.ReadFile("../guide/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	text, _, _ := strings.Cut(rest, "```")
	file := filepath.Join(t.TempDir(), "connection.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := connection{Connection: file}.complete()
	if err != nil || c.StreamReplicas != 3 || strings.Count(c.Broker, "tls://") != 3 || c.StoreCA == "" {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[connection]()) {
		if f.Anonymous {
			continue
		}
		for _, want := range []string{"--" + flagName(f), f.Tag.Get("env"), f.Tag.Get("json")} {
			if want != "-" && !strings.Contains(string(page), "`"+want+"`") {
				t.Errorf("the guide does not name %s", want)
			}
		}
	}
}
