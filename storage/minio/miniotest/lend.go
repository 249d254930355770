// Package miniotest makes temporary keys of a MinIO with restricted rights, for tests.
package miniotest

import (
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Keys are lent for an hour.
type Keys struct{ Access, Secret, Session string }

// Lend asks the MinIO at endpoint, host:port without TLS, for keys that may do only what policy
// allows: a policy as JSON, at most 2,048 characters.
func Lend(t testing.TB, endpoint, access, secret, policy string) Keys {
	t.Helper()
	lent, err := credentials.NewSTSAssumeRole("http://"+endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: access, SecretKey: secret, Policy: policy, DurationSeconds: 3600,
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := lent.GetWithContext(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Keys{v.AccessKeyID, v.SecretAccessKey, v.SessionToken}
}
