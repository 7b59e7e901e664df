package convert

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// converter is Convert, or what is held to the same properties.
type converter func(object map[string]any, apiVersion string) (map[string]any, error)

func eachKind(t *testing.T, property func(t *rapid.T, kind string)) {
	t.Helper()
	for _, kind := range slices.Sorted(maps.Keys(families)) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { property(t, kind) })
		})
	}
}

// through converts an object to one version after the other.
func through(by converter, object map[string]any, kind string, versions ...string) (map[string]any, error) {
	for _, version := range versions {
		var err error
		if object, err = by(object, families[kind].group+"/"+version); err != nil {
			return nil, fmt.Errorf("to %s: %w", version, err)
		}
	}
	return object, nil
}

// widened names something that the converted object does and the written one
// doesn't; it is empty if there is nothing.
func widened(written, converted map[string]any) string {
	kind, _, _ := bodyOf(written)
	switch kind {
	case "TrafficSplit":
		for _, matched := range []bool{true, false} {
			may, does := shares(written, matched), shares(converted, matched)
			for service, share := range does {
				// The root is where requests go without a split.
				if service != "web" && (may[service] == nil || share.Cmp(may[service]) > 0) {
					return fmt.Sprintf("%s gets %v of the requests that are matched (%t), it may get %v", service, share, matched, may[service])
				}
			}
		}
	case "TrafficTarget":
		for _, c := range everyCall() {
			if allows(converted, c) && !allows(written, c) {
				return fmt.Sprintf("%+v is allowed", c)
			}
		}
	case "HTTPRouteGroup":
		for _, r := range everyRequest() {
			for _, name := range []string{"m", "n"} {
				if describes(converted, name, r) && !describes(written, name, r) {
					return fmt.Sprintf("match %s means %+v", name, r)
				}
			}
		}
	}
	return ""
}

func TestConversionNeverWidens(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *rapid.T, kind string) {
		versions := randomVersions(t, kind, 4)
		written := randomObject(t, kind, versions[0])
		way := versions[1:rapid.IntRange(2, 4).Draw(t, "length of the way")]
		converted, err := through(Convert, written, kind, way...)
		if err != nil {
			t.Fatal(err)
		}
		if what := widened(written, converted); what != "" {
			t.Fatalf("%v\nas %v\nis %v\n%s", written, way, converted, what)
		}
	})
}

// Who reads what they wrote in the version they wrote it in sees no trace of
// where it has been.
func TestWhatWasWrittenComesBack(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *rapid.T, kind string) {
		versions := randomVersions(t, kind, 4)
		written := randomObject(t, kind, versions[0])
		before := fmt.Sprint(written)
		back, err := through(Convert, written, kind, append(versions[1:rapid.IntRange(2, 4).Draw(t, "length of the way")], versions[0])...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(written, back); diff != "" {
			t.Fatalf("through %v (-want +got):\n%s", versions[1:], diff)
		}
		if fmt.Sprint(written) != before {
			t.Fatalf("the object was changed: %v, was %s", written, before)
		}
	})
}

// Someone edits in another version than the one an object was written in, and
// leaves the annotations as they were: it is the edit that counts.
func TestAnEditIsNeverOverridden(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *rapid.T, kind string) {
		versions := randomVersions(t, kind, 4)
		first := randomObject(t, kind, versions[0])
		seen, err := through(Convert, first, kind, versions[1])
		if err != nil {
			t.Fatal(err)
		}
		edited := randomObject(t, kind, versions[1])
		_, _, before := bodyOf(seen)
		_, _, after := bodyOf(edited)
		if cmp.Equal(before, after) {
			return // no edit
		}
		edited["metadata"] = seen["metadata"]
		converted, err := through(Convert, edited, kind, versions[2], versions[3])
		if err != nil {
			t.Fatal(err)
		}
		if what := widened(edited, converted); what != "" {
			t.Fatalf("%v\nedited to %v\nis %v\n%s", seen, edited, converted, what)
		}
		back, err := through(Convert, converted, kind, versions[1])
		if err != nil {
			t.Fatal(err)
		}
		if _, _, got := bodyOf(back); !cmp.Equal(after, got) {
			t.Fatalf("edit (-want +got):\n%s", cmp.Diff(after, got))
		}
	})
}
