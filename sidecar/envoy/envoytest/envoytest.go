// Package envoytest judges Envoy's messages in tests: whether they keep the
// rules that their protos state, and how they read.
//
//	message -> Validate -> what is wrong, also inside of what is packed
//	message -> Golden   -> compared with a file of YAML
package envoytest

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

// Validate returns every rule that the message breaks, of its own proto or of
// one packed into it at any depth. Envoy refuses a message that breaks one.
// A packed message whose proto states no rules is an error too: those of
// Envoy all do.
func Validate(m proto.Message) error {
	var errs []error
	err := protorange.Range(m.ProtoReflect(), func(path protopath.Values) error {
		last := path.Index(-1)
		switch last.Step.Kind() {
		case protopath.RootStep, protopath.AnyExpandStep:
		default:
			return nil
		}
		message := last.Value.Message().Interface()
		if _, packed := message.(*anypb.Any); packed {
			return nil // what is in it comes next
		}
		rules, ok := message.(interface{ ValidateAll() error })
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s states no rules", path.Path, message.ProtoReflect().Descriptor().FullName()))
			return nil
		}
		if err := rules.ValidateAll(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path.Path, err))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// Golden compares the message with a file of YAML with sorted keys, in which
// what is packed is unfolded. With rewrite it makes the file.
func Golden(t testing.TB, file string, m proto.Message, rewrite bool) {
	t.Helper()
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := yaml.JSONToYAML(raw)
	if err != nil {
		t.Fatal(err)
	}
	if rewrite {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run with -update to make it", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", file, diff)
	}
}
