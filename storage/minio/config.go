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
	Endpoint  string // host:port, without a scheme
	Bucket    string
	Create    bool   // create the bucket if it does not exist; without it a missing bucket is an error
	Prefix    string // put before every key, such as "team-a/itool"; may be empty; at most 256 bytes
	Region    string // if it is empty, the server is asked
	Secure    bool   // TLS
	AccessKey Secret
	SecretKey Secret
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
	case c.AccessKey == "" || c.SecretKey == "":
		return errors.New("access key or secret key is empty")
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

// Secret is a string that formatting, logging and encoding show as "***". Convert it with
// string(s) where the value is needed.
type Secret string

const hidden = "***"

func (Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(hidden)) }
func (Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
