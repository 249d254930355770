// Package access says who may do what: one user of the broker, and one policy of the store, for
// every stage and for the people around them.
//
//	roles := access.Roles(line.Rows(nil))
//	auth := access.NATS(roles)                           // auth.conf of a nats-server
//	policy, err := access.S3(roles[0], "itool", "team-a") // a policy of MinIO or S3, as JSON
//
// A worker can then publish the records of its stage and nothing else: no task, no manifest, no
// gather, no result of another stage; and it takes no items but its own. What it may read is
// confined, too, but less strictly: see [broker.Rights.Permissions] for both limits.
package access

import (
	"slices"

	"itool/broker"
	"itool/ops/line"
	"itool/schemas"
)

// Names of the roles that are no stages.
const (
	Publisher = "publisher" // starts, cancels and watches runs
	Keeper    = "keeper"    // opens rounds and gathers them
	Viewer    = "viewer"    // watches, reads reports, exports policies
	Operator  = "operator"  // everything: retire, requeue, gc, doctor
)

// Role is what one user may do at the broker and in the store.
type Role struct {
	Name   string // of the user and of its inbox: a stage, or one of the constants
	Broker broker.Rights
	Store  Store
}

// Store are key patterns of the store, where * stands for any text.
type Store struct{ Read, Write, Delete []string }

// open are the records that say how a run goes on; every role reads them.
var open = []string{
	schemas.RecordRun, schemas.RecordManifest, schemas.RecordGather, schemas.RecordPolicy, schemas.RecordFailed,
	schemas.RecordRefused, schemas.RecordCancel, schemas.RecordEnd,
}

// Keys of the store: see courier, worker, line and checkpoint, which write them.
const (
	bodies      = "runs/*/bodies/*"
	checkpoints = "checkpoints/*"
	shards      = "shards/*"
	everything  = "*"
)

// Roles are the roles of a line: one for each stage in its order, then the others.
func Roles(table line.Table) []Role {
	var roles []Role
	var names []string
	for _, stage := range table.Stages() {
		names = append(names, stage.Spec().Name)
	}
	for _, row := range table {
		roles = append(roles, stageRole(row, names))
	}
	all := []string{"*"}
	return append(roles,
		Role{Publisher, broker.Rights{
			Inbox: Publisher, Stages: names, Read: all, Write: []string{schemas.RecordCancel}, Start: true,
		}, Store{Read: []string{everything}, Write: []string{bodies, checkpoints, shards}}},
		Role{Keeper, broker.Rights{
			Inbox: Keeper, Stages: names, Read: all, Write: all, Keep: true,
		}, Store{Read: []string{everything}, Write: []string{bodies}}},
		Role{Viewer, broker.Rights{Inbox: Viewer, Stages: names, Read: all}, Store{Read: []string{everything}}},
		Role{Operator, broker.Rights{Inbox: Operator, Operate: true},
			Store{Read: []string{everything}, Write: []string{everything}, Delete: []string{everything}}},
	)
}

func stageRole(row line.Row, names []string) Role {
	spec := row.Spec()
	read := slices.Concat(open, []string{spec.Wakes, spec.Writes}, spec.Also)
	slices.Sort(read)
	resume := "runs/*/resume/" + spec.Name + "-*"
	r := Role{
		Name: spec.Name,
		Broker: broker.Rights{
			Inbox: spec.Name, Stages: names, Read: slices.Compact(read),
			Write: []string{spec.Writes, schemas.RecordFailed}, Pull: spec.Name, Lease: spec.Gather,
		},
		Store: Store{
			Read:   []string{bodies, resume},
			Write:  []string{bodies, "runs/*/attached/" + spec.Name + "/*", resume},
			Delete: []string{resume},
		},
	}
	if !spec.NoPolicy {
		r.Store.Read = append(r.Store.Read, checkpoints)
	}
	if spec.Wakes == schemas.RecordShard {
		r.Store.Read = append(r.Store.Read, shards)
	}
	if spec.Writes == schemas.RecordPolicy {
		r.Store.Write = append(r.Store.Write, checkpoints)
	}
	return r
}
