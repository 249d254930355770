package sim

import (
	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// Tables returns the tables and first states by the names of BFCL's constants.
func Tables() *python.Dict {
	rows := func(cells ...[]Value) *python.List {
		list := &python.List{}
		for _, row := range cells {
			list.Items = append(list.Items, python.NewList(row...))
		}
		return list
	}
	t := python.NewDict()
	put := func(key string, v Value) { _ = t.Set(key, v) }
	var costs, rates, ways [][]Value
	for _, r := range routes() {
		costs = append(costs, []Value{r.from, r.to, python.Int(r.cost)})
	}
	for _, r := range exchangeRates {
		rates = append(rates, []Value{"USD", r.currency, r.rate})
	}
	for _, pair := range [][2]string{
		{"83214", "74532"}, {"56108", "62947"}, {"71354", "83462"}, {"47329", "52013"}, {"69238", "51479"},
		{"94016", "83214"}, {"94016", "94704"}, {"94704", "08540"}, {"94016", "08540"}, {"62947", "47329"},
		{"94016", "62947"}, {"74532", "94016"},
	} {
		ways = append(ways, []Value{pair[0], pair[1], distances[pair]})
	}
	put("travel.base_costs", rows(costs...))
	put("travel.exchange_rates", rows(rates...))
	put("vehicle.distance_by_zip_pair_symmetric", rows(ways...))
	codes, _ := (&travel{}).listAirports(nil)
	put("travel.airports", codes)
	put("travel.airport_by_city", texts(airportOf))
	put("trading.symbol_by_name", texts(symbols))
	put("vehicle.zipcode_by_city", texts(zipcodes))
	put("trading.sector_map", python.Record("Technology", sector("Technology"), "Automobile", sector("Automobile")))
	meters, factors := python.NewDict(), python.NewDict()
	for unit, v := range siMeters {
		_ = meters.Set(unit, v)
	}
	for name, f := range imperialFactors {
		_ = factors.Set(name, f)
	}
	put("math.si_to_meters", meters)
	put("math.imperial_factors", factors)
	for name, class := range map[string]string{
		"message": "MessageAPI", "twitter": "TwitterAPI", "ticket": "TicketAPI", "trading": "TradingBot",
		"travel": "TravelAPI", "vehicle": "VehicleControlAPI",
	} {
		put(name+".default_state", firstState(class))
	}
	return t
}

func texts(m map[string]string) *python.Dict {
	d := python.NewDict()
	for key, v := range m {
		_ = d.Set(key, v)
	}
	return d
}

func sector(name string) Value {
	v, _ := (&broker{}).available([]Value{name})
	list, _ := v.(*python.Dict).Get("stock_list")
	return list
}

// firstState is a default state as BFCL's constants write it.
func firstState(class string) Value {
	w, err := New([]string{class}, python.NewDict(), Options{})
	if err != nil {
		return err.Error()
	}
	d := python.NewDict()
	for _, a := range w.Objects[0].Attributes() {
		switch v := a.Value.(type) {
		case *python.Set:
			_ = d.Set(a.Name, python.NewList(v.Items()...))
		default:
			_ = d.Set(a.Name, v)
		}
	}
	d.Delete("long_context")
	switch c := w.Objects[0].class.(type) {
	case *broker: // the constants have the keys of the JSON
		_ = d.Set("orders", defaultOrders())
		_ = d.Set("random_seed", python.Int(brokerSeed))
	case *travel:
		_ = d.Set("random_seed", python.Int(travelSeed))
	case *car:
		_ = d.Set("random_seed", python.Int(carSeed))
		_ = d.Set("_parkingBrakeForce", c.parkingForce)
		_ = d.Set("_slopeAngle", c.slope)
		_ = d.Set("brakePedalForce", c.brakeForce)
	}
	return d
}
