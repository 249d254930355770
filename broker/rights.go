package broker

import "slices"

// Rights say in the words of this package what a user of the broker does. Permissions turns
// them into the subjects that its server must allow.
type Rights struct {
	Inbox  string   // Config.InboxToken of the user: answers arrive on _INBOX_<Inbox>.>
	Read   []string // kinds of record that it reads, such as pair; "*": all
	Write  []string // kinds of record that it writes; "*": all
	Pull   string   // the stage whose items it takes; "": it takes none
	Lease  bool     // it holds leases
	Stages []string // all stages: it may not touch the queues of the others

	Start   bool // it starts runs: makes their streams, and writes their start messages
	Keep    bool // it keeps runs: makes queues, changes quotas, removes refused results, shows states
	Operate bool // it does everything, such as deleting runs
}

// Permissions are the subjects on which a user may publish and subscribe, in the form of the
// server's configuration. Deny wins over allow.
type Permissions struct {
	Publish, Subscribe Subjects
	Answer             bool // it may answer each question that reaches it, on the inbox that the question names
}

// Subjects are patterns of subjects.
type Subjects struct{ Allow, Deny []string }

const api = "$JS.API."

// Permissions returns the least subjects that the rights need. The server does not check where a
// consumer delivers: a user who may make one, which reading a list of records needs, can have
// copies of those records delivered to any subject. On a cluster the server cannot
// confine which records are read: a read that the stream's leader must answer names the
// record in its body (STREAM.MSG.GET), so that is allowed for every record.
func (r Rights) Permissions() Permissions {
	p := Permissions{Answer: r.Pull != ""}
	p.Subscribe.Allow = []string{"_INBOX_" + r.Inbox + ".>", "itool.hint.*", "itool.progress.*"}
	if r.Operate {
		p.Publish.Allow = []string{"itool.>", api + ">", "$JS.ACK.>", "$KV.itool_leases.>", "$KV.itool_handbacks.>",
			"$KV.itool_states.>"}
		return p
	}
	p.Publish.Allow = slices.Concat(r.look(), r.records(), r.pull(), r.start(), r.keep())
	p.Publish.Deny = r.denied()
	if r.Pull != "" {
		p.Subscribe.Allow = append(p.Subscribe.Allow, askPrefix+"*")
	}
	return p
}

// look is what every user does: it finds runs, reads their start messages, and reads records
// that only the leader of their stream may have yet.
func (r Rights) look() []string {
	return []string{
		api + "INFO", api + "STREAM.NAMES", api + "STREAM.LIST", api + "STREAM.INFO.*", api + "STREAM.MSG.GET.*",
		api + "CONSUMER.CREATE." + streamRuns + ".*." + startPrefix + "*",
		api + "DIRECT.GET." + streamRuns + "." + startPrefix + "*",
		api + "CONSUMER.INFO.*.*", api + "CONSUMER.LIST.*", api + "CONSUMER.MSG.NEXT.*.*", api + "CONSUMER.DELETE.*.*",
		"itool.hint.*", askPrefix + "*",
	}
}

// records is how records are read and written.
func (r Rights) records() (all []string) {
	for _, record := range r.Read {
		filter := runPrefix + "*." + record + ".*.*"
		all = append(all, api+"DIRECT.GET.*."+filter, api+"CONSUMER.CREATE.*.*."+filter)
	}
	for _, record := range r.Write {
		all = append(all, runPrefix+"*."+record+".*.*")
	}
	return all
}

// pull is how a worker takes items and gives them back.
func (r Rights) pull() (all []string) {
	if r.Pull == "" {
		return nil
	}
	all = []string{
		api + "CONSUMER.CREATE.*." + r.Pull,
		"$JS.ACK.*." + r.Pull + ".>", "$JS.ACK.*.*.*." + r.Pull + ".>", // the second with domain and account
		"$KV." + bucketHandBacks + ".*." + r.Pull + ".*", "itool.progress.*",
	}
	if r.Lease {
		all = append(all, "$KV."+bucketLeases+".*")
	}
	return all
}

func (r Rights) start() []string {
	if !r.Start {
		return nil
	}
	return []string{startPrefix + "*", api + "STREAM.CREATE.*"}
}

func (r Rights) keep() []string {
	if !r.Keep {
		return nil
	}
	return []string{
		api + "STREAM.CREATE.*", api + "STREAM.UPDATE.*", api + "STREAM.MSG.DELETE.*",
		api + "CONSUMER.CREATE.*.*", "$KV." + bucketStates + ".*",
	}
}

// denied are the subjects by which items of other stages could be taken, and queues removed. A
// queue's name and that of a consumer that reads records stand at the same place of a subject, so
// that a wildcard which allows the one would allow the other.
func (r Rights) denied() (all []string) {
	for _, stage := range r.Stages {
		all = append(all, api+"CONSUMER.DELETE.*."+stage)
		if stage == r.Pull {
			continue
		}
		all = append(all, api+"CONSUMER.MSG.NEXT.*."+stage)
		if !r.Keep {
			all = append(all, api+"CONSUMER.CREATE.*."+stage, api+"CONSUMER.CREATE.*."+stage+".>")
		}
	}
	return all
}
