package apibank

import (
	"errors"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// newAppointment stands for the number that the original draws, which never begins with 0.
const newAppointment = "00000000"

func register(q *request) (python.Value, error) {
	patient, doctor := strip(q.text("patient_name")), strip(q.text("doctor_name"))
	if patient == "" || doctor == "" {
		return nil, errors.New("the name of patient or doctor is empty")
	}
	on, err := date(q.text("date"))
	if err != nil {
		return nil, err
	}
	for _, a := range fields(q.db) {
		if d, err := date(text(a, "date")); text(a, "patient_name") == patient && err == nil && d == on {
			return nil, errors.New("the patient has an appointment on this day")
		}
	}
	return newAppointment, nil
}

func cancelRegistration(q *request) (python.Value, error) {
	if _, ok := entry(q.db, strip(q.text("appointment_id"))); !ok {
		return nil, errors.New("there is no such appointment")
	}
	return success, nil
}

func modifyRegistration(q *request) (python.Value, error) {
	appointment, ok := entry(q.db, strip(q.text("appointment_id")))
	if !ok {
		return nil, errors.New("there is no such appointment")
	}
	_, newDate := q.args["new_appointment_date"]
	_, newDoctor := q.args["new_appointment_doctor"]
	doctor := strip(q.text("new_appointment_doctor"))
	if newDoctor && doctor == "" {
		return nil, errors.New("the doctor's name is empty")
	}
	on, err := date(q.text("new_appointment_date"))
	switch {
	case newDate && err != nil:
		return nil, err
	case !newDate && !newDoctor,
		newDate && on == text(appointment, "date"),
		newDoctor && doctor == text(appointment, "doctor_name"):
		return nil, errors.New("nothing is changed, or only one of what is given")
	}
	return success, nil
}

func queryRegistration(q *request) (python.Value, error) {
	on, err := date(q.text("date"))
	if err != nil {
		return nil, err
	}
	found := python.NewDict()
	for id, a := range fields(q.db) {
		if d, err := date(text(a, "date")); text(a, "patient_name") == strip(q.text("patient_name")) &&
			err == nil && d == on {
			_ = found.Set(id, a) // it was a key already
		}
	}
	if found.Len() == 0 {
		return nil, errors.New("there is no such appointment")
	}
	return found, nil
}

func queryHealth(q *request) (python.Value, error) {
	user, _ := upper(q.text("user_id"))
	if user == "" {
		return nil, errors.New("the user id is empty")
	}
	from, err := moment(q.text("start_time"))
	if err != nil {
		return nil, err
	}
	to, err := moment(q.text("end_time"))
	if err != nil {
		return nil, err
	}
	if from > to {
		return nil, errors.New("the start is later than the end")
	}
	all, ok := entry(q.db, user)
	if !ok {
		return nil, errors.New("the user id does not exist")
	}
	found := python.NewList()
	for _, record := range items(all) {
		if at, err := moment(text(record, "time")); err == nil && from <= at && at <= to {
			found.Items = append(found.Items, record)
		}
	}
	if len(found.Items) == 0 {
		return nil, errors.New("there are no data of this time")
	}
	return found, nil
}

// recordHealth refuses all data: those of an answer are a text, in which the original looks for records.
func recordHealth(q *request) (python.Value, error) {
	if user, _ := upper(q.text("user_id")); user == "" {
		return nil, errors.New("the user id is empty")
	}
	if _, err := moment(q.text("time")); err != nil {
		return nil, err
	}
	if q.text("health_data") == "" {
		return nil, errors.New("there are no data")
	}
	return nil, errors.New("the data are a text")
}

// symptoms returns name and one more field of what has the symptom.
func symptoms(field string) func(*request) (python.Value, error) {
	return func(q *request) (python.Value, error) {
		s, err := symptom(q.text("symptom"))
		if err != nil {
			return nil, err
		}
		all, ok := entry(q.db, s)
		if !ok {
			return nil, errors.New("the symptom does not exist")
		}
		found := python.NewList()
		for _, disease := range items(all) {
			name, _ := entry(disease, "name")
			value, _ := entry(disease, field)
			found.Items = append(found.Items, python.Record("name", name, field, value))
		}
		return found, nil
	}
}
