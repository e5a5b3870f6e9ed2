package foxglove

import (
	"encoding/json"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/oodcast/oodcast/publish/schema"
)

// descriptors returns the FileDescriptorSet of a message: its file, preceded by the files that it imports.
func descriptors(d protoreflect.MessageDescriptor) ([]byte, error) {
	set, seen := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	add(d.ParentFile())
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}

// jsonSchema returns the JSON schema of a sample, none of whose fields may be empty.
func jsonSchema(sample any) ([]byte, error) {
	b, err := json.Marshal(sample)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	return json.Marshal(describe(v))
}

func describe(v any) map[string]any {
	switch v := v.(type) {
	case map[string]any:
		properties := map[string]any{}
		for key, value := range v {
			properties[key] = describe(value)
		}
		return map[string]any{"type": "object", "properties": properties}
	case []any:
		items := map[string]any{}
		if len(v) > 0 {
			items = describe(v[0])
		}
		return map[string]any{"type": "array", "items": items}
	case string:
		if _, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return map[string]any{"type": "string", "format": "date-time"}
		}
		return map[string]any{"type": "string"}
	case float64:
		return map[string]any{"type": "number"}
	case bool:
		return map[string]any{"type": "boolean"}
	default:
		return map[string]any{}
	}
}

func sampleScore() schema.Score {
	return schema.Score{Captured: time.Unix(0, 0), Timesteps: []int{1}}
}

func sampleEvent() schema.Event {
	now := time.Unix(0, 0)
	return schema.Event{
		Start: now, Time: now, PeakTime: now, Polygon: [][2]float64{{0, 0}}, Timesteps: []int{1},
		Reason: "gone", Into: "id", Snapshot: "path", Clip: "path",
	}
}

func sampleStatus() schema.Status {
	now := time.Unix(0, 0)
	return schema.Status{
		Since: now, Time: now, Reason: "why", Source: "uri", Timesteps: schema.Timesteps{N: 1}, LatencyBudget: 1,
		TimestepsReason: "why", Stats: schema.Stats{BudgetMisses: 1, TimestepsChanges: 1},
	}
}
