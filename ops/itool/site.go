package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"itool/broker"
	"itool/broker/embed"
	"itool/ops/courier"
	"itool/storage"
	"itool/storage/disk"
	"itool/storage/minio"
)

// target says where runs live: a broker and a store anywhere, or the folder of
// `itool run` and `itool up`, which holds both.
type target struct {
	Broker string `env:"ITOOL_BROKER" placeholder:"URL" help:"The broker: nats://HOST:PORT, with TOKEN@ before the host if it wants one."`
	Store  string `env:"ITOOL_STORE" placeholder:"STORE" help:"The store: disk:PATH or minio://HOST:PORT/BUCKET (keys: ITOOL_MINIO_ACCESS_KEY, ITOOL_MINIO_SECRET_KEY; minios:// for TLS)."`
	Dir    string `placeholder:"DIR" help:"The folder of a run made by itool run, or of itool up, instead of broker and store."`
}

// runsDir is where `run` and `demo` put their folders.
const runsDir = "itool-runs"

// site is an open broker with its store.
type site struct {
	*courier.Courier
	server *embed.Server // nil when the broker runs elsewhere
	dir    string        // of a local site
}

func (s *site) close() {
	s.Broker.Close()
	if s.server != nil {
		os.Remove(addressFile(s.dir))
		s.server.Shutdown()
	}
}

// open connects to the given broker and store, or opens the run's folder.
func (t target) open(ctx context.Context, a *app, run string) (*site, error) {
	if t.Dir == "" && t.Broker == "" {
		if run != "" && exists(filepath.Join(runsDir, run, "broker")) {
			t.Dir = filepath.Join(runsDir, run)
		} else {
			return nil, coded(exitUsage, "no broker is given: say --broker and --store as `itool up` prints them, or --dir with the folder of a run%s", localRuns())
		}
	}
	if t.Dir != "" {
		if !exists(filepath.Join(t.Dir, "broker")) {
			return nil, fmt.Errorf("%s holds no run: give the folder that `itool run` or `itool up` wrote", t.Dir)
		}
		return openFolder(ctx, a, t.Dir, 0)
	}
	if t.Store == "" {
		return nil, coded(exitUsage, "--store is missing: disk:PATH of the folder that the other workers use, or minio://HOST:PORT/BUCKET")
	}
	store, err := openStore(ctx, t.Store)
	if err != nil {
		return nil, err
	}
	b, err := connect(ctx, a, t.Broker)
	if err != nil {
		return nil, err
	}
	return &site{Courier: &courier.Courier{Broker: b, Store: store}}, nil
}

func localRuns() string {
	found, _ := filepath.Glob(filepath.Join(runsDir, "*", "broker"))
	var names []string
	for _, f := range found {
		names = append(names, filepath.Base(filepath.Dir(f)))
	}
	if len(names) == 0 {
		return ""
	}
	return " (in ./" + runsDir + ": " + strings.Join(names, ", ") + ")"
}

// The ports of a folder's broker: none, for a look that must not disturb; any, so
// that others can watch a run; or the one that its user chose.
const anyPort = -1

// openFolder opens broker and store in dir. When another process serves the folder
// already, it connects to that one.
func openFolder(ctx context.Context, a *app, dir string, port int) (*site, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	spec, err := folderStore(dir)
	if err != nil {
		return nil, err
	}
	store, err := openStore(ctx, spec)
	if err != nil {
		return nil, err
	}
	cfg := embed.Config{Dir: filepath.Join(dir, "broker"), Port: port, InProcessOnly: port == 0, Log: a.log}
	if port == anyPort {
		cfg.Token = newToken() // others on this machine shall not reach into the run
	}
	server, err := embed.Start(cfg)
	if errors.Is(err, fs.ErrExist) && port == 0 {
		return joinFolder(ctx, a, dir, store, err)
	}
	if err != nil {
		return nil, err
	}
	s := &site{server: server, dir: dir}
	if port != 0 {
		if err := os.WriteFile(addressFile(dir), []byte(withToken(server.URL(), cfg.Token)), 0o600); err != nil {
			server.Shutdown()
			return nil, err
		}
	}
	b, err := broker.Connect(ctx, broker.Config{InProcess: server, Token: cfg.Token, Name: "itool", Log: a.log})
	if err != nil {
		server.Shutdown()
		return nil, err
	}
	s.Courier = &courier.Courier{Broker: b, Store: store}
	return s, nil
}

// joinFolder connects to the process that serves the folder.
func joinFolder(ctx context.Context, a *app, dir string, store storage.Store, locked error) (*site, error) {
	address, err := os.ReadFile(addressFile(dir))
	if err != nil {
		return nil, locked
	}
	b, err := connect(ctx, a, string(address))
	if err != nil {
		return nil, err
	}
	return &site{Courier: &courier.Courier{Broker: b, Store: store}}, nil
}

// folderStore names the store of a folder's runs: the one that `up` was given, or the
// folder's own.
func folderStore(dir string) (spec string, err error) {
	b, err := os.ReadFile(storeFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return "disk:" + filepath.Join(dir, "store"), nil
	}
	return string(b), err
}

func storeFile(dir string) string { return filepath.Join(dir, "store-address") }

// addressFile holds the address of the process that serves a folder, while it does.
func addressFile(dir string) string { return filepath.Join(dir, "address") }

func newToken() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func withToken(address, token string) string {
	if token == "" {
		return address
	}
	return strings.Replace(address, "://", "://"+token+"@", 1)
}

func connect(ctx context.Context, a *app, address string) (*broker.Broker, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, coded(exitUsage, "--broker %q is no address such as nats://127.0.0.1:4222", address)
	}
	token := u.User.Username()
	u.User = nil
	b, err := broker.Connect(ctx, broker.Config{URL: u.String(), Token: token, Name: "itool", Log: a.log})
	if errors.Is(err, broker.ErrUnavailable) {
		return nil, fmt.Errorf("%w; `itool up` starts a broker on this machine", err)
	}
	return b, err
}

// openStore opens disk:PATH or minio://HOST:PORT/BUCKET[/PREFIX].
func openStore(ctx context.Context, spec string) (storage.Store, error) {
	if path, ok := strings.CutPrefix(spec, "disk:"); ok {
		return disk.Open(path)
	}
	if at := strings.LastIndex(spec, "@"); at >= 0 { // addresses are printed and written down; keys are not
		return nil, coded(exitUsage, "--store has keys in its address: write SCHEME://%s, and put the keys into ITOOL_MINIO_ACCESS_KEY and ITOOL_MINIO_SECRET_KEY", spec[at+1:])
	}
	u, err := url.Parse(spec)
	if err != nil || u.Scheme != "minio" && u.Scheme != "minios" {
		return nil, coded(exitUsage, "--store %q is neither disk:PATH nor minio://HOST:PORT/BUCKET", spec)
	}
	bucket, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	cfg := minio.Config{
		Endpoint: u.Host, Bucket: bucket, Prefix: prefix, Secure: u.Scheme == "minios",
		AccessKey: minio.Secret(os.Getenv("ITOOL_MINIO_ACCESS_KEY")), SecretKey: minio.Secret(os.Getenv("ITOOL_MINIO_SECRET_KEY")),
	}
	if cfg.AccessKey == "" || cfg.SecretKey == "" {
		return nil, errors.New("store: set ITOOL_MINIO_ACCESS_KEY and ITOOL_MINIO_SECRET_KEY in the environment")
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("store %s: %w", u.Redacted(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return minio.Open(ctx, cfg)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
