package integration

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"itool/broker"
	"itool/broker/brokertest"
	"itool/integration/rig"
	"itool/ops/access"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/storage"
	"itool/storage/disk"
	"itool/storage/minio"
	"itool/storage/minio/miniotest"
)

// TestRoles: a run whose processes each have the login of deploy-config for their stage gives the
// same policies as one process with all rights.
func TestRoles(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line with a process for each stage, half a minute; the full test run does it")
	}
	dir := filepath.Join(t.TempDir(), "store")
	store, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	k := newRoles(t, "disk:"+dir, store)
	k.command(access.Operator, nil, "doctor", "--create")
	k.run(func(access.Role) map[string]string { return nil })
}

// TestRolesOnMinIO is TestRoles with keys of the store for each role, by deploy-config's policies.
// A stage may not write what another stage makes.
func TestRolesOnMinIO(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line with a process for each stage, half a minute; the full test run does it")
	}
	endpoint, root, secret := rig.MinIO(t)
	t.Setenv("ITOOL_MINIO_ACCESS_KEY", root)
	t.Setenv("ITOOL_MINIO_SECRET_KEY", secret)
	spec := "minio://" + endpoint + "/runs/team"
	store := &rig.Store{Endpoint: endpoint, Access: root, Secret: secret}
	k := newRoles(t, spec, nil)
	k.command(access.Operator, nil, "doctor", "--create")
	k.store = store.Open(t, "runs", "team")
	lent := map[string]miniotest.Keys{}
	k.run(func(r access.Role) map[string]string {
		policy, err := access.S3(r, "runs", "team")
		if err != nil {
			t.Fatal(err)
		}
		keys := miniotest.Lend(t, endpoint, root, secret, string(policy))
		lent[r.Name] = keys
		return map[string]string{
			"ITOOL_MINIO_ACCESS_KEY": keys.Access, "ITOOL_MINIO_SECRET_KEY": keys.Secret,
			"ITOOL_MINIO_SESSION_TOKEN": keys.Session,
		}
	})
	for _, c := range []struct {
		role, key string
		may       bool
	}{
		{"filter", "runs/x/bodies/y.zst", true}, {"filter", "checkpoints/x", false}, {"filter", "itool-store", false},
		{"update", "checkpoints/x", true}, {"update", "shards/1/x", false}, {"expand", "checkpoints/x", false},
		{access.Viewer, "runs/x/bodies/z.zst", false}, {access.Keeper, "checkpoints/y", false},
	} {
		s, err := minio.Open(t.Context(), minio.Config{
			Endpoint: endpoint, Bucket: "runs", Prefix: "team", AccessKey: minio.Secret(lent[c.role].Access),
			SecretKey: minio.Secret(lent[c.role].Secret), SessionToken: minio.Secret(lent[c.role].Session),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Put(t.Context(), c.key, strings.NewReader("x"), 1)
		if (err == nil) != c.may {
			t.Errorf("%s puts %s: %v, want allowed: %t", c.role, c.key, err, c.may)
		}
		s.Close()
	}
}

// roles is a broker with a user for each role, and a store.
type roles struct {
	t     *testing.T
	dir   string
	url   string
	spec  string // of the store
	store storage.Store
	quiet []string // the policies of one process
}

func newRoles(t *testing.T, spec string, store storage.Store) *roles {
	t.Helper()
	for _, name := range []string{"ITOOL_BROKER", "ITOOL_STORE", "ITOOL_CONNECTION", "ITOOL_NATS_PASSWORD"} {
		t.Setenv(name, "")
	}
	k := &roles{t: t, dir: t.TempDir(), spec: spec, store: store, quiet: policies(t, inOneProcess(t, oneRound))}
	all := access.Roles(line.Rows(nil))
	t.Setenv("NATS_SYS_PASSWORD", "p-sys")
	for _, r := range all {
		t.Setenv(access.PasswordVariable(r.Name), "p-"+r.Name)
	}
	k.url = brokertest.ConfiguredServer(t, access.NATS(all))
	return k
}

// environment is that of a role's processes.
func (k *roles) environment(role string, more map[string]string) map[string]string {
	env := map[string]string{
		"ITOOL_BROKER": k.url, "ITOOL_STORE": k.spec, "ITOOL_NATS_USER": role, "ITOOL_NATS_INBOX": role,
		"ITOOL_NATS_PASSWORD": "p-" + role,
	}
	for name, value := range more {
		env[name] = value
	}
	return env
}

func (k *roles) setenv(env map[string]string) {
	for name, value := range env {
		k.t.Setenv(name, value)
	}
}

// command runs a command with the login of a role.
func (k *roles) command(role string, more map[string]string, args ...string) string {
	k.t.Helper()
	k.setenv(k.environment(role, more))
	out, errs, code := rig.Itool(k.t, k.dir, args...)
	if code != 0 {
		k.t.Fatalf("%s: itool %s: exit code %d\n%s%s", role, strings.Join(args, " "), code, out, errs)
	}
	return out
}

// run does a whole run, each stage in a process of its own, and compares its policies with those of one
// process.
func (k *roles) run(lend func(access.Role) map[string]string) {
	k.t.Helper()
	lent := map[string]map[string]string{}
	var workers []*rig.Process
	for _, r := range access.Roles(line.Rows(nil)) {
		lent[r.Name] = lend(r)
		if r.Broker.Pull != "" || r.Name == access.Keeper {
			k.setenv(k.environment(r.Name, lent[r.Name]))
			workers = append(workers, rig.Start(k.t, k.dir, "work", r.Name, "--ack-wait", "3s", "--slots", "1"))
		}
	}
	dataset, base := assets(k.t)
	publish := []string{"publish", dataset, "--base", base, "--name", name}
	k.command(access.Publisher, lent[access.Publisher], append(publish, settings(oneRound)...)...)
	k.command(access.Viewer, lent[access.Viewer], "watch", name)
	k.command(access.Viewer, lent[access.Viewer], "report", name, "--json")
	b, err := broker.Connect(k.t.Context(), broker.Config{
		URL: k.url, User: access.Viewer, Password: "p-" + access.Viewer, InboxToken: access.Viewer,
	})
	if err != nil {
		k.t.Fatal(err)
	}
	defer b.Close()
	if got := policies(k.t, &courier.Courier{Broker: b, Store: k.store}); fmt.Sprint(got) != fmt.Sprint(k.quiet) {
		k.t.Errorf("policies of stages with their own logins\n%v differ from those of one process\n%v", got, k.quiet)
	}
	if _, err := b.Publish(k.t.Context(), broker.Address{Run: name, Record: "pair", Key: "x"}, nil, nil); !errors.Is(
		err, broker.ErrDenied) {
		k.t.Errorf("a viewer writes a pair: %v, want ErrDenied", err)
	}
	for _, w := range workers {
		w.Stop()
		if said := w.Said(); strings.Contains(said, "Permissions Violation") {
			k.t.Errorf("a worker lacks a right:\n%s", said)
		}
	}
}
