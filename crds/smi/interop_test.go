// Package smi_test holds Heddle's SMI types against those of the SMI SDK, which
// Flagger, Argo Rollouts and Heddle's own canary write with.
package smi_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdkaccess "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/access/v1alpha3"
	sdkspecs "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/specs/v1alpha4"
	sdksplit "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/split/v1alpha4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// pass encodes from and decodes it into to.
func pass(t *testing.T, from, to any) {
	t.Helper()
	encoded, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, to); err != nil {
		t.Fatalf("%v\n%s", err, encoded)
	}
}

func TestSplitOfTheSDKComesBack(t *testing.T) {
	t.Parallel()
	group := "specs.smi-spec.io"
	want := sdksplit.TrafficSplit{
		TypeMeta:   metav1.TypeMeta{APIVersion: "split.smi-spec.io/v1alpha4", Kind: "TrafficSplit"},
		ObjectMeta: metav1.ObjectMeta{Name: "cart", Namespace: "shop"},
		Spec: sdksplit.TrafficSplitSpec{
			Service:  "cart",
			Backends: []sdksplit.TrafficSplitBackend{{Service: "cart-primary", Weight: 100}, {Service: "cart-canary", Weight: 0}},
			Matches:  []corev1.TypedLocalObjectReference{{APIGroup: &group, Kind: "HTTPRouteGroup", Name: "testers"}},
		},
	}
	var ours splitv1alpha4.TrafficSplit
	pass(t, want, &ours)
	if ours.Spec.Backends[0].Weight != 100 || ours.Spec.Matches[0].Name != "testers" {
		t.Errorf("spec %+v", ours.Spec)
	}
	var got sdksplit.TrafficSplit
	pass(t, ours, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("split (-want +got):\n%s", diff)
	}
}

func TestTargetOfTheSDKComesBack(t *testing.T) {
	t.Parallel()
	want := sdkaccess.TrafficTarget{
		ObjectMeta: metav1.ObjectMeta{Name: "web-to-cart", Namespace: "shop"},
		Spec: sdkaccess.TrafficTargetSpec{
			Destination: sdkaccess.IdentityBindingSubject{Kind: "ServiceAccount", Name: "cart", Namespace: "shop"},
			Sources:     []sdkaccess.IdentityBindingSubject{{Kind: "ServiceAccount", Name: "web"}},
			Rules:       []sdkaccess.TrafficTargetRule{{Kind: "HTTPRouteGroup", Name: "cart", Matches: []string{"read"}}, {Kind: "TCPRoute", Name: "port"}},
		},
	}
	var ours accessv1alpha3.TrafficTarget
	pass(t, want, &ours)
	var got sdkaccess.TrafficTarget
	pass(t, ours, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("target (-want +got):\n%s", diff)
	}
}

// The SDK writes headers as a list and can't read the specification's map.
func TestGroupOfTheSDKComesBack(t *testing.T) {
	t.Parallel()
	encoded := `{"metadata":{"name":"cart"},"spec":{"matches":[` +
		`{"name":"read","pathRegex":"/cart","methods":["GET"],"headers":[{"x-b":"2"},{"x-a":"1"}]},{"name":"all"}]}}`
	var sdk sdkspecs.HTTPRouteGroup
	if err := json.Unmarshal([]byte(encoded), &sdk); err != nil {
		t.Fatal(err)
	}
	var ours specsv1alpha4.HTTPRouteGroup
	pass(t, sdk, &ours)
	conditions, err := ours.Spec.Matches[0].Headers.Conditions()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range conditions {
		got[c.Name] = c.Regex
	}
	if diff := cmp.Diff(map[string]string{"x-a": "1", "x-b": "2"}, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	var back sdkspecs.HTTPRouteGroup
	pass(t, ours, &back)
	if diff := cmp.Diff(sdk.Spec, back.Spec); diff != "" {
		t.Errorf("group (-want +got):\n%s", diff)
	}
}

func TestTCPRouteOfTheSDKComesBack(t *testing.T) {
	t.Parallel()
	want := sdkspecs.TCPRoute{Spec: sdkspecs.TCPRouteSpec{Matches: sdkspecs.TCPMatch{Name: "port", Ports: []int{8080}}}}
	var ours specsv1alpha4.TCPRoute
	pass(t, want, &ours)
	var got sdkspecs.TCPRoute
	pass(t, ours, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("route (-want +got):\n%s", diff)
	}
}
