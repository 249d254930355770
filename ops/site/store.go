package site

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"itool/storage"
	"itool/storage/disk"
	"itool/storage/minio"
)

// OpenStore opens disk:PATH, minio://HOST:PORT/BUCKET[/PREFIX] or, for TLS, minios://…. The
// store must exist: with a mistyped address a worker would work on an empty one. An address
// may end in ?region=NAME and style=path or style=host, with & between: the style says where
// requests name the bucket. Keys are in no address: addresses are printed and written down,
// keys must not be.
func OpenStore(ctx context.Context, spec string, l StoreLogin) (storage.Store, error) {
	return openStore(ctx, spec, l, false)
}

// CreateStore is OpenStore for those who may create the folder or bucket: itool up, a run in
// its own folder, and itool doctor --create. It gives the store an identity unless it has one.
func CreateStore(ctx context.Context, spec string, l StoreLogin) (storage.Store, error) {
	s, err := openStore(ctx, spec, l, true)
	if err != nil {
		return nil, err
	}
	if _, err := storage.Identify(ctx, s, random()); err != nil {
		return nil, fmt.Errorf("give store %s its identity: %w", spec, err)
	}
	return s, nil
}

func openStore(ctx context.Context, spec string, l StoreLogin, create bool) (storage.Store, error) {
	if path, ok := strings.CutPrefix(spec, "disk:"); ok {
		if create {
			return disk.Open(path)
		}
		return disk.OpenExisting(path)
	}
	cfg, err := minioConfig(spec, l)
	if err != nil {
		return nil, err
	}
	cfg.Create = create
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return minio.Open(ctx, cfg)
}

// minioConfig reads the address of a store on MinIO or S3.
func minioConfig(spec string, l StoreLogin) (minio.Config, error) {
	if at := strings.LastIndex(spec, "@"); at >= 0 {
		return minio.Config{}, usage("--store has keys in its address: write SCHEME://%s, and put the keys into "+
			"ITOOL_MINIO_ACCESS_KEY and ITOOL_MINIO_SECRET_KEY", spec[at+1:])
	}
	u, err := url.Parse(spec)
	if err != nil || u.Scheme != "minio" && u.Scheme != "minios" {
		return minio.Config{}, usage("--store %q is neither disk:PATH nor minio://HOST:PORT/BUCKET", spec)
	}
	bucket, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	cfg := minio.Config{
		Endpoint: u.Host, Bucket: bucket, Prefix: prefix, Secure: u.Scheme == "minios", CA: l.CA,
	}
	for key, values := range u.Query() {
		switch key {
		case "region":
			cfg.Region = values[0]
		case "style":
			cfg.Style = values[0]
		default:
			return minio.Config{}, usage("--store: %q is unknown; after the ? stand region=NAME and style=path or "+
				"style=host", key)
		}
	}
	if err := takeKeys(&cfg, l.Keys); err != nil {
		return minio.Config{}, err
	}
	if err := cfg.Validate(); err != nil {
		return minio.Config{}, fmt.Errorf("store %s: %w", spec, err)
	}
	return cfg, nil
}

// takeKeys takes the keys from where StoreLogin.Keys says.
func takeKeys(cfg *minio.Config, from string) error {
	switch from {
	case Cloud:
		cfg.Cloud = true
	case "":
		cfg.AccessKey = minio.Secret(os.Getenv("ITOOL_MINIO_ACCESS_KEY"))
		cfg.SecretKey = minio.Secret(os.Getenv("ITOOL_MINIO_SECRET_KEY"))
		cfg.SessionToken = minio.Secret(os.Getenv("ITOOL_MINIO_SESSION_TOKEN"))
		if cfg.AccessKey == "" || cfg.SecretKey == "" {
			return errors.New("store: set ITOOL_MINIO_ACCESS_KEY and ITOOL_MINIO_SECRET_KEY in the environment, " +
				"or give --store-keys FILE, or --store-keys cloud")
		}
	default:
		cfg.KeysFile = from
	}
	return nil
}

// FolderStore names the store of a folder's runs: the one that ChooseStore wrote down, or
// the folder's own.
func FolderStore(dir string) (spec string, err error) {
	b, err := os.ReadFile(storeFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return "disk:" + filepath.Join(dir, "store"), nil
	}
	if st, statErr := os.Stat(dir); statErr == nil && !st.IsDir() {
		return "", usage("%s is a file: give a folder", dir)
	}
	return string(b), err
}

// ChooseStore makes wish the store of a folder's runs, writes it down in the folder and
// returns it; "" keeps the store that the folder has. Once the folder has runs, another
// store is an error: the runs would not find their files there.
func ChooseStore(ctx context.Context, dir, wish string, l StoreLogin) (spec string, err error) {
	spec, err = FolderStore(dir)
	if err != nil || wish == "" {
		return spec, err
	}
	if path, ok := strings.CutPrefix(wish, "disk:"); ok { // workers may be started in another folder
		if path, err = filepath.Abs(path); err != nil {
			return "", err
		}
		wish = "disk:" + path
	}
	if wish == spec {
		return spec, nil
	}
	if HasRuns(dir) {
		return "", fmt.Errorf("the runs in %s have their files in %s: give that as --store, or another --dir",
			dir, spec)
	}
	if _, err := CreateStore(ctx, wish, l); err != nil { // before anything is written down
		return "", err
	}
	if err := makePrivate(dir); err != nil {
		return "", err
	}
	return wish, writePrivate(storeFile(dir), wish, os.Rename)
}

func storeFile(dir string) string { return filepath.Join(dir, "store-address") }
