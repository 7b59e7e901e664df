package explain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/operator/explain"
)

func splitOf(name, created, backends string) string {
	return fmt.Sprintf("kind: TrafficSplit\nmetadata: {namespace: shop, name: %s, creationTimestamp: %q}\nspec: {service: web, backends: [%s]}\n", name, created, backends)
}

const noon = "2026-01-01T12:00:00Z"

// shares says of every branch where it goes, its share, at which port, and
// what comes of it.
func shares(d explain.Decision) []string {
	if len(d.Branches) == 0 {
		return []string{d.Outcome.String()}
	}
	var out []string
	for _, b := range d.Branches {
		port := ""
		if len(b.Verdicts) > 0 {
			port = fmt.Sprintf(":%d", b.Verdicts[0].Port)
		}
		out = append(out, fmt.Sprintf("%s%s %d/%d %s", b.Backend.Service.Name, port, b.Weight, b.Of, b.Outcome))
	}
	return out
}

// splitCase is a split and the shares of calls to its root.
type splitCase struct {
	manifests []string
	want      []string
}

func (c splitCase) run(t *testing.T) {
	t.Helper()
	snapshot, _ := build.Build(objects(t, manifests(c.manifests...)))
	if diff := cmp.Diff(c.want, shares(explain.Explain(snapshot, call("web")))); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
}

func TestCaseO1_TheRootsTargetPortIsNotDialled(t *testing.T) {
	t.Parallel()
	splitCase{
		[]string{
			behind("shop", "web", "cart", 1, 9999, 1), behind("shop", "v1", "cart", 2, 8080, 1), behind("shop", "v2", "cart", 3, 8081, 1),
			splitOf("s", noon, "{service: v1, weight: 50}, {service: v2, weight: 50}"),
		},
		[]string{"v1:8080 50/100 admitted", "v2:8081 50/100 admitted"},
	}.run(t)
}

func TestCaseO2_BackendsKeepTheirOwnNames(t *testing.T) {
	t.Parallel()
	snapshot, _ := build.Build(objects(t, manifests(
		behind("shop", "web", "cart", 1, 8080, 1), behind("shop", "v1", "cart", 2, 8080, 1), behind("shop", "v2", "cart", 3, 8080, 1),
		splitOf("s", noon, "{service: v1, weight: 0}, {service: v2, weight: 100}"))))
	for to, want := range map[string]string{"web": "v2:8080 100/100 admitted", "v1": "v1:8080 1/1 admitted", "v2": "v2:8080 1/1 admitted"} {
		if diff := cmp.Diff([]string{want}, shares(explain.Explain(snapshot, call(to)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", to, diff)
		}
	}
}

func TestCaseO3_TheRootSelectsThePodsOfItsBackends(t *testing.T) {
	t.Parallel()
	splitCase{
		[]string{
			behind("shop", "web", "cart", 1, 8080, 4), behind("shop", "v1", "cart", 2, 8080, 3), behind("shop", "v2", "cart", 3, 8080, 1),
			splitOf("s", noon, "{service: v1, weight: 90}, {service: v2, weight: 10}"),
		},
		[]string{"v1:8080 90/100 admitted", "v2:8080 10/100 admitted"},
	}.run(t)
}

func TestCaseO5_ABackendWithoutEndpointsKeepsItsShare(t *testing.T) {
	t.Parallel()
	splitCase{
		[]string{
			behind("shop", "web", "cart", 1, 8080, 1), behind("shop", "v1", "cart", 2, 8080, 1), behind("shop", "v2", "cart", 3, 8080, 0),
			splitOf("s", noon, "{service: v1, weight: 50}, {service: v2, weight: 50}"),
		},
		[]string{"v1:8080 50/100 admitted", "v2 50/100 503 nothing takes the request"},
	}.run(t)
}

func TestCaseO6_TheOlderOfTwoSplitsActs(t *testing.T) {
	t.Parallel()
	older := splitOf("b-split", noon, "{service: v1, weight: 100}")
	younger := splitOf("a-split", "2026-01-01T12:00:01Z", "{service: v2, weight: 100}")
	services := manifests(behind("shop", "web", "cart", 1, 8080, 1), behind("shop", "v1", "cart", 2, 8080, 1), behind("shop", "v2", "cart", 3, 8080, 1))
	for range 2 {
		splitCase{[]string{services, older, younger}, []string{"v1:8080 100/100 admitted"}}.run(t)
		older, younger = younger, older // the order in which they are read is nothing
		splitCase{[]string{services, older, younger}, []string{"v1:8080 100/100 admitted"}}.run(t)
	}
	splitCase{[]string{services, splitOf("a-split", "2026-01-01T12:00:01Z", "{service: v2, weight: 100}")}, []string{"v2:8080 100/100 admitted"}}.run(t)
}

func TestCaseO7_TheRootAsItsOwnBackendAndSplitsInARow(t *testing.T) {
	t.Parallel()
	next := strings.Replace(splitOf("t", noon, "{service: v3, weight: 100}"), "service: web", "service: v2", 1)
	all := []string{
		behind("shop", "web", "cart", 1, 8080, 1), behind("shop", "v2", "cart", 2, 8080, 1), behind("shop", "v3", "cart", 3, 8080, 1),
		splitOf("s", noon, "{service: web, weight: 80}, {service: v2, weight: 20}"), next,
	}
	splitCase{all, []string{"web:8080 80/100 admitted", "v2:8080 20/100 admitted"}}.run(t)
	snapshot, _ := build.Build(objects(t, manifests(all...)))
	if diff := cmp.Diff([]string{"v3:8080 100/100 admitted"}, shares(explain.Explain(snapshot, call("v2")))); diff != "" {
		t.Errorf("a direct call (-want +got):\n%s", diff)
	}
}

func TestCaseO8_WeightsOfAnySum(t *testing.T) {
	t.Parallel()
	services := manifests(behind("shop", "web", "cart", 1, 8080, 1), behind("shop", "v1", "cart", 2, 8080, 1), behind("shop", "v2", "cart", 3, 8080, 1), behind("shop", "v3", "cart", 4, 8080, 1))
	for backends, want := range map[string][]string{
		"{service: v1, weight: 1}, {service: v2, weight: 2}":                              {"v1:8080 1/3 admitted", "v2:8080 2/3 admitted"},
		"{service: v1, weight: 50}":                                                       {"v1:8080 50/50 admitted"},
		"{service: v1, weight: 7}, {service: v2, weight: 11}, {service: v3, weight: 13}":  {"v1:8080 7/31 admitted", "v2:8080 11/31 admitted", "v3:8080 13/31 admitted"},
		"{service: v1, weight: 900}, {service: v2, weight: 100}":                          {"v1:8080 900/1000 admitted", "v2:8080 100/1000 admitted"},
		"{service: v1, weight: 1000}, {service: v2, weight: 1}, {service: v3, weight: 0}": {"v1:8080 1000/1001 admitted", "v2:8080 1/1001 admitted"},
	} {
		splitCase{[]string{services, splitOf("s", noon, backends)}, want}.run(t)
	}
}

func TestCaseO9_OneBackendOfWeight0IsNotTheRoot(t *testing.T) {
	t.Parallel()
	splitCase{
		[]string{behind("shop", "web", "cart", 1, 8080, 1), behind("shop", "v1", "cart", 2, 8080, 1), splitOf("s", noon, "{service: v1, weight: 0}")},
		[]string{"503 nothing takes the request"},
	}.run(t)
}

func TestCaseO10_AMissingBackendKeepsItsShareUntilItIsThere(t *testing.T) {
	t.Parallel()
	before := []string{
		behind("shop", "web", "cart", 1, 8080, 1), behind("shop", "v1", "cart", 2, 8080, 1),
		splitOf("s", noon, "{service: v1, weight: 80}, {service: typo-v2, weight: 20}"),
	}
	splitCase{before, []string{"v1:8080 80/100 admitted", "typo-v2 20/100 500 backend does not exist"}}.run(t)
	splitCase{append(before, behind("shop", "typo-v2", "cart", 3, 8080, 1)), []string{"v1:8080 80/100 admitted", "typo-v2:8080 20/100 admitted"}}.run(t)
}

func TestCaseO11_AWeightLeftOutIs0(t *testing.T) {
	t.Parallel()
	splitCase{
		[]string{
			behind("shop", "web", "cart", 1, 8080, 1), behind("shop", "v1", "cart", 2, 8080, 1), behind("shop", "v2", "cart", 3, 8080, 1),
			splitOf("s", noon, "{service: v2}, {service: v1, weight: 100}"),
		},
		[]string{"v1:8080 100/100 admitted"},
	}.run(t)
}

func TestCaseO12_WeightsAreOfServicesNotOfPods(t *testing.T) {
	t.Parallel()
	for _, green := range []int{9, 1} {
		splitCase{
			[]string{
				behind("shop", "web", "cart", 1, 8080, 1), behind("shop", "blue", "cart", 2, 8080, 1), behind("shop", "green", "cart", 3, 8080, green),
				splitOf("s", noon, "{service: blue, weight: 1}, {service: green, weight: 1}"),
			},
			[]string{"blue:8080 1/2 admitted", "green:8080 1/2 admitted"},
		}.run(t)
	}
}
