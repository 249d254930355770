package sim

import (
	"slices"
	"strings"
	"time"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// travel is TravelAPI: flights, the cards that pay them, and what was booked.
type travel struct {
	cards, bookings           Value // {id: card}, {id: booking}
	token, tokenType, expires Value
	scope, first, last        Value // scope of the token; names of the user
	limit                     Value // of the budget

	random *python.Random
	ext    *Extension
	today  time.Time
}

const travelSeed = 141053

func newTravel(s state, o Options) *travel {
	t := &travel{random: python.NewRandom(travelSeed), ext: o.Extension, today: o.Today}
	t.cards, t.bookings = s.or("credit_card_list", python.NewDict()), s.or("booking_record", python.NewDict())
	t.token, t.tokenType = s.or("access_token", nil), s.or("token_type", nil)
	t.expires, t.scope = s.or("token_expires_in", nil), s.or("token_scope", nil)
	t.first, t.last = s.or("user_first_name", nil), s.or("user_last_name", nil)
	t.limit = s.or("budget_limit", nil)
	if t.ext == nil {
		return t
	}
	if o.Shared.cards == nil {
		o.Shared.cards = python.Copy(t.ext.dict("CREDIT_CARD_EXTENSION")).(*python.Dict)
		o.Shared.bookings = python.Copy(t.ext.dict("BOOKING_RECORD_EXTENSION")).(*python.Dict)
	}
	extend(t.cards, o.Shared.cards)
	extend(t.bookings, o.Shared.bookings)
	return t
}

// extend adds the entries of more under keys that are free. The values are the same objects.
func extend(v Value, more *python.Dict) {
	d, ok := v.(*python.Dict)
	if !ok {
		return
	}
	for _, key := range more.Keys() {
		if _, used := d.Get(key); !used {
			value, _ := more.Get(key)
			_ = d.Set(key, value)
		}
	}
}

func (t *travel) attributes() []Attribute {
	return []Attribute{
		{"credit_card_list", t.cards}, {"booking_record", t.bookings}, {"access_token", t.token},
		{"token_type", t.tokenType}, {"token_expires_in", t.expires}, {"token_scope", t.scope},
		{"user_first_name", t.first}, {"user_last_name", t.last}, {"budget_limit", t.limit},
		{"long_context", t.ext != nil},
	}
}

func (t *travel) methods() map[string]method {
	token := need("access_token")
	book := need("access_token", "card_id", "travel_date", "travel_from", "travel_to", "travel_class")
	insure := need("access_token", "insurance_type", "booking_id", "insurance_cost", "card_id")
	invoice := or(or(token, "booking_id", nil), "insurance_id", nil)
	return map[string]method{
		"authenticate_travel": {need("client_id", "client_secret", "refresh_token", "grant_type",
			"user_first_name", "user_last_name"), t.authenticate},
		"travel_get_login_status": {nil, t.loginStatus},
		"get_budget_fiscal_year": {or(or(nil, "lastModifiedAfter", nil), "includeRemoved", nil),
			t.fiscalYear},
		"register_credit_card": {need("access_token", "card_number", "expiration_date", "cardholder_name",
			"card_verification_number"), t.register},
		"get_flight_cost":         {need("travel_from", "travel_to", "travel_date", "travel_class"), t.flightCost},
		"get_credit_card_balance": {need("access_token", "card_id"), t.valid("", t.balance)},
		"book_flight":             {book, t.valid("booking_status", t.book)},
		"retrieve_invoice":        {invoice, t.valid("", t.invoice)},
		"list_all_airports":       {nil, t.listAirports},
		"cancel_booking":          {need("access_token", "booking_id"), t.valid("cancel_status", t.cancel)},
		"compute_exchange_rate":   {need("base_currency", "target_currency", "value"), t.exchange},
		"verify_traveler_information": {need("first_name", "last_name", "date_of_birth", "passport_number"),
			t.verify},
		"set_budget_limit":            {need("access_token", "budget_limit"), t.valid("", t.setLimit)},
		"get_nearest_airport_by_city": {need("location"), t.nearest},
		"purchase_insurance":          {insure, t.valid("insurance_status", t.insure)},
		"contact_customer_support":    {need("booking_id", "message"), t.support},
		"get_all_credit_cards":        {nil, t.allCards},
	}
}

// hashable refuses a value that has no hash, such as a list: the original looks it up in a dict or set, which raises.
func hashable(v Value) error {
	_, err := python.NewDict().Has(v)
	return err
}

// refuse is {status: False, "error": text}, without status if its name is empty.
func refuse(status, template string, args ...Value) (Value, error) {
	text, err := format(template, args...)
	if err != nil {
		return nil, err
	}
	if status == "" {
		return python.Record("error", text), nil
	}
	return python.Record(status, false, "error", text), nil
}

// valid refuses a method, whose first argument is the token, while that is not valid.
func (t *travel) valid(status string, run func([]Value) (Value, error)) func([]Value) (Value, error) {
	return func(a []Value) (Value, error) {
		if refused, err := t.refusedToken(status, a[0]); refused != nil || err != nil {
			return refused, err
		}
		return run(a)
	}
}

// refusedToken also uses up a token's life when another one is given.
func (t *travel) refusedToken(status string, token Value) (Value, error) {
	if python.Equal(t.expires, python.Int(0)) {
		return refuse(status, "Token expired")
	}
	if python.Equal(token, t.token) {
		return nil, nil
	}
	if !python.IsNumber(t.expires) {
		return raise("TypeError", "unsupported operand type(s) for -=: '"+python.TypeName(t.expires)+"' and 'int'")
	}
	var err error
	if t.expires, err = python.Sub(t.expires, python.Int(1)); err != nil {
		return nil, err
	}
	return refuse(status, "Invalid access token")
}

func (t *travel) authenticate(a []Value) (Value, error) {
	t.expires = python.Int(2)
	t.token = t.random.Between(100000, 999999).String()
	t.tokenType, t.scope = "Bearer", a[3]
	t.first, t.last = a[4], a[5]
	return python.Record("expires_in", 2, "access_token", t.token, "token_type", "Bearer", "scope", a[3]), nil
}

func (t *travel) loginStatus([]Value) (Value, error) {
	return python.Record("status", t.expires != nil && !python.Equal(t.expires, python.Int(0))), nil
}

func (t *travel) fiscalYear([]Value) (Value, error) {
	return python.Record("budget_fiscal_year", "2018"), nil
}

func (t *travel) register(a []Value) (Value, error) {
	if t.expires == nil {
		return fail("Token not initialized")
	}
	if refused, err := t.refusedToken("", a[0]); refused != nil || err != nil {
		return refused, err
	}
	registered, err := contains(t.cards, a[1])
	if err != nil {
		return nil, err
	}
	if registered {
		return fail("Card already registered")
	}
	id := t.random.Between(100000000000, 999999999999).String()
	err = store(t.cards, id, python.Record("card_number", a[1], "expiration_date", a[2],
		"cardholder_name", a[3], "card_verification_number", a[4], "balance", t.random.Between(10000, 99999)))
	return python.Record("card_id", id), err
}

func (t *travel) balance(a []Value) (Value, error) {
	known, err := contains(t.cards, a[1])
	if err != nil {
		return nil, err
	}
	if !known {
		ids, err := python.Iterate(t.cards)
		if err != nil {
			return nil, err
		}
		return fail("Card not registered. Here are a list of card_id's: {}", python.NewList(ids...))
	}
	card, err := index(t.cards, a[1])
	if err != nil {
		return nil, err
	}
	balance, err := index(card, "balance")
	return python.Record("card_balance", balance), err
}

func (t *travel) invoice(a []Value) (Value, error) {
	known, err := contains(t.bookings, a[1])
	if err != nil {
		return nil, err
	}
	if !known {
		return fail("Booking not found")
	}
	booking, err := index(t.bookings, a[1])
	if err != nil {
		return nil, err
	}
	invoice := python.Record("booking_id", a[1])
	for _, key := range []string{
		"travel_date", "travel_from", "travel_to", "travel_class", "travel_cost", "transaction_id",
	} {
		v, err := index(booking, key)
		if err != nil {
			return nil, err
		}
		_ = invoice.Set(key, v)
	}
	return python.Record("invoice", invoice), nil
}

func (t *travel) listAirports([]Value) (Value, error) {
	list := &python.List{}
	for code := range strings.FieldsSeq(airports) {
		list.Items = append(list.Items, code)
	}
	return list, nil
}

func (t *travel) nearest(a []Value) (Value, error) {
	if err := hashable(a[0]); err != nil {
		return nil, err
	}
	city, _ := a[0].(string)
	if code, ok := airportOf[city]; ok {
		return python.Record("nearest_airport", code), nil
	}
	return python.Record("nearest_airport", "Unknown"), nil
}

func (t *travel) exchange(a []Value) (Value, error) {
	from, to, value := a[0], a[1], a[2]
	for _, r := range exchangeRates {
		switch {
		case from == "USD" && to == r.currency:
			v, err := python.Mul(value, r.rate)
			return python.Record("exchanged_value", v), err
		case from == r.currency && to == "USD":
			v, err := python.Div(value, r.rate)
			if err != nil {
				return nil, err
			}
			v, err = python.Round(v, python.Int(2))
			return python.Record("exchanged_value", v), err
		}
	}
	return raise("ValueError", "No available exchange rate for the given currencies.")
}

func (t *travel) verify(a []Value) (Value, error) {
	refused := func(template string, args ...Value) (Value, error) {
		text, err := format(template, args...)
		return python.Record("verification_status", false, "verification_failure", text), err
	}
	if !python.Equal(t.first, a[0]) || !python.Equal(t.last, a[1]) {
		return refused("Cannot book flight information for another user.Expected {} {}, got {} {}",
			t.first, t.last, a[0], a[1])
	}
	born, err := python.Time(a[2], "%Y-%m-%d")
	switch {
	case isType(err, "TypeError"):
		return nil, err
	case err != nil:
		return refused("Invalid date of birth format. Please use YYYY-MM-DD.")
	case yearsBetween(born, t.today) < 18:
		return refused("Traveler must be at least 18 years old.")
	}
	passport, ok := a[3].(string)
	if !ok {
		return nil, noAttribute(a[3], "startswith")
	}
	if !strings.HasPrefix(passport, "US") {
		return refused("Passport must be issued by the United States.")
	}
	return python.Record("verification_status", true), nil
}

// yearsBetween counts whole years.
func yearsBetween(born, today time.Time) int {
	years := today.Year() - born.Year()
	if slices.Compare([]int{int(today.Month()), today.Day()}, []int{int(born.Month()), born.Day()}) < 0 {
		years--
	}
	return years
}

func (t *travel) setLimit(a []Value) (Value, error) {
	limit, err := python.ToFloat(a[1])
	if err != nil {
		return nil, err
	}
	t.limit = limit
	return python.Record("budget_limit", limit), nil
}

func (t *travel) support(a []Value) (Value, error) {
	known, err := contains(t.bookings, a[0])
	if err != nil {
		return nil, err
	}
	if !known {
		return fail("Booking not found")
	}
	return python.Record("customer_support_message", "Thank you for contacting customer support. "+
		"Your message has been received and we will get back to you shortly."), nil
}

func (t *travel) allCards([]Value) (Value, error) {
	return python.Record("credit_card_list", t.cards), nil
}
