package curves_test

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"itool/ops/curves"
	"itool/ops/report"
	"itool/stages/evaluate/stats"
)

// ran is the report of a run with two trainings.
func ran() *report.Report {
	half, right := 0.5, 0.25
	i := stats.Interval{Mean: 0.75, N: 8}
	return &report.Report{
		Run: "r1", Created: "2026-01-02T03:04:05Z",
		Policies: []report.Policy{
			{Round: -1, Name: "base", Accuracy: &report.Accuracy{Summary: stats.Summary{Pass: i}}},
			{Round: 0, Name: "warm-up", Curve: []report.Point{
				{Step: 1, Phase: "easy", Loss: 2},
				{Step: 2, Phase: "hard", Loss: 1.5, Validation: &half, Right: &right},
			}},
			{Round: 1, Name: "round 1", Accuracy: &report.Accuracy{Summary: stats.Summary{Pass: i, Calls: i}},
				Curve: []report.Point{{Step: 1, Phase: "simpo", Loss: 0.7, Chosen: -0.25, Rejected: -1, Accuracy: 1}}},
		},
	}
}

// scalar is a number of an event file.
type scalar struct {
	tag  string
	step int64
	v    float32
}

// TestWrite: an independent reader, protobuf's own with TensorBoard's messages, finds every number once. The same run
// gives the same bytes.
func TestWrite(t *testing.T) {
	dir, again := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, again} {
		if n, err := curves.Write(d, ran()); err != nil || n != 3 {
			t.Fatalf("%d steps, %v", n, err)
		}
	}
	const file = "events.out.tfevents.1767323045.itool"
	for folder, want := range map[string][]scalar{
		"warm-up": {
			{"training/loss", 1, 2}, {"training/loss", 2, 1.5}, {"training/validation_loss", 2, 0.5},
			{"training/validation_right", 2, 0.25},
		},
		"round-1": {
			{"training/loss", 1, 0.7}, {"training/chosen", 1, -0.25}, {"training/rejected", 1, -1},
			{"training/margin", 1, 0.75}, {"training/pairs_right", 1, 1},
		},
		"accuracy": {
			{"accuracy/all_rows", -1, 0.75}, {"accuracy/all_rows", 1, 0.75}, {"accuracy/calls", 1, 0.75},
		},
	} {
		text, err := os.ReadFile(filepath.Join(dir, folder, file))
		if err != nil {
			t.Fatal(err)
		}
		same, err := os.ReadFile(filepath.Join(again, folder, file))
		if err != nil || !bytes.Equal(text, same) {
			t.Errorf("%s: other bytes the second time, %v", folder, err)
		}
		if got := read(t, text); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", folder, got, want)
		}
	}
}

// TestCSV: a line for each step; what a step has not is empty.
func TestCSV(t *testing.T) {
	var b bytes.Buffer
	if _, err := curves.CSV(&b, ran()); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	want := [][]string{
		{"policy", "round", "step", "phase", "loss", "validation_loss", "validation_right", "chosen", "rejected",
			"margin", "pairs_right"},
		{"warm-up", "0", "1", "easy", "2", "", "", "", "", "", ""},
		{"warm-up", "0", "2", "hard", "1.5", "0.5", "0.25", "", "", "", ""},
		{"round 1", "1", "1", "simpo", "0.7", "", "", "-0.25", "-1", "0.75", "1"},
	}
	if err != nil || !reflect.DeepEqual(rows, want) {
		t.Errorf("%v, got %v", err, rows)
	}
}

// masked is the checksum of a record, from its description: CRC-32C, rotated right by 15 bits, plus a constant.
func masked(b []byte) uint32 {
	c := uint64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return uint32((c>>15|c<<17)&0xffffffff + 0xa282ead8)
}

// read reads an event file; its first record is the version.
func read(t *testing.T, text []byte) (out []scalar) {
	t.Helper()
	event := eventMessage(t)
	for first := true; len(text) > 0; first = false {
		n := binary.LittleEndian.Uint64(text)
		data := text[12 : 12+n]
		if binary.LittleEndian.Uint32(text[8:]) != masked(text[:8]) ||
			binary.LittleEndian.Uint32(text[12+n:]) != masked(data) {
			t.Fatal("a checksum is wrong")
		}
		text = text[16+n:]
		m := dynamicpb.NewMessage(event)
		if err := proto.Unmarshal(data, m); err != nil || len(m.GetUnknown()) > 0 {
			t.Fatalf("%v, unknown %x", err, m.GetUnknown())
		}
		get := func(m protoreflect.Message, name string) protoreflect.Value {
			return m.Get(m.Descriptor().Fields().ByName(protoreflect.Name(name)))
		}
		if get(m, "wall_time").Float() != 1767323045 {
			t.Errorf("wall time %v", get(m, "wall_time"))
		}
		if first {
			if v := get(m, "file_version").String(); v != "brain.Event:2" {
				t.Errorf("version %q", v)
			}
			continue
		}
		values := get(get(m, "summary").Message(), "value").List()
		for i := range values.Len() {
			v := values.Get(i).Message()
			out = append(out, scalar{get(v, "tag").String(), get(m, "step").Int(),
				float32(get(v, "simple_value").Float())})
		}
	}
	return out
}

// eventMessage describes TensorBoard's messages, as far as they are used.
func eventMessage(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	type kind = descriptorpb.FieldDescriptorProto_Type
	field := func(name string, number int32, k kind, message string, repeated bool) *descriptorpb.FieldDescriptorProto {
		label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		if repeated {
			label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
		}
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Type: &k, Label: &label}
		if message != "" {
			f.TypeName = &message
		}
		return f
	}
	const (
		double, float   = descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, descriptorpb.FieldDescriptorProto_TYPE_FLOAT
		integer, str    = descriptorpb.FieldDescriptorProto_TYPE_INT64, descriptorpb.FieldDescriptorProto_TYPE_STRING
		message         = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
		single, several = false, true
	)
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("event.proto"), Package: proto.String("tensorboard"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Event"), Field: []*descriptorpb.FieldDescriptorProto{
				field("wall_time", 1, double, "", single), field("step", 2, integer, "", single),
				field("file_version", 3, str, "", single), field("summary", 5, message, ".tensorboard.Summary", single),
			}},
			{Name: proto.String("Summary"), Field: []*descriptorpb.FieldDescriptorProto{
				field("value", 1, message, ".tensorboard.Value", several),
			}},
			{Name: proto.String("Value"), Field: []*descriptorpb.FieldDescriptorProto{
				field("tag", 1, str, "", single), field("simple_value", 2, float, "", single),
			}},
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().ByName("Event")
}
