package minio_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/storage/minio"
)

// TestKeys: keys come from the configuration, a file or the cloud, and reach the server with
// their session token and region.
func TestKeys(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "keys")
	write(t, file, "[default]\naws_access_key_id = of-the-file\naws_secret_access_key = secret\n"+
		"aws_session_token = lent\n[other]\naws_access_key_id = of-the-profile\naws_secret_access_key = secret\n")
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"AccessKeyId":"of-the-role","SecretAccessKey":"secret","Token":"lent",`+
			`"Expiration":"2099-01-01T00:00:00Z"}`)
	}))
	defer role.Close()
	for _, c := range []struct {
		name   string
		env    map[string]string
		config minio.Config
		want   string // access key/region/session token
	}{
		{"given", nil, minio.Config{AccessKey: access, SecretKey: secret}, access + "/us-east-1/"},
		{"lent", nil, minio.Config{AccessKey: access, SecretKey: secret, SessionToken: "lent"},
			access + "/us-east-1/lent"},
		{"region", nil, minio.Config{AccessKey: access, SecretKey: secret, Region: "eu"}, access + "/eu/"},
		{"file", nil, minio.Config{KeysFile: file}, "of-the-file/us-east-1/lent"},
		{"profile", map[string]string{"AWS_PROFILE": "other"}, minio.Config{KeysFile: file},
			"of-the-profile/us-east-1/"},
		{"environment of the cloud", map[string]string{
			"AWS_ACCESS_KEY_ID": "of-aws", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "lent",
		}, minio.Config{Cloud: true}, "of-aws/us-east-1/lent"},
		{"role", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": role.URL},
			minio.Config{Cloud: true}, "of-the-role/us-east-1/lent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			withoutKeys(t, dir)
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			f := startFake(t)
			c.config.Endpoint, c.config.Bucket = f.endpoint, "bucket"
			f.set(func() { f.buckets["bucket"] = true })
			if _, err := minio.Open(t.Context(), c.config); err != nil {
				t.Fatal(err)
			}
			f.set(func() {
				if !f.logins[c.want] {
					t.Errorf("the server saw %v, want %s", f.logins, c.want)
				}
			})
		})
	}
}

// withoutKeys hides the keys of the user who runs the tests. No cloud is asked: the role's
// address is one that no one answers.
func withoutKeys(t *testing.T, home string) {
	t.Helper()
	for _, k := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN",
		"AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
	} {
		t.Setenv(k, "")
	}
	t.Setenv("HOME", home)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1")
}

// TestKeysMissing: keys that are not there are an error before the first request, and a file's
// content is not shown.
func TestKeysMissing(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	write(t, empty, "AKIASECRETLINE: what the user pasted by mistake\n")
	withoutKeys(t, dir)
	for _, c := range []struct {
		config minio.Config
		want   string
	}{
		{minio.Config{KeysFile: empty + "-not"}, "no such file"},
		{minio.Config{KeysFile: empty}, "aws_access_key_id"},
		{minio.Config{Cloud: true}, "the role of this pod"},
		{minio.Config{Cloud: true, KeysFile: empty}, "only one of them"},
		{minio.Config{KeysFile: empty, AccessKey: access, SecretKey: secret}, "only one of them"},
		{minio.Config{Cloud: true, Style: "sideways"}, "neither path nor host"},
		{minio.Config{Cloud: true, CA: empty}, "without TLS"},
	} {
		c.config.Endpoint, c.config.Bucket = "127.0.0.1:1", "bucket"
		_, err := minio.Open(t.Context(), c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "AKIASECRETLINE") {
			t.Errorf("%+v: got %v, want %q", c.config, err, c.want)
		}
	}
}

// TestCA: a server whose certificate the system does not know is trusted by its authority alone.
func TestCA(t *testing.T) {
	f := startFake(t)
	f.set(func() { f.buckets["bucket"] = true })
	server := httptest.NewTLSServer(f)
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	c := minio.Config{
		Endpoint: strings.TrimPrefix(server.URL, "https://"), Bucket: "bucket", Secure: true,
		AccessKey: access, SecretKey: secret,
	}
	if _, err := minio.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without its authority: got %v", err)
	}
	c.CA = ca
	if _, err := minio.Open(t.Context(), c); err != nil {
		t.Error(err)
	}
	c.CA = filepath.Join(t.TempDir(), "not-there")
	if _, err := minio.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a missing file: got %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestClockSkew: the difference of the clocks is read from any answer of the server.
func TestClockSkew(t *testing.T) {
	f := startFake(t)
	s := open(t, f, "")
	for _, want := range []time.Duration{0, time.Hour, -2 * time.Hour} {
		f.set(func() { f.ahead = want })
		ahead, within, err := s.ClockSkew(t.Context())
		if err != nil || (ahead-want).Abs() > within {
			t.Errorf("%v ahead: got %v ± %v, %v", want, ahead, within, err)
		}
	}
}
