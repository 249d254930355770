package sim

import (
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// The methods of the broker that compare prices.

func (b *broker) filter(a []Value) (Value, error) {
	symbols, err := python.Iterate(a[0])
	if err != nil {
		return nil, err
	}
	kept := &python.List{}
	for _, symbol := range symbols {
		price, err := b.price(symbol)
		if err != nil {
			return nil, err
		}
		enough, err := python.Compare(">=", price, a[1])
		if err != nil {
			return nil, err
		}
		if !enough {
			continue
		}
		cheap, err := python.Compare("<=", price, a[2])
		if err != nil {
			return nil, err
		}
		if cheap {
			kept.Items = append(kept.Items, symbol)
		}
	}
	return python.Record("filtered_stocks", kept), nil
}

// price of an unknown stock is 0.
func (b *broker) price(symbol Value) (Value, error) {
	if _, err := b.stocks.Has(symbol); err != nil {
		return nil, err
	}
	v, _ := b.stocks.Get(symbol)
	stock, ok := v.(*python.Dict)
	if !ok {
		return python.Int(0), nil
	}
	if price, ok := stock.Get("price"); ok {
		return price, nil
	}
	return python.Int(0), nil
}

func (b *broker) notify(a []Value) (Value, error) {
	symbols, err := python.Iterate(a[0])
	if err != nil {
		return nil, err
	}
	var moved []string
	for _, symbol := range symbols {
		known, err := b.stocks.Has(symbol)
		if err != nil {
			return nil, err
		}
		if !known {
			continue
		}
		stock, _ := b.stocks.Get(symbol)
		change, err := index(stock, "percent_change")
		if err != nil {
			return nil, err
		}
		f, err := python.Float(change)
		if err != nil {
			return nil, err
		}
		large, err := python.Compare(">=", max(f, -f), a[1])
		if err != nil {
			return nil, err
		}
		if large {
			name, err := python.Str(symbol)
			if err != nil {
				return nil, err
			}
			moved = append(moved, name)
		}
	}
	if len(moved) == 0 {
		return python.Record("notification", "No significant price changes in the selected stocks."), nil
	}
	return note("notification", "Stocks {} have significant price changes.", strings.Join(moved, ", "))
}
