package apibank

import (
	"errors"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// Errors of accounts.
var (
	errNoUser   = errors.New("the username does not exist")
	errPassword = errors.New("the password is incorrect")
)

func checkToken(q *request) (python.Value, error) {
	user, err := q.user()
	if err != nil {
		return nil, err
	}
	return python.Record("username", user), nil
}

func deleteAccount(q *request) (python.Value, error) {
	if _, err := q.user(); err != nil {
		return nil, err
	}
	return python.Record("status", success), nil
}

func modifyPassword(q *request) (python.Value, error) {
	user, err := q.user()
	if err != nil {
		return nil, err
	}
	if account, _ := entry(q.accounts, user); text(account, "password") != q.text("old_password") {
		return nil, errPassword
	}
	return python.Record("status", success), nil
}

func userToken(q *request) (python.Value, error) {
	account, ok := entry(q.accounts, q.text("username"))
	if !ok {
		return nil, errNoUser
	}
	if text(account, "password") != q.text("password") {
		return nil, errPassword
	}
	token, _ := entry(account, "token")
	return python.Record("token", token), nil
}

// registerUser returns a token that no account has; the original draws one.
func registerUser(q *request) (python.Value, error) {
	if _, ok := entry(q.accounts, q.text("username")); ok {
		return nil, errors.New("the username exists already")
	}
	return python.Record("token", "a new token"), nil
}

// verification is the code that the original sends to everybody.
const verification = 970420

// forgotPassword takes two calls; here the second never follows the first.
func forgotPassword() *api {
	a := on("Account", "status username? email? verification_code?:int new_password?", forgot, whole)
	a.open = true
	return a
}

func forgot(q *request) (python.Value, error) {
	switch q.text("status") {
	case "Forgot Password":
	case "Verification Code":
		return nil, errors.New("no verification code was asked for")
	default:
		return nil, errors.New("there is no such status")
	}
	_, named := q.args["username"]
	if _, mailed := q.args["email"]; !named || !mailed {
		return nil, errors.New("username and email are needed")
	}
	account, ok := entry(q.accounts, q.text("username"))
	if !ok {
		return nil, errNoUser
	}
	if text(account, "email") != q.text("email") {
		return nil, errors.New("the email is incorrect")
	}
	return python.Int(verification), nil
}

func balance(q *request) (python.Value, error) {
	user, err := q.user()
	if err != nil {
		return nil, err
	}
	account, ok := entry(q.db, user)
	if !ok {
		return nil, errors.New("the user has no bank account")
	}
	v, _ := entry(account, "balance")
	return v, nil
}

// openAccount knows one account.
func openAccount(q *request) (python.Value, error) {
	if q.text("account") == "test" {
		return "failed", nil
	}
	return success, nil
}
