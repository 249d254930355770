package sim

import (
	"time"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// The methods of the broker that move money and prices, and that show the history.

const stamp = "2006-01-02 15:04:05"

// record appends a transaction at a random time of the day.
func (b *broker) record(kind string, amount Value) error {
	seconds := b.random.Between(0, 24*60*60).Int64()
	return push(b.history, python.Record("type", kind, "amount", amount,
		"timestamp", brokerNow.Add(time.Duration(seconds)*time.Second).Format(stamp)))
}

// move adds an amount to the balance, or takes it off.
func (b *broker) move(op func(a, b Value) (Value, error), amount Value) (Value, error) {
	balance, err := index(b.account, "balance")
	if err != nil {
		return nil, err
	}
	if balance, err = op(balance, amount); err != nil {
		return nil, err
	}
	return balance, store(b.account, "balance", balance)
}

func (b *broker) transact(a []Value) (Value, error) {
	account, kind, amount := a[0], a[1], a[2]
	if b.out() {
		return fail(logIn + "make a transaction.")
	}
	if !python.Equal(b.market, "Open") {
		return fail("Market is closed. Transactions are not allowed.")
	}
	own, err := index(b.account, "account_id")
	if err != nil {
		return nil, err
	}
	if !python.Equal(own, account) {
		return fail("Account with ID {} not found.", account)
	}
	bad, err := python.Compare("<=", amount, python.Int(0))
	if err != nil {
		return nil, err
	}
	if bad {
		return fail("Transaction amount must be positive.")
	}
	switch kind {
	case "deposit":
		return b.moved(python.Add, "deposit", amount, "Deposit successful")
	case "withdrawal":
		balance, err := index(b.account, "balance")
		if err != nil {
			return nil, err
		}
		short, err := python.Compare(">", amount, balance)
		if err != nil {
			return nil, err
		}
		if short {
			return fail("Insufficient funds for withdrawal.")
		}
		return b.moved(python.Sub, "withdrawal", amount, "Withdrawal successful")
	}
	return fail("Invalid transaction type. Use 'deposit' or 'withdrawal'.")
}

func (b *broker) moved(
	op func(a, b Value) (Value, error), kind string, amount Value, status string,
) (Value, error) {
	balance, err := b.move(op, amount)
	if err != nil {
		return nil, err
	}
	if err := b.record(kind, amount); err != nil {
		return nil, err
	}
	return python.Record("status", status, "new_balance", balance), nil
}

func (b *broker) fund(a []Value) (Value, error) {
	if b.out() {
		return fail(logIn + "fund the account.")
	}
	bad, err := python.Compare("<=", a[0], python.Int(0))
	if err != nil {
		return nil, err
	}
	if bad {
		return fail("Funding amount must be positive.")
	}
	return b.moved(python.Add, "deposit", a[0], "Account funded successfully")
}

func (b *broker) unwatch(a []Value) (Value, error) {
	if b.out() {
		return fail(logIn + "modify the watchlist.")
	}
	there, err := contains(b.watch, a[0])
	if err != nil {
		return nil, err
	}
	if !there {
		return fail("Stock {} not found in watchlist.", a[0])
	}
	remove(b.watch, a[0])
	return note("status", "Stock {} removed from watchlist successfully.", a[0])
}

func (b *broker) watchList([]Value) (Value, error) {
	if b.out() {
		return python.NewList("Error: " + logIn + "view the watchlist."), nil
	}
	if b.ext == nil {
		return python.Record("watchlist", b.watch), nil
	}
	own, err := python.Iterate(b.watch)
	if err != nil {
		return nil, err
	}
	long := python.NewList(own...)
	long.Items = append(long.Items[:len(own):len(own)], b.ext.list("WATCH_LIST_EXTENSION").Items...)
	return long, nil
}

func (b *broker) addToWatch(a []Value) (Value, error) {
	known, err := b.stocks.Has(a[0])
	if err != nil {
		return nil, err
	}
	watched, err := contains(b.watch, a[0])
	if err != nil {
		return nil, err
	}
	if known && !watched {
		err = push(b.watch, a[0])
	}
	return python.Record("symbol", b.watch), err
}

func (b *broker) orderHistory([]Value) (Value, error) {
	if b.out() {
		return python.NewList(python.Record("error", logIn+"view order history.")), nil
	}
	return python.Record("history", python.NewList(b.orders.Keys()...)), nil
}

func (b *broker) transactions(a []Value) (Value, error) {
	if b.out() {
		return python.NewList(python.Record("error", logIn+"view transaction history.")), nil
	}
	var bounds [2]*time.Time
	for i, v := range a {
		if !python.Truthy(v) {
			continue
		}
		t, err := python.Time(v, "%Y-%m-%d")
		if err != nil {
			return nil, err
		}
		bounds[i] = &t
	}
	items, err := python.Iterate(b.history)
	if err != nil {
		return nil, err
	}
	kept := &python.List{}
	for _, item := range items {
		inside, err := between(item, bounds[0], bounds[1])
		if err != nil {
			return nil, err
		}
		if inside {
			kept.Items = append(kept.Items, item)
		}
	}
	if b.ext != nil {
		kept.Items = append(kept.Items, b.ext.list("TRANSACTION_HISTORY_EXTENSION").Items...)
	}
	return python.Record("transaction_history", kept), nil
}

// between reports whether a transaction is neither before start nor after end.
func between(transaction Value, start, end *time.Time) (bool, error) {
	v, err := index(transaction, "timestamp")
	if err != nil {
		return false, err
	}
	t, err := python.Time(v, "%Y-%m-%d %H:%M:%S")
	if err != nil {
		return false, err
	}
	return (start == nil || !t.Before(*start)) && (end == nil || !t.After(*end)), nil
}

func (b *broker) updatePrice(a []Value) (Value, error) {
	symbol, price := a[0], a[1]
	known, err := b.stocks.Has(symbol)
	if err != nil {
		return nil, err
	}
	if !known {
		return fail("Stock with symbol '{}' not found.", symbol)
	}
	bad, err := python.Compare("<=", price, python.Int(0))
	if err != nil {
		return nil, err
	}
	if bad {
		return fail("New price must be a positive value.")
	}
	stock, _ := b.stocks.Get(symbol)
	old, err := index(stock, "price")
	if err != nil {
		return nil, err
	}
	if err := store(stock, "price", price); err != nil {
		return nil, err
	}
	change, err := percentChange(old, price)
	if err != nil {
		return nil, err
	}
	if err := store(stock, "percent_change", change); err != nil {
		return nil, err
	}
	return python.Record("symbol", symbol, "old_price", old, "new_price", price), nil
}

// percentChange is (price - old) / old * 100.
func percentChange(old, price Value) (Value, error) {
	change, err := python.Sub(price, old)
	if err != nil {
		return nil, err
	}
	if change, err = python.Div(change, old); err != nil {
		return nil, err
	}
	return python.Mul(change, python.Int(100))
}
