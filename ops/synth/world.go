package synth

// values is a closed list that a parameter's values come from.
type values struct {
	kind  string              // JSON-schema type: string, integer, boolean
	words []string            // of a string
	from  int                 // of an integer
	to    int                 //
	enum  bool                // the tool lists the words
	said  map[string][]string // how people say a word; without an entry as it is written
	open  bool                // a word of no list may stand in
}

var (
	cities = values{kind: "string", open: true, words: []string{
		"Oslo", "Rome", "Paris", "Berlin", "Madrid", "Vienna", "Tokyo", "Cairo", "Lima", "Dublin", "Athens", "Delhi"}}
	people = values{kind: "string", open: true, words: []string{
		"Anna", "Ben", "Carl", "Dora", "Emma", "Finn", "Gina", "Hugo", "Ida", "Jan"}}
	dishes = values{kind: "string", open: true, words: []string{"soup", "rice", "pizza", "salad", "bread", "fish"}}
	rooms  = values{kind: "string", words: []string{"kitchen", "bath", "hall", "office", "garage", "attic"}}
	words  = values{kind: "string", words: []string{"hello", "sorry", "thanks", "late", "home", "yes"}}
	days   = values{kind: "string", enum: true, words: []string{"mon", "wed", "fri", "sun"}, said: map[string][]string{
		"mon": {"Monday"}, "wed": {"Wednesday"}, "fri": {"Friday"}, "sun": {"Sunday"}}}
	coins = values{kind: "string", enum: true, words: []string{"usd", "eur", "yen"}, said: map[string][]string{
		"usd": {"dollars", "bucks"}, "eur": {"euros", "euro"}, "yen": {"yen"}}}
	switched = values{kind: "boolean", words: []string{"true", "false"}, said: map[string][]string{
		"true": {"on"}, "false": {"off"}}}
	few   = values{kind: "integer", from: 2, to: 9}
	hours = values{kind: "integer", from: 5, to: 22}
	many  = values{kind: "integer", from: 10, to: 99}
)

// param is one parameter of an action.
type param struct {
	key    string   // how phrases name it
	names  []string // how a tool may name it, in either of two dialects
	values values
	clause string // what is added to a request when it is given; set = it is optional
}

// action is what one tool does, and how people ask for it.
type action struct {
	names  []string // what the tool may be called
	about  string   // its description
	params []param
	ask    []string // requests with {key} for every required parameter
	lack   []lack   // requests that leave one out
}

type lack struct{ ask, key string }

var (
	from     = param{key: "from", names: []string{"from", "origin"}, values: cities}
	to       = param{key: "to", names: []string{"to", "goal"}, values: cities}
	city     = param{key: "city", names: []string{"city", "place"}, values: cities}
	day      = param{key: "day", names: []string{"day", "date"}, values: days, clause: " on {day}"}
	person   = param{key: "person", names: []string{"name", "person"}, values: people}
	text     = param{key: "text", names: []string{"text", "words"}, values: words}
	amount   = param{key: "amount", names: []string{"amount", "sum"}, values: many}
	fromCoin = param{key: "from", names: []string{"from", "source"}, values: coins}
	toCoin   = param{key: "to", names: []string{"to", "target"}, values: coins}
	room     = param{key: "room", names: []string{"room", "area"}, values: rooms}
	dish     = param{key: "dish", names: []string{"dish", "food"}, values: dishes}
	count    = param{key: "count", names: []string{"count", "number"}, values: few}
	hour     = param{key: "hour", names: []string{"hour", "time"}, values: hours}
)

// travel is an action between two cities by one means.
func travel(what, said string) action {
	return action{
		names: []string{"find_" + what, "search_" + what}, about: what + " between cities",
		params: []param{from, to, day},
		ask: []string{"find " + said + " from {from} to {to}", "get me " + said + " to {to} from {from}",
			"I am in {from}, show " + said + " to {to}"},
		lack: []lack{{"find " + said + " to {to}", "from"}, {"find " + said + " from {from}", "to"}},
	}
}

// domains are the topics; the actions of one are near-duplicates of each other.
var domains = [][]action{
	{
		travel("flights", "flights"), travel("trains", "trains"), travel("buses", "buses"),
		{names: []string{"book_flight", "buy_flight"}, about: "book seats", params: []param{from, to, count},
			ask:  []string{"book {count} seats from {from} to {to}", "I need {count} seats to {to} from {from}"},
			lack: []lack{{"book a flight from {from} to {to}", "count"}}},
	},
	{
		{names: []string{"get_weather", "show_weather"}, about: "weather of a day", params: []param{city, day},
			ask:  []string{"weather in {city}", "how is the weather in {city}", "tell me the weather of {city}"},
			lack: []lack{{"how is the weather", "city"}}},
		{names: []string{"get_wind", "show_wind"}, about: "wind of a day", params: []param{city, day},
			ask:  []string{"wind in {city}", "how strong is the wind in {city}"},
			lack: []lack{{"how strong is the wind", "city"}}},
		{names: []string{"get_forecast", "show_forecast"}, about: "weather of many days", params: []param{city, count},
			ask:  []string{"weather in {city} for {count} days", "the next {count} days of weather in {city}"},
			lack: []lack{{"weather for the next {count} days", "city"}}},
	},
	{
		{names: []string{"call_person", "phone"}, about: "call someone", params: []param{person},
			ask: []string{"call {person}", "phone {person}"}, lack: []lack{{"call someone", "person"}}},
		{names: []string{"send_message", "text_person"}, about: "send a message", params: []param{person, text},
			ask:  []string{"send {person} the message {text}", "message {text} to {person}"},
			lack: []lack{{"send a message to {person}", "text"}}},
		{names: []string{"send_email", "email_person"}, about: "send an email", params: []param{person, text},
			ask:  []string{"send {person} the email {text}", "email {text} to {person}"},
			lack: []lack{{"send an email to {person}", "text"}}},
		{names: []string{"add_meeting", "plan_meeting"}, about: "meet someone", params: []param{person, hour, day},
			ask:  []string{"plan a meeting with {person} at {hour}", "at {hour} I meet {person}"},
			lack: []lack{{"plan a meeting with {person}", "hour"}}},
	},
	{
		{names: []string{"convert_money", "exchange"}, about: "change money", params: []param{amount, fromCoin, toCoin},
			ask:  []string{"change {amount} {from} to {to}", "how many {to} are {amount} {from}"},
			lack: []lack{{"change {amount} {from}", "to"}}},
		{names: []string{"get_rate", "show_rate"}, about: "rate of money", params: []param{fromCoin, toCoin},
			ask:  []string{"rate of {from} to {to}", "rate to {to} from {from}"},
			lack: []lack{{"rate of {from}", "to"}}},
		{names: []string{"send_money", "pay"}, about: "pay someone", params: []param{person, amount},
			ask:  []string{"pay {person} {amount}", "send {amount} to {person}"},
			lack: []lack{{"pay {person}", "amount"}}},
		{names: []string{"ask_money", "bill"}, about: "bill someone", params: []param{person, amount},
			ask:  []string{"ask {person} for {amount}", "bill {person} {amount}"},
			lack: []lack{{"bill {person}", "amount"}}},
	},
	{
		{names: []string{"turn_light", "switch_light"}, about: "light on or off",
			params: []param{room, {key: "on", names: []string{"on", "power"}, values: switched}},
			ask:    []string{"turn {on} the light in the {room}", "turn the {room} light {on}"},
			lack:   []lack{{"turn {on} the light", "room"}}},
		{names: []string{"set_light", "dim_light"}, about: "level of a light",
			params: []param{room, {key: "level", names: []string{"level", "percent"}, values: many}},
			ask:    []string{"set the {room} light to {level}", "light of {level} in the {room}"},
			lack:   []lack{{"set the light to {level}", "room"}}},
		{names: []string{"set_heat", "warm_room"}, about: "heat of a room",
			params: []param{room, {key: "degrees", names: []string{"degrees", "heat"}, values: many}},
			ask:    []string{"heat the {room} to {degrees}", "{degrees} degrees in the {room}"},
			lack:   []lack{{"heat the {room}", "degrees"}}},
	},
	{
		{names: []string{"set_alarm", "wake_me"}, about: "wake me", params: []param{hour, day},
			ask: []string{"set an alarm at {hour}", "wake me at {hour}"}, lack: []lack{{"set an alarm", "hour"}}},
		{names: []string{"set_timer", "start_timer"}, about: "count down",
			params: []param{{key: "minutes", names: []string{"minutes", "length"}, values: many}},
			ask:    []string{"set a timer of {minutes} minutes", "{minutes} minutes on the timer"},
			lack:   []lack{{"start a timer", "minutes"}}},
		{names: []string{"order_food", "buy_food"}, about: "order a dish", params: []param{dish, count},
			ask:  []string{"order {count} times {dish}", "I want {dish} for {count}"},
			lack: []lack{{"order {dish}", "count"}}},
		{names: []string{"find_recipe", "cook"}, about: "how to cook", params: []param{dish},
			ask: []string{"how do I cook {dish}", "recipe for {dish}"}, lack: []lack{{"find a recipe", "dish"}}},
	},
}
