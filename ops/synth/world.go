package synth

// values describes the values of a parameter and how people say them.
type values struct {
	kind     string              // JSON-schema type: string, integer, number, boolean, array, object
	invented bool                // the value is an invented word; for an array, its elements are
	lower    bool                // the invented word is in lower case
	words    []string            // the values of a closed list, which the tool declares
	said     map[string][]string // how people say each of the words
	from, to int                 // range of an integer, a number, and both fields of an object
}

var (
	place   = values{kind: "string", invented: true}
	person  = values{kind: "string", invented: true}
	people  = values{kind: "array", invented: true}
	thing   = values{kind: "string", invented: true, lower: true}
	few     = values{kind: "integer", from: 2, to: 9}
	hours   = values{kind: "integer", from: 5, to: 22}
	many    = values{kind: "integer", from: 100, to: 999}
	decimal = values{kind: "number", from: 1, to: 99}
	window  = values{kind: "object", from: 5, to: 22}
	days    = values{kind: "string", words: []string{"mon", "wed", "fri", "sun"}, said: map[string][]string{
		"mon": {"Monday"}, "wed": {"Wednesday"}, "fri": {"Friday"}, "sun": {"Sunday"}}}
	currencies = values{kind: "string", words: []string{"usd", "eur", "yen"}, said: map[string][]string{
		"usd": {"dollars", "bucks"}, "eur": {"euros"}, "yen": {"yen"}}}
	classes = values{kind: "string", words: []string{"low", "mid", "high"}, said: map[string][]string{
		"low": {"cheap", "cheapest"}, "mid": {"normal"}, "high": {"finest", "best"}}}
	onOff = values{kind: "boolean", words: []string{"true", "false"}, said: map[string][]string{
		"true": {"on"}, "false": {"off"}}}
)

// param is one parameter of an action.
type param struct {
	key    string    // how requests name it
	names  [2]string // how a tool names it, in either of two dialects
	values values
	clause string // what a request adds to give it; if it is set, the parameter is optional
}

// action is what one tool does, and how people ask for it.
type action struct {
	verbs, nouns []string // a tool is called verb_noun, or maker_verb_noun
	about        string   // its description
	params       []param
	ask          []string            // requests with {key} for every required parameter
	incomplete   []incompleteRequest // requests that leave one parameter out
}

// incompleteRequest is a request that does not say the parameter key.
type incompleteRequest struct{ ask, key string }

var (
	from         = param{key: "from", names: [2]string{"from", "origin"}, values: place}
	to           = param{key: "to", names: [2]string{"to", "goal"}, values: place}
	city         = param{key: "city", names: [2]string{"city", "place"}, values: place}
	who          = param{key: "who", names: [2]string{"name", "person"}, values: person}
	item         = param{key: "item", names: [2]string{"item", "product"}, values: thing}
	text         = param{key: "text", names: [2]string{"text", "words"}, values: thing}
	amount       = param{key: "amount", names: [2]string{"amount", "sum"}, values: many}
	fromCurrency = param{key: "from", names: [2]string{"from", "source"}, values: currencies}
	toCurrency   = param{key: "to", names: [2]string{"to", "target"}, values: currencies}
	room         = param{key: "room", names: [2]string{"room", "area"}, values: thing}
	count        = param{key: "count", names: [2]string{"count", "number"}, values: few}
	hour         = param{key: "hour", names: [2]string{"hour", "time"}, values: hours}
	day          = param{key: "day", names: [2]string{"day", "date"}, values: days, clause: " on {day}"}
	class        = param{key: "class", names: [2]string{"class", "level"}, values: classes, clause: ", the {class} one"}
	between      = param{key: "window", names: [2]string{"window", "slot"}, values: window, clause: " between {window}"}
)

// travel is an action between two places by one means.
func travel(noun, other string) action {
	return action{
		verbs: []string{"find", "search", "list"}, nouns: []string{noun, other}, about: noun + " between places",
		params: []param{from, to, day},
		ask: []string{"find " + noun + " from {from} to {to}", "get me " + noun + " to {to} from {from}",
			"I am in {from}, show " + noun + " to {to}", "{from} to {to} by " + other},
		incomplete: []incompleteRequest{{"find " + noun + " to {to}", "from"}, {"find " + noun + " from {from}", "to"}},
	}
}

// transfer is an action that moves money between two people.
func transfer(verbs []string, said, about string) action {
	return action{
		verbs: verbs, nouns: []string{"money", "funds"}, about: about,
		params: []param{
			{key: "from", names: [2]string{"from", "payer"}, values: person},
			{key: "to", names: [2]string{"to", "payee"}, values: person},
			amount,
		},
		ask: []string{said + " {amount} from {from} to {to}", "{to} gets {amount} from {from}, " + said + " it",
			"from {from} " + said + " {to} the sum of {amount}"},
		incomplete: []incompleteRequest{
			{said + " {amount} from {from}", "to"}, {said + " money from {from} to {to}", "amount"},
		},
	}
}

// domains are the topics. The actions of one domain are near-duplicates of each other.
var domains = [][]action{
	{
		travel("flights", "air"), travel("trains", "rail"), travel("buses", "coach"),
		{verbs: []string{"book", "reserve", "buy"}, nouns: []string{"seats", "tickets"}, about: "book seats",
			params: []param{from, to, count, class},
			ask: []string{"book {count} seats from {from} to {to}", "I need {count} tickets to {to} from {from}",
				"{count} of us go from {from} to {to}, book it"},
			incomplete: []incompleteRequest{
				{"book seats from {from} to {to}", "count"}, {"book {count} seats to {to}", "from"},
			}},
	},
	{
		{verbs: []string{"get", "show", "read"}, nouns: []string{"weather", "sky"}, about: "weather of a day",
			params:     []param{city, day},
			ask:        []string{"weather in {city}", "how is the weather in {city}", "will it be sunny in {city}"},
			incomplete: []incompleteRequest{{"how is the weather", "city"}}},
		{verbs: []string{"get", "show", "read"}, nouns: []string{"wind", "storm"}, about: "wind of a day",
			params:     []param{city, day},
			ask:        []string{"wind in {city}", "how strong is the wind in {city}", "is it windy in {city}"},
			incomplete: []incompleteRequest{{"how strong is the wind", "city"}}},
		{verbs: []string{"get", "show", "make"}, nouns: []string{"forecast", "outlook"}, about: "weather of many days",
			params: []param{city, count},
			ask:    []string{"weather in {city} for {count} days", "the next {count} days of weather in {city}"},
			incomplete: []incompleteRequest{
				{"weather for the next {count} days", "city"}, {"the coming days in {city}", "count"},
			}},
	},
	{
		{verbs: []string{"call", "phone", "ring"}, nouns: []string{"person", "contact"}, about: "call someone",
			params:     []param{who, between},
			ask:        []string{"call {who}", "phone {who}", "I must talk to {who}"},
			incomplete: []incompleteRequest{{"call someone", "who"}}},
		{verbs: []string{"send", "write"}, nouns: []string{"message", "note"}, about: "send a message",
			params:     []param{who, text},
			ask:        []string{"send {who} the message {text}", "message {text} to {who}", "let {who} know {text}"},
			incomplete: []incompleteRequest{{"send a message to {who}", "text"}, {"send the message {text}", "who"}}},
		{verbs: []string{"send", "write"}, nouns: []string{"email", "mail"}, about: "send an email",
			params:     []param{who, text},
			ask:        []string{"send {who} the email {text}", "email {text} to {who}"},
			incomplete: []incompleteRequest{{"send an email to {who}", "text"}, {"email {text}", "who"}}},
		{verbs: []string{"add", "plan", "make"}, nouns: []string{"meeting", "event"}, about: "meet people",
			params: []param{{key: "people", names: [2]string{"people", "guests"}, values: people}, hour, day},
			ask: []string{
				"plan a meeting with {people} at {hour}", "at {hour} I meet {people}",
				"meet {people} at {hour}",
			},
			incomplete: []incompleteRequest{
				{"plan a meeting with {people}", "hour"}, {"plan a meeting at {hour}", "people"},
			}},
	},
	{
		{verbs: []string{"convert", "change", "swap"}, nouns: []string{"money", "coins"}, about: "change money",
			params: []param{amount, fromCurrency, toCurrency},
			ask: []string{
				"change {amount} {from} to {to}", "how many {to} are {amount} {from}",
				"I have {amount} {from} and want {to}",
			},
			incomplete: []incompleteRequest{{"change {amount} {from}", "to"}, {"change {from} to {to}", "amount"}}},
		{verbs: []string{"get", "show", "read"}, nouns: []string{"rate", "course"}, about: "rate of money",
			params:     []param{fromCurrency, toCurrency},
			ask:        []string{"rate of {from} to {to}", "rate to {to} from {from}"},
			incomplete: []incompleteRequest{{"rate of {from}", "to"}}},
		transfer([]string{"send", "move"}, "send", "send money"),
		transfer([]string{"lend", "owe"}, "lend", "lend money"),
	},
	{
		{verbs: []string{"turn", "switch"}, nouns: []string{"light", "lamp"}, about: "light on or off",
			params:     []param{room, {key: "on", names: [2]string{"on", "power"}, values: onOff}},
			ask:        []string{"turn {on} the light in {room}", "turn the {room} light {on}", "light {on} in {room}"},
			incomplete: []incompleteRequest{{"turn {on} the light", "room"}}},
		{verbs: []string{"set", "dim", "change"}, nouns: []string{"light", "lamp"}, about: "level of a light",
			params:     []param{room, {key: "level", names: [2]string{"level", "percent"}, values: many}},
			ask:        []string{"set the {room} light to {level}", "light of {level} in {room}"},
			incomplete: []incompleteRequest{{"set the light to {level}", "room"}, {"dim the {room} light", "level"}}},
		{verbs: []string{"set", "warm", "change"}, nouns: []string{"heat", "heater"}, about: "heat of a room",
			params:     []param{room, {key: "degrees", names: [2]string{"degrees", "heat"}, values: decimal}, between},
			ask:        []string{"heat {room} to {degrees}", "{degrees} degrees in {room}"},
			incomplete: []incompleteRequest{{"heat {room}", "degrees"}, {"heat it to {degrees}", "room"}}},
	},
	{
		{verbs: []string{"order", "buy"}, nouns: []string{"goods", "things"}, about: "order an item",
			params: []param{item, count, class},
			ask: []string{
				"order {count} {item}", "I want {item}, {count} of them", "buy {count} pieces of {item}",
			},
			incomplete: []incompleteRequest{{"order {item}", "count"}, {"order {count} things", "item"}}},
		{verbs: []string{"find", "get", "show"}, nouns: []string{"price", "cost"}, about: "price of an item",
			params: []param{
				item, {key: "city", names: [2]string{"city", "place"}, values: place, clause: " in {city}"},
			},
			ask:        []string{"what does {item} cost", "price of {item}", "how much is {item}"},
			incomplete: []incompleteRequest{{"what does it cost", "item"}}},
		{verbs: []string{"find", "search"}, nouns: []string{"shops", "stores"}, about: "shops for an item",
			params: []param{item, city},
			ask: []string{
				"who sells {item} in {city}", "shops for {item} in {city}", "I am in {city} and need {item}",
			},
			incomplete: []incompleteRequest{{"who sells {item}", "city"}, {"shops in {city}", "item"}}},
		{verbs: []string{"return", "refund"}, nouns: []string{"order", "goods"}, about: "send an order back",
			params: []param{
				{key: "order", names: [2]string{"order", "id"}, values: many},
				{key: "why", names: [2]string{"reason", "why"}, values: thing, clause: " because of {why}"},
			},
			ask:        []string{"send order {order} back", "return {order}", "refund order {order}"},
			incomplete: []incompleteRequest{{"send my order back", "order"}}},
	},
	{
		{verbs: []string{"book", "reserve"}, nouns: []string{"table", "dinner"}, about: "table in a restaurant",
			params: []param{
				{key: "name", names: [2]string{"name", "restaurant"}, values: place}, count,
				{key: "hour", names: [2]string{"hour", "time"}, values: hours, clause: " at {hour}"},
			},
			ask:        []string{"table for {count} in {name}", "{count} people want to eat in {name}"},
			incomplete: []incompleteRequest{{"a table in {name}", "count"}, {"a table for {count}", "name"}}},
		{verbs: []string{"book", "reserve"}, nouns: []string{"hotel", "room"}, about: "room in a hotel",
			params:     []param{city, {key: "nights", names: [2]string{"nights", "days"}, values: few}, class},
			ask:        []string{"hotel in {city} for {nights} nights", "{nights} nights in {city}"},
			incomplete: []incompleteRequest{{"a hotel in {city}", "nights"}, {"a hotel for {nights} nights", "city"}}},
		{verbs: []string{"find", "plan"}, nouns: []string{"route", "way"}, about: "way between places",
			params: []param{
				from, to, {key: "via", names: [2]string{"via", "over"}, values: place, clause: " via {via}"},
			},
			ask:        []string{"how do I get from {from} to {to}", "the way to {to} from {from}"},
			incomplete: []incompleteRequest{{"the way to {to}", "from"}, {"the way from {from}", "to"}}},
	},
}
