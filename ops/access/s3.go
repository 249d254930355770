package access

import (
	"encoding/json"
	"errors"
	"strings"

	"itool/storage"
)

// S3 is the policy of a role for the objects of a bucket whose keys begin with prefix/, as MinIO
// and Amazon S3 read it. Every role may read the store's identity and list keys: they hold
// digests and names of stages and runs, no data.
func S3(r Role, bucket, prefix string) ([]byte, error) {
	if bucket == "" || strings.ContainsAny(bucket+prefix, "*?$\"") {
		return nil, errors.New("a policy needs the name of a bucket, and neither it nor the prefix may have *, ?, $ " +
			"or quotes")
	}
	const arn = "arn:aws:s3:::"
	at := arn + bucket + "/"
	if prefix != "" {
		at += strings.Trim(prefix, "/") + "/"
	}
	objects := func(actions []string, patterns ...string) statement {
		s := statement{Effect: "Allow", Action: actions}
		for _, p := range patterns {
			s.Resource = append(s.Resource, at+p)
		}
		return s
	}
	p := policy{Version: "2012-10-17", Statement: []statement{
		{"Allow", []string{"s3:GetBucketLocation", "s3:ListBucket"}, []string{arn + bucket}},
		objects([]string{"s3:GetObject"}, append([]string{storage.IdentityKey}, r.Store.Read...)...),
	}}
	if len(r.Store.Write) > 0 {
		p.Statement = append(p.Statement,
			objects([]string{"s3:PutObject", "s3:AbortMultipartUpload"}, r.Store.Write...),
			objects([]string{"s3:GetObject"}, r.Store.Write...)) // a writer compares what is there already with its own
	}
	if len(r.Store.Delete) > 0 {
		p.Statement = append(p.Statement, objects([]string{"s3:DeleteObject"}, r.Store.Delete...))
	}
	return json.MarshalIndent(p, "", "  ")
}

type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Effect   string
	Action   []string
	Resource []string
}
