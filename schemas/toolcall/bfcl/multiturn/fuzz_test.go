package multiturn_test

import (
	"testing"

	"itool/schemas/toolcall/bfcl/multiturn"
)

// FuzzCheck: no answer panics, hangs or is an error of the entry. Calls are run one by one,
// too, so that texts that do not decode reach the executor.
func FuzzCheck(f *testing.F) {
	for _, step := range []string{
		"[create_ticket(title='a'), get_ticket(ticket_id=1)]", "```\n[ls(a=True)]\n```", "f(), # x", "[f(**x)]",
		"[mv(source='a', destination='docs'), cp(source='docs', destination='docs'), find(), du(human_readable=True)]",
		"[mean(numbers=[1, 2.5, True]), power(base=-1.5, exponent=0.5), logarithm(value=2, base=10, precision=50)]",
		"[post_tweet(content=get_tweet(tweet_id=0)), " +
			"mention(tweet_id=0, mentioned_usernames='abc')]",
		"[edit_ticket(ticket_id=1, updates={'a': {'b': 1}, 'c': {}})]", "[lockDoors(unlock=False, door=['driver'])]",
		"[send_message(receiver_id='USR002', message=(1, [None, b'\\xff', ...]))]",
		"[echo(content='x', file_name='y')]",
		"[get_transaction_history(start_date='2024-1-1'), " +
			"place_order(order_type='Buy', symbol='AAPL', price='1', amount=1)]",
		"[book_flight(access_token='a', card_id='b', travel_date='2024-01-01', travel_from='SFO', travel_to='LAX', " +
			"travel_class='first')]", "[tail(file_name='a', lines=-5), round_number(number=2.5, decimal_places=-400)]",
	} {
		f.Add(step, step)
	}
	question := `{"id": "multi_turn_base_900", "involved_classes": ["GorillaFileSystem", "MathAPI", "MessageAPI",
		"TwitterAPI", "TicketAPI", "TradingBot", "TravelAPI", "VehicleControlAPI"], "initial_config": {
		"GorillaFileSystem": {"root": {"w": {"type": "directory", "contents": {
			"a": {"type": "file", "content": "x\ny"}, "docs": {"type": "directory", "contents": {}}}}}},
		"TicketAPI": {"current_user": "ann"}, "TwitterAPI": {"authenticated": true},
		"MessageAPI": {"current_user": "USR001"}, "TradingBot": {"authenticated": true, "market_status": "Open"},
		"TravelAPI": {"access_token": "a", "token_expires_in": 5, "credit_card_list": {"b": {"balance": 1e9}}}}}`
	e := entry(f, question, `[["pwd()"], ["logout()"]]`)
	f.Fuzz(func(t *testing.T, first, second string) {
		if _, err := multiturn.Check(e, [][]string{{first, second}, {second, first}}, multiturn.Options{}); err != nil {
			t.Fatal(err)
		}
		w, err := multiturn.NewWorld(e, multiturn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		x := multiturn.NewExecutor(w, e.ID, "model")
		x.Run(first)
		x.Run(second)
	})
}
