package minio

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"itool/storage"
)

// Config says where the bucket is and how to log in. The caller decides where the keys
// come from, such as an environment variable or a file.
type Config struct {
	Endpoint string // host:port, without a scheme
	Bucket   string
	Create   bool   // create the bucket if it does not exist; without it a missing bucket is an error
	Prefix   string // put before every key, such as "team-a/itool"; may be empty; at most 256 bytes
	Region   string // if it is empty, the server is asked
	Secure   bool   // TLS
	CA       string // path of a PEM file: an authority to trust besides those of the system; with Secure

	// Style is where requests name the bucket: "path", "host", or "" to choose by the endpoint,
	// which suits MinIO, Amazon and Google.
	Style string

	// The keys: these, or those of a file, or those that the cloud gives its machines.
	AccessKey    Secret
	SecretKey    Secret
	SessionToken Secret // of keys that are lent for some hours; may be empty
	KeysFile     string // path of a file as ~/.aws/credentials; it is read again every minute
	Cloud        bool   // AWS_ACCESS_KEY_ID …, ~/.aws, the role of the pod, the container or the machine
}

// Validate returns an error that says what is missing or wrong. The error never contains a
// secret, not even one that was put into the wrong field.
func (c Config) Validate() error {
	switch {
	case c.Endpoint == "":
		return errors.New("endpoint is empty; give host:port")
	case strings.Contains(c.Endpoint, "@"):
		return errors.New("endpoint has a user in it; give host:port, and the keys in their own fields")
	case strings.Contains(c.Endpoint, "/"):
		return fmt.Errorf("endpoint %q has a scheme or a path; give host:port, and use secure for https", c.Endpoint)
	case c.Bucket == "":
		return errors.New("bucket is empty")
	case c.CA != "" && !c.Secure:
		return errors.New("an authority is given, but the endpoint is without TLS")
	case c.Style != "" && c.Style != "path" && c.Style != "host":
		return fmt.Errorf("style %q is neither path nor host", c.Style)
	}
	if err := c.validateKeys(); err != nil {
		return err
	}
	if c.Prefix != "" {
		if err := storage.CheckKey(c.Prefix); err != nil {
			return fmt.Errorf("prefix: %w", err)
		}
		if len(c.Prefix) > 256 {
			return fmt.Errorf("prefix has %d bytes, at most 256 are allowed", len(c.Prefix))
		}
	}
	return nil
}

func (c Config) validateKeys() error {
	sources := 0
	for _, given := range []bool{c.AccessKey != "" || c.SecretKey != "", c.KeysFile != "", c.Cloud} {
		if given {
			sources++
		}
	}
	switch {
	case sources > 1:
		return errors.New("give keys, or a file with keys, or take those of the cloud: only one of them")
	case c.KeysFile == "" && !c.Cloud && (c.AccessKey == "" || c.SecretKey == ""):
		return errors.New("access key or secret key is empty")
	}
	return nil
}

// Secret is a string that formatting, logging and encoding show as "***". Convert it with
// string(s) where the value is needed.
type Secret string

const hidden = "***"

func (Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(hidden)) }
func (Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
