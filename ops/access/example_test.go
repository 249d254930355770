package access_test

import (
	"fmt"

	"itool/ops/access"
	"itool/ops/line"
)

// Each stage, and the people around the stages, have a user of the broker and a policy of the store.
func Example() {
	roles := access.Roles(line.Rows(nil))
	for _, role := range roles {
		if _, err := access.S3(role, "itool", "team-a"); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(roles[0].Name, "takes its password from", access.PasswordVariable(roles[0].Name))
	fmt.Println(len(access.NATS(roles)) > 0) // auth.conf of the broker
	// Output:
	// split takes its password from ITOOL_NATS_PASSWORD_SPLIT
	// true
}
