package convert

import (
	"cmp"
	"encoding/json"
	"reflect"
	"testing"

	kubejson "k8s.io/apimachinery/pkg/util/json"
)

// Whatever an object holds, it is refused or becomes one that comes back and
// that clients of the stored version can decode.
func FuzzConvert(f *testing.F) {
	for _, seed := range []string{
		`{"kind":"TrafficSplit","apiVersion":"split.smi-spec.io/v1alpha1","spec":{"service":"a","backends":[{"service":"b","weight":"500m"},{"weight":1}]}}`,
		`{"kind":"TrafficSplit","apiVersion":"split.smi-spec.io/v1alpha4","metadata":{"annotations":{"heddle.dev/spec-v1alpha1":"{}"}},"spec":{"matches":[{}]}}`,
		`{"kind":"TrafficTarget","apiVersion":"access.smi-spec.io/v1alpha1","destination":{"port":80},"specs":[{"kind":"TCPRoute","name":"t"}],"sources":[{"port":1}]}`,
		`{"kind":"TrafficTarget","apiVersion":"access.smi-spec.io/v1alpha3","spec":{"destination":{},"rules":[{"kind":"HTTPRouteGroup"},{"kind":"TCPRoute","name":":80"}]}}`,
		`{"kind":"HTTPRouteGroup","apiVersion":"specs.smi-spec.io/v1alpha2","matches":[{"name":"m","headers":[{"a":"b"}]}]}`,
		`{"kind":"TCPRoute","apiVersion":"specs.smi-spec.io/v1alpha3","spec":{}}`,
	} {
		for _, version := range []string{"v1alpha1", "v1alpha2", "v1alpha3", "v1alpha4"} {
			f.Add([]byte(seed), version)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, version string) {
		var object map[string]any
		for range 3 { // as an API server has it: 1.0 is 1
			object = nil
			if err := kubejson.Unmarshal(raw, &object); err != nil {
				return
			}
			var err error
			if raw, err = json.Marshal(object); err != nil {
				t.Fatal(err)
			}
		}
		kind, _ := object["kind"].(string)
		family, known := families[kind]
		converted, err := Convert(object, family.group+"/"+version)
		if err != nil {
			return
		}
		if !known {
			t.Fatalf("an object of kind %q was converted", kind)
		}
		if _, err := json.Marshal(converted); err != nil {
			t.Fatal(err)
		}
		_, from, before := bodyOf(object)
		_, _, after := bodyOf(converted)
		spoken := func(version string) *dialect {
			return cmp.Or(family.kind.versions[version].dialect, family.kind.newest)
		}
		if spoken(from) != spoken(version) && spoken(version) == family.kind.newest {
			if err := family.kind.newest.check(after); err != nil {
				t.Errorf("a client can't decode %v: %v", converted, err)
			}
		}
		if before == nil || spoken(from).check(before) != nil {
			return // a schema refuses it
		}
		back, err := Convert(converted, object["apiVersion"].(string))
		if err != nil {
			t.Fatalf("%v does not come back: %v", converted, err)
		}
		if _, _, got := bodyOf(back); !reflect.DeepEqual(before, got) {
			t.Errorf("%v\ncame back as %v", before, got)
		}
	})
}
