package apibank

import (
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// api is what the original has as a class.
type api struct {
	inputs   []input
	database string                               // that it reads; ""
	run      func(*request) (python.Value, error) // nil: it cannot run here
	rule     func(*check) bool
	open     bool // what is not given is no part of the recorded input
}

// input is a declared parameter.
type input struct {
	name     string
	kind     string // "int", "bool", else a text
	optional bool
}

// inputs reads declarations such as "name", "count:int", "date?", "code?:int".
func inputs(declared string) (all []input) {
	for _, d := range strings.Fields(declared) {
		name, kind, _ := strings.Cut(d, ":")
		name, optional := strings.CutSuffix(name, "?")
		all = append(all, input{name, kind, optional})
	}
	return all
}

func (a *api) input(name string) (input, bool) {
	for _, in := range a.inputs {
		if in.name == name {
			return in, true
		}
	}
	return input{}, false
}

// recorded is the input as a result has it.
func (a *api) recorded(args map[string]python.Value) python.Value {
	if len(a.inputs) == 0 {
		return nil
	}
	d := python.NewDict()
	for _, in := range a.inputs {
		if v, given := args[in.name]; given || !a.open {
			_ = d.Set(in.name, v) // a text has a hash
		}
	}
	return d
}

// on declares an API that reads a database.
func on(database, declared string, run func(*request) (python.Value, error), rule func(*check) bool) *api {
	return &api{inputs: inputs(declared), database: database, run: run, rule: rule}
}

// away declares one that cannot run here.
func away(declared string) *api { return &api{inputs: inputs(declared)} }

// Things of users at a time.
var (
	agendas = diary{
		times: []string{"time"}, topic: "content", match: []pair{{"content", "content"}, {"time", "time"}},
	}
	alarms   = diary{times: []string{"time"}, match: []pair{{"time", "time"}}}
	changes  = diary{times: []string{"from_time", "to_time"}, match: []pair{{"time", "from_time"}}}
	meetings = diary{
		times: []string{"start_time", "end_time"}, topic: "meeting_topic",
		match: []pair{{"meeting_topic", "meeting_topic"}, {"start_time", "start_time"}},
	}
)

const (
	agendaInputs  = "token content time location"
	meetingInputs = "token meeting_topic start_time end_time location attendees"
)

// apis are those of levels 1 and 2.
var apis = map[string]*api{
	"CheckToken":     on("Account", "token", checkToken, whole),
	"DeleteAccount":  on("Account", "token", deleteAccount, whole),
	"ForgotPassword": forgotPassword(),
	"GetUserToken":   on("Account", "username password", userToken, whole),
	"ModifyPassword": on("Account", "token old_password new_password", modifyPassword, whole),
	"RegisterUser":   on("Account", "username password email", registerUser, account),

	"AddAgenda":    on("Agenda", agendaInputs, agendas.add, both(nameOnly, agenda)),
	"DeleteAgenda": on("Agenda", agendaInputs, agendas.change, deletion),
	"ModifyAgenda": on("Agenda", agendaInputs, agendas.change, agenda),
	"QueryAgenda":  on("Agenda", agendaInputs, agendas.query, agenda),

	"AddAlarm":    on("Alarm", "token time", alarms.add, whole),
	"DeleteAlarm": on("Alarm", "token time", alarms.change, whole),
	"ModifyAlarm": on("Alarm", "token from_time to_time", changes.change, whole),
	"QueryAlarm":  on("Alarm", "token time", alarms.query, whole),

	"AddMeeting":    on("Meeting", meetingInputs, meetings.add, meeting),
	"DeleteMeeting": on("Meeting", meetingInputs, meetings.change, deletion),
	"ModifyMeeting": on("Meeting", meetingInputs, meetings.change, meeting),
	"QueryMeeting":  on("Meeting", meetingInputs, meetings.query, meeting),

	"AddReminder":    on("Reminder", "token content time", agendas.add, both(nameOnly, reminder)),
	"DeleteReminder": on("Reminder", "token content time", agendas.changeNamed, deletion),
	"ModifyReminder": on("Reminder", "token content time", agendas.changeNamed, both(nameOnly, reminder)),
	"QueryReminder":  on("Reminder", "token content time", agendas.queryNamed, reminder),

	"AppointmentRegistration": on("Appointments", "patient_name date doctor_name", register,
		registered(form{name: "patient_name", of: stripped}, form{name: "date", of: date},
			form{name: "doctor_name", of: stripped})),
	"CancelRegistration": on("Appointments", "appointment_id", cancelRegistration,
		inputsAs(form{name: "appointment_id", of: stripped})),
	"ModifyRegistration": on("Appointments", "appointment_id new_appointment_date? new_appointment_doctor?",
		modifyRegistration, inputsAs(form{name: "appointment_id", of: stripped},
			form{name: "new_appointment_date", of: date, optional: true},
			form{name: "new_appointment_doctor", of: stripped, optional: true})),
	"QueryRegistration": on("Appointments", "patient_name date", queryRegistration,
		inputsAs(form{name: "patient_name", of: stripped}, form{name: "date", of: date})),

	"AddScene":    on("Scenes", "name devices", changeDevices, devices),
	"DeleteScene": on("Scenes", "name", deleteScene, inputsAs(form{name: "name", of: lower})),
	"ModifyScene": on("Scenes", "name devices", changeDevices, devices),
	"QueryScene":  on("Scenes", "name", queryScene, inputsAs(form{name: "name", of: lower})),

	"CancelTimedSwitch": on("TimeSwitch", "name time", cancelSwitch,
		inputsAs(form{name: "name", of: lower}, form{name: "time", of: moment})),
	"TimedSwitch": on("TimeSwitch", "name time on:bool", timedSwitch,
		inputsAs(form{name: "name", of: lower}, form{name: "time", of: moment}, form{name: "on"})),

	"QueryHealthData": on("HealthData", "user_id start_time end_time", queryHealth,
		inputsAs(form{name: "user_id", of: upper}, form{name: "start_time", of: moment},
			form{name: "end_time", of: moment})),
	"RecordHealthData": on("HealthData", "user_id time health_data?", recordHealth, recorded),

	"EmergencyKnowledge": on("Symptom", "symptom", symptoms("aid"),
		inputsAs(form{name: "symptom", of: symptom, raises: true})),
	"SymptomSearch": on("Symptom", "symptom", symptoms("description"),
		inputsAs(form{name: "symptom", of: symptom, raises: true})),

	"BookHotel": on("Hotel", "hotel_name check_in_time check_out_time room_count:int adult_count:int child_count:int",
		bookHotel, whole),
	"Calculator": on("", "formula", calculate, inputsAs(form{name: "formula", of: tight})),
	"DocumentQA": on("QuestionAnswering", "url question", answerQuestion,
		inputsAs(form{name: "url", of: stripped}, form{name: "question", of: stripped})),
	"GetToday":        on("", "", today, anyDay),
	"ImageCaption":    on("ImageCaptioning", "url", caption, whole),
	"OpenBankAccount": on("", "account password name", openAccount, whole),
	"PlayMusic":       on("", "music_name", playMusic, output),
	"QueryBalance":    on("Bank", "token", balance, inputsAs(form{name: "token", of: stripped})),
	"QueryHistoryToday": on("History", "date", historyToday,
		inputsAs(form{name: "date", of: anniversary})),
	"QueryStock": on("Stock", "stock_code date", stock,
		inputsAs(form{name: "stock_code", of: upper}, form{name: "date", of: date})),
	"SendEmail": on("", "receiver subject content", sendEmail, inputsAs(form{name: "receiver", of: lower},
		form{name: "subject", of: stripped}, form{name: "content", of: stripped})),
	"SpeechRecognition": on("SpeechRecognition", "url", transcript, whole),
	"Wiki":              on("Wiki", "keyword", wiki, named),

	"Dictionary":   away("keyword"),
	"SearchEngine": away("keyword"),
	"ToolSearcher": away("keywords"),
	"Translate":    away("src src_lang? tgt_lang?"),
}
