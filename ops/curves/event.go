package curves

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"itool/ops/report"
)

// writer writes events in TensorBoard's format: records with checksums, each a protobuf message Event. It keeps the
// first error.
type writer struct {
	out  io.Writer
	made float64 // the wall time of all events, in seconds since 1970
	err  error
}

// The fields of the messages Event, Summary and Summary.Value that are used.
const (
	eventTime, eventStep, eventVersion, eventSummary = 1, 2, 3, 5
	summaryValue                                     = 1
	valueTag, valueNumber                            = 1, 2
)

// newWriter begins a file. Steps have no time of their own: a resumed step would have another one.
func newWriter(out io.Writer, made time.Time) *writer {
	w := &writer{out: out, made: float64(made.Unix())}
	b := w.begin()
	b = protowire.AppendTag(b, eventVersion, protowire.BytesType)
	w.record(protowire.AppendString(b, "brain.Event:2"))
	return w
}

func (w *writer) begin() []byte {
	b := protowire.AppendTag(nil, eventTime, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, math.Float64bits(w.made))
}

// training writes the steps of a policy's training.
func (w *writer) training(p report.Policy) {
	for _, point := range p.Curve {
		values := series(point)
		for _, c := range columns {
			if v := values[c]; v != nil {
				w.scalar("training/"+c, point.Step, *v)
			}
		}
	}
}

// accuracy writes the accuracy of each policy; the step is its round, and −1 is the base.
func (w *writer) accuracy(all []report.Policy) {
	for _, p := range all {
		if p.Accuracy == nil {
			continue
		}
		w.scalar("accuracy/all_rows", p.Round, p.Accuracy.Pass.Mean)
		if p.Accuracy.Calls.N > 0 {
			w.scalar("accuracy/calls", p.Round, p.Accuracy.Calls.Mean)
		}
	}
}

// scalar writes one number.
func (w *writer) scalar(tag string, step int, v float64) {
	value := protowire.AppendTag(nil, valueTag, protowire.BytesType)
	value = protowire.AppendString(value, tag)
	value = protowire.AppendTag(value, valueNumber, protowire.Fixed32Type)
	value = protowire.AppendFixed32(value, math.Float32bits(float32(v)))
	summary := protowire.AppendTag(nil, summaryValue, protowire.BytesType)
	summary = protowire.AppendBytes(summary, value)
	b := protowire.AppendTag(w.begin(), eventStep, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(int64(step)))
	b = protowire.AppendTag(b, eventSummary, protowire.BytesType)
	w.record(protowire.AppendBytes(b, summary))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is CRC-32C, masked as in TFRecord: rotated right by 15 bits, plus a constant.
func checksum(b []byte) uint32 {
	crc := crc32.Checksum(b, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}

// record writes a record of TFRecord: length, its checksum, the data, their checksum.
func (w *writer) record(data []byte) {
	if w.err != nil {
		return
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, checksum(b))
	b = append(b, data...)
	_, w.err = w.out.Write(binary.LittleEndian.AppendUint32(b, checksum(data)))
}
