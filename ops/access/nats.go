package access

import (
	"fmt"
	"strings"
)

// PasswordVariable names the environment variable of the nats-server that holds a role's password.
// The password must begin with a letter; otherwise the server parses it as a number.
func PasswordVariable(role string) string { return "ITOOL_NATS_PASSWORD_" + strings.ToUpper(role) }

// NATS is the accounts' part of a nats-server's configuration, in place of ops/deploy/nats/auth.conf:
// a user for each role, whose password is in the server's environment, and sys of the system account, for the operator.
func NATS(roles []Role) string {
	var b strings.Builder
	b.WriteString(`# Who may connect: a user for each stage and each kind of person, with the least subjects.
# Made by itool deploy-config; passwords are in the server's environment.
system_account: SYS

accounts {
  ITOOL {
    jetstream: enabled
    users: [
`)
	for _, r := range roles {
		p := r.Broker.Permissions()
		fmt.Fprintf(&b, "      { user: %s, password: $%s\n        permissions {\n", r.Name, PasswordVariable(r.Name))
		fmt.Fprintf(&b, "          publish {\n%s%s          }\n",
			subjects("allow", p.Publish.Allow), subjects("deny", p.Publish.Deny))
		fmt.Fprintf(&b, "          subscribe {\n%s%s          }\n",
			subjects("allow", p.Subscribe.Allow), subjects("deny", p.Subscribe.Deny))
		if p.Answer {
			b.WriteString("          allow_responses { max: 1, expires: \"10s\" }\n")
		}
		b.WriteString("        } }\n")
	}
	b.WriteString(`    ]
  }
  SYS {
    users: [ { user: sys, password: $NATS_SYS_PASSWORD } ]
  }
}
`)
	return b.String()
}

// subjects is a list of the configuration; "" if there are none.
func subjects(what string, all []string) string {
	if len(all) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "            %s: [\n", what)
	for _, s := range all {
		fmt.Fprintf(&b, "              %q\n", s)
	}
	b.WriteString("            ]\n")
	return b.String()
}
