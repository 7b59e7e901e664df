package build

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// What a builder comes to depends on what there is, not on how it came about:
// after each change its snapshot and its reports are those of a whole build, and
// what is equal to what it was is the same.
func TestHistoriesComeToWhatThereIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, historiesComeToWhatThereIs)
}

func historiesComeToWhatThereIs(t *rapid.T) {
	builder, objects := NewBuilder(), anyObjects(t)
	before, _ := builder.Apply(objects.changes())
	for range rapid.IntRange(1, 6).Draw(t, "changes") {
		next := mixed(t, objects, anyObjects(t))
		snapshot, reports := builder.Apply(between(objects, next))
		objects = next
		if snapshot.Generation != before.Generation+1 {
			t.Errorf("generation %d after %d", snapshot.Generation, before.Generation)
		}
		whole, findings := Build(objects)
		if diff := differ(whole, snapshot); diff != "" {
			t.Fatalf("snapshot (-of a whole build +of the history):\n%s", diff)
		}
		if diff := cmp.Diff(findings, Findings(reports), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("findings (-of a whole build +of the history):\n%s", diff)
		}
		keptWhereEqual(t, before.Services, snapshot.Services)
		keptWhereEqual(t, before.Endpoints, snapshot.Endpoints)
		keptWhereEqual(t, before.Pods, snapshot.Pods)
		keptWhereEqual(t, before.Workloads, snapshot.Workloads)
		keptWhereEqual(t, before.Policies, snapshot.Policies)
		keptWhereEqual(t, before.Uses, snapshot.Uses)
		for ip, pod := range snapshot.PodsByIP.All() {
			if pod != snapshot.Pods.Get(pod.Key) {
				t.Errorf("the pod at %s is not that of the same name", ip)
			}
		}
		before = snapshot
	}
	builder.Apply(between(objects, Objects{}))
	if left := left(builder); left != "" {
		t.Errorf("of nothing is left: %s", left)
	}
}

func keptWhereEqual[K comparable, V any](t *rapid.T, before, now mesh.Table[K, *V]) {
	for key, value := range now.All() {
		if old := before.Get(key); old != value && reflect.DeepEqual(old, value) {
			t.Errorf("%v is made again though it is what it was", key)
		}
	}
}

// left tells what of a builder, whose objects are all gone, is not empty.
func left(b *Builder) string {
	v := reflect.ValueOf(*b)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Map && f.Len() > 0 {
			return v.Type().Field(i).Name
		}
	}
	if b.reports.Len() > 0 {
		return "reports"
	}
	for kind, table := range contents(b.snapshot) {
		if v := reflect.ValueOf(table); v.Kind() == reflect.Map && v.Len() > 0 {
			return kind
		}
	}
	return ""
}

// mixed takes each object from one of two meshes, most from the first: its state
// there, or that it is not there.
func mixed(t *rapid.T, x, y Objects) Objects {
	if rapid.IntRange(0, 9).Draw(t, "config is of the first") == 0 {
		x.MeshConfig = y.MeshConfig
	}
	x.Namespaces = mix(t, x.Namespaces, y.Namespaces)
	x.Services = mix(t, x.Services, y.Services)
	x.EndpointSlices = mix(t, x.EndpointSlices, y.EndpointSlices)
	x.Pods = mix(t, x.Pods, y.Pods)
	x.TrafficSplits = mix(t, x.TrafficSplits, y.TrafficSplits)
	x.TrafficTargets = mix(t, x.TrafficTargets, y.TrafficTargets)
	x.HTTPRouteGroups = mix(t, x.HTTPRouteGroups, y.HTTPRouteGroups)
	x.TCPRoutes = mix(t, x.TCPRoutes, y.TCPRoutes)
	return x
}

func mix[T client.Object](t *rapid.T, x, y []T) []T {
	from := [2]Of[T]{listed(x), listed(y)}
	var out []T
	for _, name := range slices.SortedFunc(maps.Keys(merged(from[0], from[1])), func(a, b types.NamespacedName) int {
		return strings.Compare(a.String(), b.String())
	}) {
		which := 0
		if rapid.IntRange(0, 9).Draw(t, "change") == 0 {
			which = 1
		}
		if object, ok := from[which][name]; ok {
			out = append(out, object)
		}
	}
	return out
}

func merged[K comparable, V any](x, y map[K]V) map[K]V {
	out := maps.Clone(x)
	maps.Copy(out, y)
	return out
}
