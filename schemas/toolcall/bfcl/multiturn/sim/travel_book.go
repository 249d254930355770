package sim

import (
	"slices"
	"strings"
	"unicode"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// What flights cost, and the methods of travel that pay with a card. A method's arguments come in the order of
// travel.methods. What the original refuses is a result (refuse); what it raises is an error.

const noRoute = "No available route for the given airports."

// classFactors multiply the cost of a route.
var classFactors = map[string]int64{"economy": 1, "business": 2, "first": 5}

// cost is the base cost times the factor of the class, doubled if the digits of the date have
// an even sum.
func cost(base int64, date, class Value) (float64, error) {
	if err := hashable(class); err != nil {
		return 0, err
	}
	name, _ := class.(string)
	factor, ok := classFactors[name]
	if !ok {
		return 0, python.Exception("ValueError", "Invalid travel class. Options are: economy, business, first.")
	}
	even, err := evenDigits(date)
	if err != nil {
		return 0, err
	}
	if even {
		factor *= 2
	}
	return float64(base * factor), nil
}

// evenDigits reports whether the digits of a date have an even sum.
func evenDigits(date Value) (bool, error) {
	characters, err := python.Iterate(date)
	if err != nil {
		return false, err
	}
	sum := 0
	for _, c := range characters {
		text, ok := c.(string)
		if !ok {
			return false, noAttribute(c, "isdigit")
		}
		for _, r := range text {
			if unicode.IsDigit(r) && r < 0x80 {
				sum += int(r - '0')
			}
		}
	}
	return sum%2 == 0, nil
}

// routeCost is the cost of one flight; an error where there is no such route.
func routeCost(from, to, date, class Value) (float64, error) {
	for _, key := range []Value{from, to} {
		if err := hashable(key); err != nil {
			return 0, err
		}
	}
	for _, r := range routes() {
		if from == r.from && to == r.to {
			return cost(r.cost, date, class)
		}
	}
	return 0, python.Exception("ValueError", noRoute)
}

// flightCost lists what a flight costs. With the extension it is the cost of every route, as in the original.
func (t *travel) flightCost(a []Value) (Value, error) {
	one, err := routeCost(a[0], a[1], a[2], a[3])
	if err != nil {
		return nil, err
	}
	if t.ext == nil {
		return python.Record("travel_cost_list", python.NewList(one)), nil
	}
	all := &python.List{}
	for _, r := range routes() {
		f, err := cost(r.cost, a[2], a[3])
		if err != nil {
			return nil, err
		}
		all.Items = append(all.Items, f)
	}
	return python.Record("travel_cost_list", all), nil
}

// book charges a card for a flight and remembers the booking.
func (t *travel) book(a []Value) (Value, error) {
	card, date, from, to, class := a[1], a[2], a[3], a[4], a[5]
	price, refused, err := t.bookable(card, date, from, to, class)
	if refused != nil || err != nil {
		return refused, err
	}
	if err := t.charge(card, python.Sub, price); err != nil {
		return nil, err
	}
	id := t.random.Between(1000000, 9999999).String()
	transaction := t.random.Between(10000000, 99999999).String()
	err = store(t.bookings, id, python.Record("card_id", card, "travel_date", date, "travel_from", from,
		"travel_to", to, "travel_class", class, "travel_cost", price, "transaction_id", transaction))
	if err != nil {
		return nil, err
	}
	history := Value(python.NewDict())
	if t.ext != nil {
		history = t.bookings
	}
	return python.Record("booking_id", id, "transaction_id", transaction, "booking_status", true,
		"booking_history", history), nil
}

// bookable returns the price of a flight, or why it cannot be booked.
func (t *travel) bookable(card, date, from, to, class Value) (price float64, refused Value, err error) {
	balance, refused, err := t.balanceToBook(card)
	if refused != nil || err != nil {
		return 0, refused, err
	}
	if refused, err = badFlight(date, from, to, class); refused != nil || err != nil {
		return 0, refused, err
	}
	price, err = routeCost(from, to, date, class)
	if isType(err, "ValueError") {
		refused, err = refuse("booking_status", "{}", err.Error())
		return 0, refused, err
	}
	if err != nil {
		return 0, nil, err
	}
	short, err := python.Compare("<", balance, price)
	if err != nil {
		return 0, nil, err
	}
	if short {
		refused, err = refuse("booking_status", "Insufficient funds")
		return 0, refused, err
	}
	if t.limit != nil {
		if short, err = python.Compare("<", balance, t.limit); err != nil {
			return 0, nil, err
		}
	}
	if short {
		refused, err = refuse("booking_status", "Balance is less than budget limit")
	}
	return price, refused, err
}

// balanceToBook returns the balance of a card, or why nothing can be booked with it.
func (t *travel) balanceToBook(id Value) (balance, refused Value, err error) {
	known, err := contains(t.cards, id)
	if err != nil {
		return nil, nil, err
	}
	if !known {
		refused, err = refuse("booking_status", "Card not registered")
		return nil, refused, err
	}
	card, err := index(t.cards, id)
	if err != nil {
		return nil, nil, err
	}
	has, err := contains(card, "balance")
	if err != nil {
		return nil, nil, err
	}
	if !has {
		refused, err = refuse("booking_status", "Balance not found")
		return nil, refused, err
	}
	balance, err = index(card, "balance")
	return balance, nil, err
}

// badFlight returns why a flight is refused; nil: it is not.
func badFlight(date, from, to, class Value) (Value, error) {
	if !isAirport(from) {
		return refuse("booking_status", "Invalid departure airport code: {}", from)
	}
	if !isAirport(to) {
		return refuse("booking_status", "Invalid destination airport code: {}", to)
	}
	if _, err := python.Time(date, "%Y-%m-%d"); err != nil {
		if isType(err, "TypeError") {
			return nil, err
		}
		return refuse("booking_status", "Invalid date format. Use YYYY-MM-DD.")
	}
	if err := hashable(class); err != nil {
		return nil, err
	}
	name, _ := class.(string)
	if _, ok := classFactors[name]; !ok { // Python's order is that of a set
		return refuse("booking_status", "Invalid travel class. Must be one of {'economy', 'business', 'first'}")
	}
	return nil, nil
}

func isAirport(v Value) bool {
	code, ok := v.(string)
	return ok && slices.Contains(strings.Fields(airports), code)
}

// charge changes the balance of a card.
func (t *travel) charge(id Value, op func(a, b Value) (Value, error), amount Value) error {
	card, err := index(t.cards, id)
	if err != nil {
		return err
	}
	balance, err := index(card, "balance")
	if err != nil {
		return err
	}
	if balance, err = op(balance, amount); err != nil {
		return err
	}
	return store(card, "balance", balance)
}

// cancel pays a booking back and forgets it.
func (t *travel) cancel(a []Value) (Value, error) {
	known, err := contains(t.bookings, a[1])
	if err != nil {
		return nil, err
	}
	if !known {
		return refuse("cancel_status", "Booking not found")
	}
	booking, err := index(t.bookings, a[1])
	if err != nil {
		return nil, err
	}
	card, err := index(booking, "card_id")
	if err != nil {
		return nil, err
	}
	price, err := index(booking, "travel_cost")
	if err != nil {
		return nil, err
	}
	if err := t.charge(card, python.Add, price); err != nil {
		return nil, err
	}
	if d, ok := t.bookings.(*python.Dict); ok {
		d.Delete(a[1])
	}
	return python.Record("cancel_status", true), nil
}

// insure charges a card for the insurance of a booking.
func (t *travel) insure(a []Value) (Value, error) {
	booking, price, card := a[2], a[3], a[4]
	if t.limit != nil {
		over, err := python.Compare("<", t.limit, price)
		if err != nil {
			return nil, err
		}
		if over {
			return refuse("insurance_status", "Exceeded budget limit")
		}
	}
	for _, need := range []struct {
		in, key Value
		text    string
	}{{t.bookings, booking, "Booking not found"}, {t.cards, card, "Credit card not registered"}} {
		known, err := contains(need.in, need.key)
		if err != nil {
			return nil, err
		}
		if !known {
			return refuse("insurance_status", need.text)
		}
	}
	if err := t.charge(card, python.Sub, price); err != nil {
		return nil, err
	}
	id := t.random.Between(100000000, 999999999).String()
	return python.Record("insurance_id", id, "insurance_status", true), nil
}
