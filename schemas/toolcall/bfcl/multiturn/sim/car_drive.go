package sim

import (
	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// The methods of the car that concern the way.

var zipcodes = map[string]string{
	"Rivermist": "83214", "Stonebrook": "74532", "Maplecrest": "56108", "Silverpine": "62947",
	"Shadowridge": "71354", "Sunset Valley": "83462", "Oakendale": "47329", "Willowbend": "52013",
	"Crescent Hollow": "69238", "Autumnville": "51479", "San Francisco": "94016",
}

// distances lie between two zip codes, in both directions.
var distances = map[[2]string]float64{
	{"83214", "74532"}: 750, {"56108", "62947"}: 320, {"71354", "83462"}: 450, {"47329", "52013"}: 290,
	{"69238", "51479"}: 630, {"94016", "83214"}: 980, {"94016", "94704"}: 600, {"94704", "08540"}: 2550,
	{"94016", "08540"}: 1950, {"62947", "47329"}: 1053, {"94016", "62947"}: 780, {"74532", "94016"}: 880,
}

func (c *car) distance(a []Value) (Value, error) {
	from, _ := a[0].(string)
	to, _ := a[1].(string)
	length, ok := distances[[2]string{from, to}]
	if !ok {
		length, ok = distances[[2]string{to, from}]
	}
	result := python.Record("distance", length)
	if !ok {
		result = python.Record("error", "distance not found in database.")
	}
	if c.ext != nil {
		_ = result.Set("intermediaryCities", c.ext.list("INTERMEDIARY_CITIES"))
	}
	return result, nil
}

func (c *car) zipcode(a []Value) (Value, error) {
	city, _ := a[0].(string)
	if code, ok := zipcodes[city]; ok {
		return python.Record("zipcode", code), nil
	}
	return python.Record("zipcode", "00000"), nil
}

// navigate keeps a destination that is no text, too, and fails only then.
func (c *car) navigate(a []Value) (Value, error) {
	c.set("destination", a[0])
	text, ok := a[0].(string)
	if !ok {
		return raise("TypeError", "can only concatenate str (not \""+python.TypeName(a[0])+"\") to str")
	}
	return python.Record("status", "Navigating to "+text), nil
}

func (c *car) cruise(a []Value) (Value, error) {
	distance, err := python.ToFloat(a[2])
	if err != nil {
		return nil, err
	}
	speed, err := python.ToFloat(a[0])
	if err != nil {
		return nil, err
	}
	if c.get("engine_state") == "stopped" {
		return fail("Start the engine before activating the cruise control.")
	}
	c.set("distanceToNextVehicle", distance)
	if !python.Truthy(a[1]) {
		c.set("cruiseStatus", "inactive")
		return c.cruising(speed)
	}
	if speed < 0 || speed > 120 || python.Mod(speed, 5) != 0 {
		return fail("Invalid speed")
	}
	c.set("cruiseStatus", "active")
	return c.cruising(speed)
}

func (c *car) cruising(speed float64) (Value, error) {
	return python.Record("cruiseStatus", c.get("cruiseStatus"), "currentSpeed", speed,
		"distanceToNextVehicle", c.get("distanceToNextVehicle")), nil
}

func (c *car) speed([]Value) (Value, error) {
	return python.Record("currentSpeed", c.random.Uniform(0, 120)), nil
}

func (c *car) displayLog(a []Value) (Value, error) { return python.Record("log", a[0]), nil }

func (c *car) feasible(a []Value) (Value, error) {
	reach, err := python.Mul(c.get("fuelLevel"), 20.)
	if err != nil {
		return nil, err
	}
	short, err := python.Compare("<", reach, a[0])
	return python.Record("canDrive", !short), err
}

// scaled is {key: argument * factor}.
func scaled(key string, factor float64) func([]Value) (Value, error) {
	return func(a []Value) (Value, error) {
		v, err := python.Mul(a[0], factor)
		return python.Record(key, v), err
	}
}

var tires = []string{
	"frontLeftTirePressure", "frontRightTirePressure", "rearLeftTirePressure", "rearRightTirePressure",
}

func (c *car) tires([]Value) (Value, error) {
	result, pressures := python.NewDict(), &python.List{}
	for _, tire := range tires {
		_ = result.Set(tire, c.get(tire))
		pressures.Items = append(pressures.Items, c.get(tire))
	}
	mean, err := meanOf(pressures)
	if err != nil {
		return nil, err
	}
	low, err := python.Compare("<=", python.Int(30), mean)
	if err != nil {
		return nil, err
	}
	high, _ := python.Compare("<=", mean, python.Int(35))
	_ = result.Set("healthy_tire_pressure", low && high)
	_ = result.Set("car_info", python.NewDict())
	if c.ext != nil {
		_ = result.Set("car_info", c.ext.text("CAR_STATUS_METADATA_EXTENSION"))
	}
	return result, nil
}

func (c *car) tireShop([]Value) (Value, error) {
	return python.Record("shopLocation", "456 Oakwood Avenue, Rivermist, 83214"), nil
}
