package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"itool/broker"
	"itool/ops/config"
	"itool/ops/site"
)

// connection are the flags that say where broker and store are and how to log in. A setting
// comes from its flag, else from the environment, else from the file of --connection, where it
// has the name after json. A setting that holds a secret has no flag: other users of the machine
// can read command lines.
type connection struct {
	Broker         string `json:"broker" aliases:"nats" env:"ITOOL_BROKER" placeholder:"URL" help:"${target_broker}"`
	Creds          string `json:"creds" env:"ITOOL_NATS_CREDS" placeholder:"FILE" help:"${target_creds}"`
	NKey           string `json:"nkey" name:"nkey" env:"ITOOL_NATS_NKEY" placeholder:"FILE" help:"${target_nkey}"`
	User           string `json:"user" env:"ITOOL_NATS_USER" help:"${target_user}"`
	PasswordFile   string `json:"password_file" env:"ITOOL_NATS_PASSWORD_FILE" placeholder:"FILE" help:"${target_pass}"`
	CA             string `json:"ca" name:"ca" env:"ITOOL_NATS_CA" placeholder:"FILE" help:"${target_ca}"`
	Cert           string `json:"cert" env:"ITOOL_NATS_CERT" placeholder:"FILE" help:"${target_cert}"`
	Key            string `json:"key" env:"ITOOL_NATS_KEY" placeholder:"FILE" help:"${target_key}"`
	Inbox          string `json:"inbox" env:"ITOOL_NATS_INBOX" placeholder:"NAME" help:"${target_inbox}"`
	StreamReplicas int    `json:"stream_replicas" env:"ITOOL_STREAM_REPLICAS" placeholder:"N" help:"${target_copies}"`

	Store string `json:"store" env:"ITOOL_STORE" placeholder:"STORE" help:"${target_store}"`
	storeLogin

	Connection string `json:"-" env:"ITOOL_CONNECTION" placeholder:"FILE" help:"${target_connection}"`
}

// storeLogin are the flags that say how to log in at a store.
type storeLogin struct {
	StoreKeys string `json:"store_keys" env:"ITOOL_STORE_KEYS" placeholder:"KEYS" help:"${target_keys}"`
	StoreCA   string `json:"store_ca" name:"store-ca" env:"ITOOL_STORE_CA" placeholder:"FILE" help:"${target_storeca}"`
}

func (l storeLogin) site() site.StoreLogin { return site.StoreLogin{Keys: l.StoreKeys, CA: l.StoreCA} }

// site completes the flags by the file and reads the secrets.
func (c connection) site() (site.Connection, error) {
	c, err := c.complete()
	if err != nil {
		return site.Connection{}, err
	}
	if c.StreamReplicas < 0 {
		return site.Connection{}, coded(exitUsage, "--stream-replicas %d is below 1", c.StreamReplicas)
	}
	password, err := c.password()
	if err != nil {
		return site.Connection{}, err
	}
	if (c.User == "") != (password == "") {
		return site.Connection{}, coded(exitUsage, "a user of the broker needs a password, and a password its user: "+
			"--user, and ITOOL_NATS_PASSWORD in the environment or --password-file")
	}
	return site.Connection{
		Broker: c.Broker, Token: os.Getenv("ITOOL_NATS_TOKEN"), User: c.User, Password: password,
		Creds: c.Creds, NKey: c.NKey, CA: c.CA, Cert: c.Cert, Key: c.Key,
		Inbox: c.Inbox, Replicas: c.StreamReplicas, Store: c.Store, StoreLogin: c.storeLogin.site(),
	}, nil
}

// complete takes the settings from the file that neither a flag nor the environment gives.
func (c connection) complete() (connection, error) {
	if c.Connection == "" {
		return c, nil
	}
	var file connection
	if err := config.Read(c.Connection, &file); err != nil {
		return c, coded(exitUsage, "--connection: %w", err)
	}
	file.relativeTo(filepath.Dir(c.Connection))
	fill(reflect.ValueOf(&c).Elem(), reflect.ValueOf(file))
	return c, nil
}

// relativeTo makes the paths of a file start in the folder of that file.
func (c *connection) relativeTo(dir string) {
	for _, p := range []*string{
		&c.Creds, &c.NKey, &c.PasswordFile, &c.CA, &c.Cert, &c.Key, &c.StoreKeys, &c.StoreCA,
	} {
		if *p != "" && *p != site.Cloud && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if path, ok := strings.CutPrefix(c.Store, "disk:"); ok && !filepath.IsAbs(path) {
		c.Store = "disk:" + filepath.Join(dir, path)
	}
}

// fill sets the fields of a struct that are zero to those of another one of its type.
func fill(into, from reflect.Value) {
	for i := range into.NumField() {
		switch f := into.Field(i); {
		case f.Kind() == reflect.Struct:
			fill(f, from.Field(i))
		case f.IsZero():
			f.Set(from.Field(i))
		}
	}
}

// maxPassword is far more than a password has: another file was named by mistake.
const maxPassword = 4 << 10

// password reads the password from the environment or from its file.
func (c connection) password() (string, error) {
	password := os.Getenv("ITOOL_NATS_PASSWORD")
	if c.PasswordFile == "" {
		return password, nil
	}
	if password != "" {
		return "", coded(exitUsage, "ITOOL_NATS_PASSWORD is set, and a password file is given, too: keep one of them")
	}
	info, err := os.Stat(c.PasswordFile)
	if err == nil && info.Size() > maxPassword {
		err = fmt.Errorf("it has %d bytes, a password file has one line", info.Size())
	}
	if err != nil {
		return "", coded(exitUsage, "--password-file %s: %w", c.PasswordFile, err)
	}
	text, err := os.ReadFile(c.PasswordFile)
	if password = strings.TrimRight(string(text), "\r\n"); err == nil && password == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", coded(exitUsage, "--password-file %s: %w", c.PasswordFile, err)
	}
	return password, nil
}

// flags are those that reach the same place again; the environment needs none.
func (c connection) flags() string {
	out := ""
	kind, value := reflect.TypeFor[connection](), reflect.ValueOf(c)
	for _, f := range reflect.VisibleFields(kind) {
		text := fmt.Sprint(value.FieldByIndex(f.Index))
		env, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		if f.Anonymous || env == "" || value.FieldByIndex(f.Index).IsZero() || text == os.Getenv(env) {
			continue
		}
		out += " --" + flagName(f) + " " + broker.Redact(text)
	}
	return out
}

// flagName is the name that the command line gives a field.
func flagName(f reflect.StructField) string {
	if name := f.Tag.Get("name"); name != "" {
		return name
	}
	var name strings.Builder
	for i, r := range f.Name {
		if r >= 'A' && r <= 'Z' && i > 0 {
			name.WriteByte('-')
		}
		name.WriteRune(r)
	}
	return strings.ToLower(name.String())
}
