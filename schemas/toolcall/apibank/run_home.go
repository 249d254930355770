package apibank

import (
	"errors"
	"math/big"
	"regexp"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// The APIs of a home, hotels, music and mail. Each gets a call and returns its result; an error says why the
// original refuses the call.

func queryScene(q *request) (python.Value, error) {
	scene, ok := entry(q.db, strings.ToLower(strip(q.text("name"))))
	if !ok {
		return nil, errors.New("the scene does not exist")
	}
	return scene, nil
}

func deleteScene(q *request) (python.Value, error) {
	if _, err := queryScene(q); err != nil {
		return nil, err
	}
	return success, nil
}

// changeDevices refuses all devices: those of an answer are a text, in which the original looks for devices.
func changeDevices(*request) (python.Value, error) { return nil, errors.New("the devices are a text") }

func timedSwitch(q *request) (python.Value, error) {
	if strip(q.text("name")) == "" {
		return nil, errors.New("the name is empty")
	}
	if _, err := moment(q.text("time")); err != nil {
		return nil, err
	}
	return success, nil
}

func cancelSwitch(q *request) (python.Value, error) {
	if _, err := timedSwitch(q); err != nil {
		return nil, err
	}
	at, _ := moment(q.text("time"))
	device, _ := entry(q.db, strings.ToLower(strip(q.text("name"))))
	for _, s := range items(device) {
		if text(s, "time") == at {
			return success, nil
		}
	}
	return nil, errors.New("there is no such switch")
}

func bookHotel(q *request) (python.Value, error) {
	from, err := parseTime(q.text("check_in_time"), day)
	if err != nil {
		return nil, err
	}
	to, err := parseTime(q.text("check_out_time"), day)
	if err != nil {
		return nil, err
	}
	adults, isCount := q.args["adult_count"].(*big.Int)
	rooms, isCountToo := q.args["room_count"].(*big.Int)
	if !isCount || !isCountToo {
		return nil, errors.New("adult_count and room_count are whole numbers")
	}
	if adults.Cmp(big.NewInt(2)) > 0 && rooms.Cmp(big.NewInt(1)) == 0 {
		return nil, errors.New("more than two adults need two rooms")
	}
	orders := 0
	for _, order := range fields(q.db) {
		orders++
		if text(order, "hotel_name") != q.text("hotel_name") {
			continue
		}
		in, err := parseTime(text(order, "check_in_time"), day)
		if err != nil {
			return nil, err
		}
		out, err := parseTime(text(order, "check_out_time"), day)
		if err != nil {
			return nil, err
		}
		if !from.Before(in) && from.Before(out) || to.After(in) && !to.After(out) {
			return nil, errors.New("the room is not available")
		}
	}
	return python.Str(python.Int(int64(orders + 1)))
}

// today is always the same day.
func today(*request) (python.Value, error) { return "2023-03-31", nil }

func playMusic(q *request) (python.Value, error) {
	name := strip(strings.ToLower(q.text("music_name")))
	if name == "" {
		return nil, errors.New("the name is empty")
	}
	return "music://" + name, nil
}

var address = regexp.MustCompile(`^[a-z0-9]+[._]?[a-z0-9]+@` + word + `+[.]` + word + `{2,3}$`)

func sendEmail(q *request) (python.Value, error) {
	switch {
	case !address.MatchString(strip(q.text("receiver"))):
		return nil, errors.New("the receiver is no address")
	case strip(q.text("subject")) == "" || strip(q.text("content")) == "":
		return nil, errors.New("subject or content is empty")
	}
	return success, nil
}
