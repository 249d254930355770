package broker

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// login is the part of an address that says who logs in. It may hold an @ of its own.
var login = regexp.MustCompile(`://[^\s"',]*@`)

// Redact hides names, passwords and tokens in all addresses of a text: nats://***@host:4222.
func Redact(text string) string { return login.ReplaceAllString(text, "://***@") }

// redactURLs checks the addresses of a server and hides in them what errors and logs must not show.
func redactURLs(urls string) (string, error) {
	var list []string
	for text := range strings.SplitSeq(urls, ",") {
		text = strings.TrimSpace(text)
		if text != "" && !strings.Contains(text, "://") {
			text = "nats://" + text // as the client does
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" { // the address is not shown: who knows where its password is
			return "", errors.New("the broker's URL is invalid: want nats://host:4222, or several with commas between")
		}
		list = append(list, Redact(text))
	}
	return strings.Join(list, ","), nil
}
