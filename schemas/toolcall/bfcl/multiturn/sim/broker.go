package sim

import (
	"strings"
	"time"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// broker is TradingBot: an account, orders, a watch list and the prices of stocks.
type broker struct {
	orders        *python.Dict // {id: order}
	account       Value
	authenticated Value
	market        Value // "Open" or "Closed"
	counter       Value // of orders
	stocks        *python.Dict
	watch         Value
	history       Value // of transactions

	random *python.Random
	ext    *Extension
}

const brokerSeed = 1053520

// brokerNow is the time that never passes.
var brokerNow = time.Date(2024, 9, 1, 10, 30, 0, 0, time.UTC)

func newBroker(s state, ext *Extension) (*broker, error) {
	b := &broker{random: python.NewRandom(brokerSeed), ext: ext, orders: python.NewDict()}
	orders := defaultOrders()
	if _, ok := s.Get("orders"); ok {
		var err error
		if orders, err = s.dict("orders"); err != nil {
			return nil, err
		}
	}
	for _, key := range orders.Keys() {
		v, _ := orders.Get(key)
		if err := b.orders.Set(number(key), v); err != nil {
			return nil, err
		}
	}
	b.account = s.or("account_info", python.Record(
		"account_id", 12345, "balance", 10000., "binding_card", python.Int(1974202140965533)))
	b.authenticated = s.or("authenticated", false)
	b.market = s.or("market_status", "Closed")
	b.counter = s.or("order_counter", python.Int(12446))
	b.watch = s.or("watch_list", python.NewList("NVDA"))
	b.history = s.or("transaction_history", &python.List{})
	b.stocks = defaultStocks()
	if _, ok := s.Get("stocks"); ok {
		var err error
		if b.stocks, err = s.dict("stocks"); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func defaultOrders() *python.Dict {
	return python.Record(
		"12345", python.Record("id", 12345, "order_type", "Buy", "symbol", "AAPL", "price", 210.65,
			"amount", 10, "status", "Completed"),
		"12446", python.Record("id", 12446, "order_type", "Sell", "symbol", "GOOG", "price", 2840.56,
			"amount", 5, "status", "Pending"))
}

func defaultStocks() *python.Dict {
	stocks := python.NewDict()
	for _, s := range []struct {
		symbol                           string
		price, change, volume, ma5, ma20 float64
	}{
		{"AAPL", 227.16, 0.17, 2.552, 227.11, 227.09}, {"GOOG", 2840.34, 0.24, 1.123, 2835.67, 2842.15},
		{"TSLA", 667.92, -0.12, 1.654, 671.15, 668.2}, {"MSFT", 310.23, 0.09, 3.234, 309.88, 310.11},
		{"NVDA", 220.34, 0.34, 1.234, 220.45, 220.67}, {"ALPH", 1320.45, -0.08, 1.567, 1321.12, 1325.78},
		{"OMEG", 457.23, 0.12, 2.345, 456.78, 458.12}, {"QUAS", 725.89, -0.03, 1.789, 726.45, 728.0},
		{"NEPT", 88.34, 0.19, 0.654, 88.21, 88.67}, {"SYNX", 345.67, 0.11, 2.112, 345.34, 346.12},
		{"ZETA", 22.09, -0.05, 0.789, 22.12, 22.34},
	} {
		_ = stocks.Set(s.symbol, python.Record("price", s.price, "percent_change", s.change,
			"volume", s.volume, "MA(5)", s.ma5, "MA(20)", s.ma20))
	}
	return stocks
}

var symbols = map[string]string{
	"Apple": "AAPL", "Google": "GOOG", "Tesla": "TSLA", "Microsoft": "MSFT", "Nvidia": "NVDA",
	"Zeta Corp": "ZETA", "Alpha Tech": "ALPH", "Omega Industries": "OMEG", "Quasar Ltd.": "QUAS",
	"Neptune Systems": "NEPT", "Synex Solutions": "SYNX", "Amazon": "AMZN",
}

func (b *broker) attributes() []Attribute {
	return []Attribute{
		{"orders", b.orders}, {"account_info", b.account}, {"authenticated", b.authenticated},
		{"market_status", b.market}, {"order_counter", b.counter}, {"stocks", b.stocks},
		{"watch_list", b.watch}, {"transaction_history", b.history}, {"long_context", b.ext != nil},
	}
}

func (b *broker) methods() map[string]method {
	dates := or(or(nil, "start_date", nil), "end_date", nil)
	return map[string]method{
		"get_current_time":            {nil, b.currentTime},
		"update_market_status":        {need("current_time_str"), b.updateMarket},
		"get_symbol_by_name":          {need("name"), b.symbolOf},
		"get_stock_info":              {need("symbol"), b.stockInfo},
		"get_order_details":           {need("order_id"), b.orderDetails},
		"cancel_order":                {need("order_id"), b.cancel},
		"place_order":                 {need("order_type", "symbol", "price", "amount"), b.place},
		"make_transaction":            {need("account_id", "xact_type", "amount"), b.transact},
		"get_account_info":            {nil, b.accountInfo},
		"trading_login":               {need("username", "password"), b.login},
		"trading_get_login_status":    {nil, b.loginStatus},
		"trading_logout":              {nil, b.logout},
		"fund_account":                {need("amount"), b.fund},
		"remove_stock_from_watchlist": {need("symbol"), b.unwatch},
		"get_watchlist":               {nil, b.watchList},
		"get_order_history":           {nil, b.orderHistory},
		"get_transaction_history":     {dates, b.transactions},
		"update_stock_price":          {need("symbol", "new_price"), b.updatePrice},
		"get_available_stocks":        {need("sector"), b.available},
		"filter_stocks_by_price":      {need("stocks", "min_price", "max_price"), b.filter},
		"add_to_watchlist":            {need("stock"), b.addToWatch},
		"notify_price_change":         {need("stocks", "threshold"), b.notify},
	}
}

func (b *broker) out() bool { return !python.Truthy(b.authenticated) }

const logIn = "User not authenticated. Please log in to "

func (b *broker) currentTime([]Value) (Value, error) {
	return python.Record("current_time", brokerNow.Format("03:04 PM")), nil
}

func (b *broker) updateMarket(a []Value) (Value, error) {
	t, err := python.Time(a[0], "%I:%M %p")
	if err != nil {
		return nil, err
	}
	b.market = "Closed"
	if minute := t.Hour()*60 + t.Minute(); minute >= 9*60+30 && minute <= 16*60 {
		b.market = "Open"
	}
	return python.Record("status", b.market), nil
}

func (b *broker) symbolOf(a []Value) (Value, error) {
	if err := hashable(a[0]); err != nil {
		return nil, err
	}
	name, _ := a[0].(string)
	if symbol, ok := symbols[name]; ok {
		return python.Record("symbol", symbol), nil
	}
	return python.Record("symbol", "Stock not found"), nil
}

func (b *broker) stockInfo(a []Value) (Value, error) {
	known, err := b.stocks.Has(a[0])
	if err != nil {
		return nil, err
	}
	if !known {
		return fail("Stock with symbol '{}' not found.", a[0])
	}
	v, _ := b.stocks.Get(a[0])
	stock, ok := v.(*python.Dict)
	if b.ext == nil || !ok {
		return v, nil
	}
	long := stock.Shallow()
	_ = long.Set("MA(5)", b.ext.list("MA_5_EXTENSION"))
	_ = long.Set("MA(20)", b.ext.list("MA_20_EXTENSION"))
	return long, nil
}

// order is run for an order that exists; list is what the error adds.
func (b *broker) order(id Value, list bool, run func(order Value) (Value, error)) (Value, error) {
	known, err := b.orders.Has(id)
	if err != nil {
		return nil, err
	}
	if known {
		v, _ := b.orders.Get(id)
		return run(v)
	}
	if !list {
		return fail("Order with ID {} not found.", id)
	}
	return fail("Order with ID {} not found.Here is the list of orders_id: {}", id, python.NewList(b.orders.Keys()...))
}

func (b *broker) orderDetails(a []Value) (Value, error) {
	return b.order(a[0], true, func(v Value) (Value, error) {
		order, ok := v.(*python.Dict)
		if b.ext == nil || !ok {
			return v, nil
		}
		symbol, err := order.Index("symbol")
		if err != nil {
			return nil, err
		}
		text, err := python.Str(symbol)
		if err != nil {
			return nil, err
		}
		long := order.Shallow()
		_ = long.Set("metadata", filled(b.ext.dict("ORDER_DETAIL_EXTENSION"), text))
		return long, nil
	})
}

// filled replaces {symbol} in all texts of v.
func filled(v Value, symbol string) Value {
	switch x := v.(type) {
	case string:
		return strings.ReplaceAll(x, "{symbol}", symbol)
	case *python.List:
		list := &python.List{}
		for _, item := range x.Items {
			list.Items = append(list.Items, filled(item, symbol))
		}
		return list
	case *python.Dict:
		d := python.NewDict()
		for _, key := range x.Keys() {
			inner, _ := x.Get(key)
			_ = d.Set(key, filled(inner, symbol))
		}
		return d
	}
	return v
}

func (b *broker) cancel(a []Value) (Value, error) {
	return b.order(a[0], false, func(order Value) (Value, error) {
		status, err := index(order, "status")
		if err != nil {
			return nil, err
		}
		if status == "Completed" {
			return fail("Can't cancel order {}. Order is already completed.", a[0])
		}
		if err := store(order, "status", "Cancelled"); err != nil {
			return nil, err
		}
		return python.Record("order_id", a[0], "status", "Cancelled"), nil
	})
}

func (b *broker) place(a []Value) (Value, error) {
	kind, symbol, price, amount := a[0], a[1], a[2], a[3]
	if b.out() {
		return fail(logIn + "place an order.")
	}
	known, err := b.stocks.Has(symbol)
	if err != nil {
		return nil, err
	}
	if !known {
		return fail("Invalid stock symbol: {}", symbol)
	}
	for _, v := range []Value{price, amount} {
		bad, err := python.Compare("<=", v, python.Int(0))
		if err != nil {
			return nil, err
		}
		if bad {
			return fail("Price and amount must be positive values.")
		}
	}
	exact, err := python.ToFloat(price)
	if err != nil {
		return nil, err
	}
	id := b.counter
	err = b.orders.Set(id, python.Record("id", id, "order_type", kind, "symbol", symbol, "price", exact,
		"amount", amount, "status", "Open"))
	if err != nil {
		return nil, err
	}
	if b.counter, err = increment(b.counter); err != nil {
		return nil, err
	}
	return python.Record("order_id", id, "order_type", kind, "status", "Pending", "price", exact, "amount", amount), nil
}

func (b *broker) accountInfo([]Value) (Value, error) {
	if b.out() {
		return fail(logIn + "view account information.")
	}
	return b.account, nil
}

func (b *broker) login([]Value) (Value, error) {
	if !b.out() {
		return python.Record("status", "Already logged in"), nil
	}
	b.authenticated = true
	return python.Record("status", "Logged in successfully"), nil
}

func (b *broker) loginStatus([]Value) (Value, error) { return python.Record("status", !b.out()), nil }

func (b *broker) logout([]Value) (Value, error) {
	if b.out() {
		return python.Record("status", "No user is currently logged in"), nil
	}
	b.authenticated = false
	return python.Record("status", "Logged out successfully"), nil
}

func (b *broker) available(a []Value) (Value, error) {
	if err := hashable(a[0]); err != nil {
		return nil, err
	}
	list := &python.List{}
	switch a[0] {
	case "Technology":
		list = python.NewList("AAPL", "GOOG", "MSFT", "NVDA")
		if b.ext != nil {
			list.Items = append(list.Items, b.ext.list("TECHNOLOGY_EXTENSION").Items...)
		}
	case "Automobile":
		list = python.NewList("TSLA", "F", "GM")
		if b.ext != nil {
			list.Items = append(list.Items, b.ext.list("AUTOMOBILE_EXTENSION").Items...)
		}
	}
	return python.Record("stock_list", list), nil
}
