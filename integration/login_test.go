package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/broker/brokertest"
	"itool/integration/rig"
)

// TestLogins: itool reaches real servers with TLS by each way to log in, says what is wrong when
// it cannot, and shows no secret in doing so.
func TestLogins(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three times three nats-servers; the full test run does it")
	}
	for _, c := range []struct {
		name  string
		login func(t *testing.T) login
	}{
		{"user and password", passwordLogin},
		{"nkey and client certificate", nkeyLogin},
		{"creds", credsLogin},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"ITOOL_BROKER", "ITOOL_STORE", "ITOOL_NATS_PASSWORD", "ITOOL_NATS_CA"} {
				t.Setenv(name, "")
			}
			tryLogin(t, c.login(t))
		})
	}
}

// login is a cluster, how to log in there, and how not to.
type login struct {
	cluster *rig.Cluster
	env     map[string]string
	flags   []string
	secrets []string
	wrong   []attempt
}

// attempt is a command line that must fail, with words of its error.
type attempt struct {
	env   map[string]string
	flags []string
	want  string
}

func passwordLogin(t *testing.T) login {
	c := rig.NATS(t, rig.ClusterOptions{})
	dir := t.TempDir()
	const mistyped = "mistyped-password"
	file := filepath.Join(dir, "password")
	write(t, file, mistyped+"\n")
	connection := filepath.Join(dir, "connection.yaml")
	write(t, connection, "ca: "+c.Certs.CA+"\nuser: "+c.User+"\n")
	return login{
		cluster: c,
		env:     map[string]string{"ITOOL_NATS_PASSWORD": c.Password},
		flags:   []string{"--connection", connection},
		secrets: []string{c.Password, mistyped},
		wrong: []attempt{
			{nil, []string{"--connection", connection, "--password-file", file}, "wants another token, user or key"},
			{map[string]string{"ITOOL_NATS_PASSWORD": c.Password}, []string{"--user", c.User}, "--ca"},
			{nil, []string{"--ca", c.Certs.CA}, "--creds, --nkey or --user"},
		},
	}
}

func nkeyLogin(t *testing.T) login {
	auth, seed := brokertest.NKeyLogin(t)
	c := rig.NATS(t, rig.ClusterOptions{Auth: auth, Verify: true})
	_, other := brokertest.NKeyLogin(t)
	dir := t.TempDir()
	file, wrong := filepath.Join(dir, "user.nk"), filepath.Join(dir, "other.nk")
	write(t, file, string(seed))
	write(t, wrong, string(other))
	cert := []string{"--ca", c.Certs.CA, "--cert", c.Certs.Cert, "--key", c.Certs.Key}
	return login{
		cluster: c, flags: append(cert, "--nkey", file), secrets: []string{string(seed), string(other)},
		wrong: []attempt{
			{nil, append(cert[:6:6], "--nkey", wrong), "wants another token, user or key"},
			{nil, append(cert[:6:6], "--nkey", c.Certs.CA), "nkey"},
			{nil, []string{"--ca", c.Certs.CA, "--nkey", file}, "--cert and --key"},
		},
	}
}

func credsLogin(t *testing.T) login {
	auth, creds := brokertest.JWTLogin(t)
	c := rig.NATS(t, rig.ClusterOptions{Auth: auth})
	_, other := brokertest.JWTLogin(t)
	dir := t.TempDir()
	file, wrong := filepath.Join(dir, "user.creds"), filepath.Join(dir, "other.creds")
	write(t, file, string(creds))
	write(t, wrong, string(other))
	var secrets []string
	for _, text := range []string{string(creds), string(other)} {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); len(line) > 40 && !strings.Contains(line, " ") { // the JWT and the seed
				secrets = append(secrets, line)
			}
		}
	}
	return login{
		cluster: c, env: map[string]string{"ITOOL_NATS_CA": c.Certs.CA}, flags: []string{"--creds", file},
		secrets: secrets,
		wrong: []attempt{
			{nil, []string{"--ca", c.Certs.CA, "--creds", wrong}, "wants another token, user or key"},
			{nil, []string{"--ca", c.Certs.CA, "--creds", file + "-not"}, "no such file"},
			{nil, []string{"--ca", c.Certs.CA, "--creds", file, "--user", "u", "--password-file", c.Certs.CA},
				"only one of"},
		},
	}
}

func tryLogin(t *testing.T, l login) {
	dir := t.TempDir()
	where := []string{"--nats", l.cluster.URLs(), "--store", "disk:" + filepath.Join(dir, "store"),
		"--stream-replicas", "3", "--verbose"}
	run := func(env map[string]string, args ...string) (said string, code int) {
		t.Helper()
		for k, v := range env {
			t.Setenv(k, v)
		}
		out, errs, code := rig.Itool(t, dir, append(args, where...)...)
		for k := range env {
			os.Unsetenv(k)
		}
		for _, secret := range l.secrets {
			if strings.Contains(out+errs, secret) {
				t.Errorf("itool %s shows a secret", strings.Join(args, " "))
			}
		}
		return out + errs, code
	}
	for _, verb := range [][]string{{"doctor", "--create"}, {"runs"}} {
		if said, code := run(l.env, append(verb, l.flags...)...); code != 0 {
			t.Errorf("%s: exit code %d\n%s", verb, code, said)
		}
	}
	for _, a := range l.wrong {
		for _, verb := range []string{"doctor", "runs", "work"} {
			args := append([]string{verb}, a.flags...)
			if verb == "work" {
				args = append(args, "filter")
			}
			if said, code := run(a.env, args...); code == 0 || !strings.Contains(said, a.want) {
				t.Errorf("%s: exit code %d, want an error with %q\n%s", strings.Join(args, " "), code, a.want, said)
			}
		}
	}
}
