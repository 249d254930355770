package minio

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// How long keys of a file are used before the file is read again: files that a secret manager
// writes change while a worker runs.
const rereadAfter = time.Minute

// keysTimeout limits the search for keys, which asks addresses that exist in a cloud alone.
const keysTimeout = 10 * time.Second

// keys are where the keys come from. It reads them once, so that missing ones are an error
// here and not a request without a login.
func (c Config) keys(ctx context.Context) (*credentials.Credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	var from *credentials.Credentials
	var missing string
	switch {
	case c.AccessKey != "":
		return credentials.NewStaticV4(string(c.AccessKey), string(c.SecretKey), string(c.SessionToken)), nil
	case c.KeysFile != "":
		from = credentials.New(&fileKeys{FileAWSCredentials: credentials.FileAWSCredentials{Filename: c.KeysFile}})
		missing = fmt.Sprintf("the keys file %s has no aws_access_key_id and aws_secret_access_key in the profile of "+
			"AWS_PROFILE, or else in [default]", c.KeysFile)
		if _, err := os.Stat(c.KeysFile); err != nil {
			return nil, fmt.Errorf("the keys file: %w", err)
		}
	default:
		from = credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		})
		missing = "no keys in the cloud's places: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, " +
			"the role of this pod, container or machine"
	}
	found, err := from.GetWithContext(&credentials.CredContext{Client: http.DefaultClient, Context: ctx})
	if err != nil || found.AccessKeyID == "" || found.SecretAccessKey == "" {
		// The library's error is left out: it may show a line of the file.
		return nil, errors.New(missing)
	}
	return from, nil
}

// fileKeys are the keys of a file in the format of AWS, read again from time to time.
type fileKeys struct {
	credentials.FileAWSCredentials
	read time.Time
}

func (f *fileKeys) RetrieveWithCredContext(c *credentials.CredContext) (credentials.Value, error) {
	f.read = time.Now()
	return f.FileAWSCredentials.RetrieveWithCredContext(c)
}

func (f *fileKeys) IsExpired() bool {
	return f.FileAWSCredentials.IsExpired() || time.Since(f.read) > rereadAfter
}

// trust makes a transport accept servers of the authority in a PEM file, and those that the
// system trusts.
func trust(t *http.Transport, file string) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("the authority of the store: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("the authority of the store: %s holds no certificate in PEM format", file)
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.RootCAs = pool
	return nil
}
