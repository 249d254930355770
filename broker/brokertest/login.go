package brokertest

import (
	"fmt"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// NKeyLogin makes a key pair of a user: the server's configuration with its public half (the
// part that says who may connect), and the seed, which is the secret content of a client's file.
func NKeyLogin(t testing.TB) (auth string, seed []byte) {
	t.Helper()
	_, public, seed := pair(t, nkeys.CreateUser)
	auth = fmt.Sprintf("accounts { ITOOL { jetstream: enabled, users: [ { nkey: %s } ] } }\n", public)
	return auth, seed
}

// JWTLogin makes an operator, an account with JetStream, and a user of it: the server's
// configuration with the first two, and the content of the user's .creds file.
func JWTLogin(t testing.TB) (auth string, creds []byte) {
	t.Helper()
	operator, operatorID, _ := pair(t, nkeys.CreateOperator)
	_, systemID, _ := pair(t, nkeys.CreateAccount)
	account, accountID, _ := pair(t, nkeys.CreateAccount)
	_, userID, userSeed := pair(t, nkeys.CreateUser)

	o := jwt.NewOperatorClaims(operatorID)
	o.SystemAccount = systemID
	s := jwt.NewAccountClaims(systemID)
	a := jwt.NewAccountClaims(accountID)
	a.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	userJWT := encode(t, jwt.NewUserClaims(userID), account)
	creds, err := jwt.FormatUserConfig(userJWT, userSeed)
	if err != nil {
		t.Fatal(err)
	}
	auth = fmt.Sprintf("operator: %s\nresolver: MEMORY\nresolver_preload: {\n  %s: %s\n  %s: %s\n}\n",
		encode(t, o, operator), systemID, encode(t, s, operator), accountID, encode(t, a, operator))
	return auth, creds
}

func pair(t testing.TB, create func() (nkeys.KeyPair, error)) (key nkeys.KeyPair, public string, seed []byte) {
	t.Helper()
	key, err := create()
	if err == nil {
		public, err = key.PublicKey()
	}
	if err == nil {
		seed, err = key.Seed()
	}
	if err != nil {
		t.Fatal(err)
	}
	return key, public, seed
}

func encode(t testing.TB, c jwt.Claims, key nkeys.KeyPair) string {
	t.Helper()
	text, err := c.Encode(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
