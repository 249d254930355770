package sim

import (
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// car is VehicleControlAPI. Its public attributes have the names of the configuration but for
// engine_state, and three forces are hidden.
type car struct {
	public *python.Dict // attributes in order
	doors  *python.Dict // {door: "locked" or "unlocked"}, also in public

	parkingForce, slope, brakeForce Value

	random *python.Random
	ext    *Extension
}

const carSeed = 141053

// carDefaults are the first values of attributes; engineState is the configuration's name of
// engine_state.
func carDefaults() *python.Dict {
	return python.Record(
		"fuelLevel", 0., "batteryVoltage", 12.6, "engineState", "stopped", "remainingUnlockedDoors", 4,
		"doorStatus", python.Record("driver", "unlocked", "passenger", "unlocked",
			"rear_left", "unlocked", "rear_right", "unlocked"),
		"acTemperature", 25., "fanSpeed", 50, "acMode", "auto", "humidityLevel", 50.,
		"headLightStatus", "off", "parkingBrakeStatus", "released", "brakePedalStatus", "released",
		"distanceToNextVehicle", 50., "cruiseStatus", "inactive", "destination", "None",
		"frontLeftTirePressure", 32., "frontRightTirePressure", 32.,
		"rearLeftTirePressure", 30., "rearRightTirePressure", 30.)
}

func newCar(s state, ext *Extension) (*car, error) {
	c := &car{public: python.NewDict(), random: python.NewRandom(carSeed), ext: ext}
	defaults := carDefaults()
	for _, key := range defaults.Keys() {
		name := key.(string)
		fallback, _ := defaults.Get(key)
		attribute := name
		if name == "engineState" {
			attribute = "engine_state"
		}
		c.set(attribute, s.or(name, fallback))
	}
	c.parkingForce, c.slope = s.or("parkingBrakeForce", 0.), s.or("slopeAngle", 0.)
	c.brakeForce = s.or("brakePedalForce", 0.)
	var ok bool
	if c.doors, ok = c.get("doorStatus").(*python.Dict); !ok {
		return nil, python.Exception("TypeError", "doorStatus: want an object")
	}
	locked := 0
	for _, door := range c.doors.Keys() {
		if v, _ := c.doors.Get(door); v == "locked" {
			locked++
		}
	}
	c.set("remainingUnlockedDoors", python.Int(int64(4-locked)))
	return c, nil
}

func (c *car) get(attribute string) Value {
	v, _ := c.public.Get(attribute)
	return v
}

func (c *car) set(attribute string, v Value) { _ = c.public.Set(attribute, v) }

// show is a result of attributes: pairs of a key and the attribute's name.
func (c *car) show(pairs ...string) *python.Dict {
	d := python.NewDict()
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = d.Set(pairs[i], c.get(pairs[i+1]))
	}
	return d
}

func (c *car) attributes() []Attribute {
	var all []Attribute
	for _, name := range c.public.Keys() {
		v, _ := c.public.Get(name)
		all = append(all, Attribute{name.(string), v})
	}
	return append(all, Attribute{"long_context", c.ext != nil})
}

func (c *car) methods() map[string]method {
	climate := or(or(or(need("temperature"), "unit", "celsius"), "fanSpeed", python.Int(50)), "mode", "auto")
	return map[string]method{
		"startEngine":                              {need("ignitionMode"), c.startEngine},
		"fillFuelTank":                             {need("fuelAmount"), c.fill},
		"lockDoors":                                {need("unlock", "door"), c.lockDoors},
		"adjustClimateControl":                     {climate, c.climate},
		"get_outside_temperature_from_google":      {nil, c.temperature},
		"get_outside_temperature_from_weather_com": {nil, c.weather},
		"setHeadlights":                            {need("mode"), c.headlights},
		"displayCarStatus":                         {need("option"), c.status},
		"activateParkingBrake":                     {need("mode"), c.parkingBrake},
		"pressBrakePedal":                          {need("pedalPosition"), c.pressBrake},
		"releaseBrakePedal":                        {nil, c.releaseBrake},
		"setCruiseControl":                         {need("speed", "activate", "distanceToNextVehicle"), c.cruise},
		"get_current_speed":                        {nil, c.speed},
		"display_log":                              {need("messages"), c.displayLog},
		"estimate_drive_feasibility_by_mileage":    {need("distance"), c.feasible},
		"liter_to_gallon":                          {need("liter"), scaled("gallon", 0.264172)},
		"gallon_to_liter":                          {need("gallon"), scaled("liter", 3.78541)},
		"estimate_distance":                        {need("cityA", "cityB"), c.distance},
		"get_zipcode_based_on_city":                {need("city"), c.zipcode},
		"set_navigation":                           {need("destination"), c.navigate},
		"check_tire_pressure":                      {nil, c.tires},
		"find_nearest_tire_shop":                   {nil, c.tireShop},
	}
}

func (c *car) startEngine(a []Value) (Value, error) {
	if a[0] == "STOP" {
		c.set("engine_state", "stopped") // and goes on, as the original does
	}
	unlocked, err := python.Compare(">", c.get("remainingUnlockedDoors"), python.Int(0))
	if err != nil {
		return nil, err
	}
	if unlocked {
		var open []string
		for _, door := range c.doors.Keys() {
			if v, _ := c.doors.Get(door); v == "unlocked" {
				name, err := python.Str(door)
				if err != nil {
					return nil, err
				}
				open = append(open, name)
			}
		}
		return fail("All doors must be locked before starting the engine. Here are the unlocked doors: {}",
			strings.Join(open, ", "))
	}
	if c.get("brakePedalStatus") != "pressed" {
		return fail("Brake pedal needs to be pressed when starting the engine.")
	}
	if !python.Equal(c.brakeForce, 1000.) {
		return fail("Must press the brake fully before starting the engine.")
	}
	empty, err := python.Compare("<", c.get("fuelLevel"), python.Int(0))
	if err != nil {
		return nil, err
	}
	if empty {
		return fail("Fuel tank is empty.")
	}
	if a[0] != "START" {
		return fail("Invalid ignition mode.")
	}
	c.set("engine_state", "running")
	return c.show("engineState", "engine_state", "fuelLevel", "fuelLevel", "batteryVoltage", "batteryVoltage"), nil
}

func (c *car) fill(a []Value) (Value, error) {
	negative, err := python.Compare("<", a[0], python.Int(0))
	if err != nil {
		return nil, err
	}
	if negative {
		return fail("Fuel amount cannot be negative.")
	}
	level, err := python.Add(c.get("fuelLevel"), a[0])
	if err != nil {
		return nil, err
	}
	over, err := python.Compare(">", level, python.Int(50))
	if err != nil {
		return nil, err
	}
	if over {
		return fail("Cannot fill gas above the tank capacity.")
	}
	c.set("fuelLevel", level)
	return python.Record("fuelLevel", level), nil
}

func (c *car) lockDoors(a []Value) (Value, error) {
	unlock := python.Truthy(a[0])
	doors, err := python.Iterate(a[1])
	if err != nil {
		return nil, err
	}
	before, after, step := Value("unlocked"), Value("locked"), int64(-1)
	if unlock {
		before, after, step = after, before, 1
	}
	for _, door := range doors {
		v, err := c.doors.Index(door)
		if err != nil {
			return nil, err
		}
		if v != before {
			continue
		}
		if err := c.doors.Set(door, after); err != nil {
			return nil, err
		}
		left, err := python.Add(c.get("remainingUnlockedDoors"), python.Int(step))
		if err != nil {
			return nil, err
		}
		c.set("remainingUnlockedDoors", left)
	}
	return python.Record("lockStatus", after, "remainingUnlockedDoors", c.get("remainingUnlockedDoors")), nil
}

func (c *car) climate(a []Value) (Value, error) {
	temperature, unit, fan, mode := a[0], a[1], a[2], a[3]
	low, err := python.Compare("<=", python.Int(0), fan)
	if err != nil {
		return nil, err
	}
	if high, _ := python.Compare("<=", fan, python.Int(100)); !low || !high {
		return fail("Fan speed must be between 0 and 100.")
	}
	stored := temperature
	if unit == "fahrenheit" {
		if stored, err = celsius(temperature); err != nil {
			return nil, err
		}
	}
	c.set("acTemperature", stored)
	c.set("fanSpeed", fan)
	c.set("acMode", mode)
	return python.Record("currentACTemperature", temperature, "climateMode", mode,
		"humidityLevel", c.get("humidityLevel")), nil
}

func (c *car) temperature([]Value) (Value, error) {
	outside := c.random.Uniform(-10, 40)
	if c.ext == nil {
		return python.Record("outsideTemperature", outside), nil
	}
	long := c.ext.dict("LONG_WEATHER_EXTENSION").Shallow()
	_ = long.Set("outsideTemperature", outside)
	return long, nil
}

func (c *car) weather([]Value) (Value, error) { return python.Record("error", 404), nil }

func (c *car) headlights(a []Value) (Value, error) {
	if err := hashable(a[0]); err != nil && python.TypeName(a[0]) != "list" {
		return fail("Invalid headlight mode.")
	}
	switch a[0] {
	case "on":
		c.set("headLightStatus", "on")
	case "off", "auto":
		c.set("headLightStatus", "off")
	default:
		return fail("Invalid headlight mode.")
	}
	return c.show("headlightStatus", "headLightStatus"), nil
}

func (c *car) status(a []Value) (Value, error) {
	status := python.NewDict()
	if c.ext != nil {
		_ = status.Set("metadata", c.ext.text("CAR_STATUS_METADATA_EXTENSION"))
	}
	shown := c.option(a[0])
	for _, key := range shown.Keys() {
		v, _ := shown.Get(key)
		_ = status.Set(key, v)
	}
	return status, nil
}

func (c *car) option(name Value) *python.Dict {
	switch name {
	case "fuel":
		return c.show("fuelLevel", "fuelLevel")
	case "battery":
		return c.show("batteryVoltage", "batteryVoltage")
	case "doors":
		return c.show("doorStatus", "doorStatus")
	case "climate":
		return c.show("currentACTemperature", "acTemperature", "fanSpeed", "fanSpeed", "climateMode", "acMode",
			"humidityLevel", "humidityLevel")
	case "headlights":
		return c.show("headlightStatus", "headLightStatus")
	case "parkingBrake":
		return python.Record("parkingBrakeStatus", c.get("parkingBrakeStatus"),
			"parkingBrakeForce", c.parkingForce, "slopeAngle", c.slope)
	case "brakePedal":
		return python.Record("brakePedalStatus", c.get("brakePedalStatus"), "brakePedalForce", c.brakeForce)
	case "engine":
		return c.show("engineState", "engine_state")
	}
	return python.Record("error", "Invalid option")
}

func (c *car) parkingBrake(a []Value) (Value, error) {
	switch a[0] {
	case "engage":
		c.set("parkingBrakeStatus", "engaged")
		c.parkingForce = 500.
	case "release":
		c.set("parkingBrakeStatus", "released")
		c.parkingForce = 0.
	default:
		return fail("Invalid mode")
	}
	c.slope = 10.
	result := python.NewDict()
	if c.ext != nil {
		_ = result.Set("parkingBrakeInstruction", c.ext.text("PARKING_BRAKE_INSTRUCTION"))
	}
	_ = result.Set("parkingBrakeStatus", c.get("parkingBrakeStatus"))
	_ = result.Set("_parkingBrakeForce", c.parkingForce)
	_ = result.Set("_slopeAngle", c.slope)
	return result, nil
}

func (c *car) pressBrake(a []Value) (Value, error) {
	low, err := python.Compare("<=", python.Int(0), a[0])
	if err != nil {
		return nil, err
	}
	if high, _ := python.Compare("<=", a[0], python.Int(1)); !low || !high {
		return fail("Pedal position must be between 0 and 1.")
	}
	force, err := python.Float(a[0])
	if err != nil {
		return nil, err
	}
	c.brakeForce = force * 1000
	c.set("brakePedalStatus", "pressed")
	if force == 0 {
		c.brakeForce = 0.
		c.set("brakePedalStatus", "released")
	}
	return python.Record("brakePedalStatus", c.get("brakePedalStatus"), "brakePedalForce", c.brakeForce), nil
}

func (c *car) releaseBrake([]Value) (Value, error) {
	c.set("brakePedalStatus", "released")
	c.brakeForce = 0.
	return python.Record("brakePedalStatus", "released", "brakePedalForce", 0.), nil
}
