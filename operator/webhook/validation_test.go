package webhook

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

var splitKind = metav1.GroupVersionKind{Group: "split.smi-spec.io", Version: "v1alpha4", Kind: "TrafficSplit"}

func splitWith(backends string) string {
	return `{"metadata":{"name":"web","namespace":"shop"},"spec":{"service":"web","backends":[` + backends + `]}}`
}

func admitted(operation admissionv1.Operation, kind metav1.GroupVersionKind, before, now string) admission.Response {
	request := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "7", Name: "web", Namespace: "shop", Kind: kind, Operation: operation, Object: runtime.RawExtension{Raw: []byte(now)},
	}}
	if operation == admissionv1.Update {
		request.OldObject.Raw = []byte(before)
	}
	return Validation{}.Handle(context.Background(), request)
}

func TestValidation(t *testing.T) {
	t.Parallel()
	const (
		good     = `{"service":"v1","weight":1}`
		negative = `{"service":"v2","weight":-1}`
		zero     = `{"service":"v1","weight":0}`
		fraction = `{"service":"v1","weight":0.5}`
	)
	older := splitKind
	older.Version = "v1alpha2"
	tests := map[string]struct {
		operation   admissionv1.Operation
		kind        metav1.GroupVersionKind
		before, now string
		// wantFields are blamed, none if it is let in.
		wantFields, wantWarnings []string
	}{
		"a good one":                       {now: good},
		"one that can't work":              {now: good + "," + negative, wantFields: []string{"spec.backends[1].weight"}},
		"one that may be a mistake":        {now: zero, wantWarnings: []string{"spec.backends: every request"}},
		"one that can't be read":           {now: fraction, wantFields: []string{"spec"}},
		"an update that breaks it":         {operation: admissionv1.Update, before: good, now: negative, wantFields: []string{"spec.backends[0].weight"}},
		"an update of what was broken":     {operation: admissionv1.Update, before: negative, now: good + "," + negative, wantWarnings: []string{"spec.backends[1].weight: -1 is negative"}},
		"an update that mends":             {operation: admissionv1.Update, before: negative, now: good},
		"an update that breaks more":       {operation: admissionv1.Update, before: negative, now: negative + "," + `{"service":"v3","weight":-1}`, wantFields: []string{"spec.backends[1].weight"}},
		"an update of what can't be read":  {operation: admissionv1.Update, before: fraction, now: fraction, wantWarnings: []string{"decode: "}},
		"an update to what can't be read":  {operation: admissionv1.Update, before: good, now: fraction, wantFields: []string{"spec"}},
		"a version that nobody has stored": {kind: older, now: negative},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.operation == "" {
				tc.operation = admissionv1.Create
			}
			if tc.kind.Kind == "" {
				tc.kind = splitKind
			}
			got := admitted(tc.operation, tc.kind, splitWith(tc.before), splitWith(tc.now))
			var fields []string
			if !got.Allowed {
				if got.Result.Code != 422 || got.Result.Reason != metav1.StatusReasonInvalid || got.Result.Details.Kind != "TrafficSplit" {
					t.Errorf("refused with %+v", got.Result)
				}
				for _, cause := range got.Result.Details.Causes {
					fields = append(fields, cause.Field)
					if !strings.Contains(got.Result.Message, cause.Field+": "+cause.Message) {
						t.Errorf("%s is not told of %s", got.Result.Message, cause.Field)
					}
				}
			}
			if diff := cmp.Diff(tc.wantFields, fields); diff != "" {
				t.Errorf("fields at fault (-want +got):\n%s", diff)
			}
			if len(got.Warnings) != len(tc.wantWarnings) {
				t.Fatalf("warnings %q, want %q", got.Warnings, tc.wantWarnings)
			}
			for i, warning := range got.Warnings {
				if !strings.HasPrefix(warning, tc.wantWarnings[i]) {
					t.Errorf("warning %q, want %q", warning, tc.wantWarnings[i])
				}
			}
		})
	}
}

// Whatever is sent there is an answer, and a refusal says why. What is stored
// may be stored again.
func FuzzValidation(f *testing.F) {
	f.Add("split.smi-spec.io", "v1alpha4", "TrafficSplit", splitWith(`{"weight":-1}`), splitWith(`{"service":"A","weight":-1}`))
	f.Add("specs.smi-spec.io", "v1alpha4", "HTTPRouteGroup", `{}`, `{"spec":{"matches":[{"pathRegex":"("},{}]}}`)
	f.Add("heddle.dev", "v1alpha1", "Canary", `{"spec":{"analysis":{"interval":"x"}}}`, `{"spec":{"analysis":{"interval":"1ns"}}}`)
	f.Fuzz(func(t *testing.T, group, version, kind, before, now string) {
		of := metav1.GroupVersionKind{Group: group, Version: version, Kind: kind}
		got := admitted(admissionv1.Update, of, before, now)
		if !got.Allowed && (got.Result.Message == "" || len(got.Result.Details.Causes) == 0) {
			t.Errorf("refused without a reason: %+v", got.Result)
		}
		if again := admitted(admissionv1.Update, of, now, now); !again.Allowed {
			t.Errorf("what is stored can't be stored again: %+v", again.Result)
		}
	})
}

func TestCaseO39_AMeshConfigThatExcludesTheServicesIsWarnedOf(t *testing.T) {
	t.Parallel()
	snapshot := &mesh.Snapshot{Services: mesh.TableOf(map[mesh.ServiceKey]*mesh.Service{
		{Namespace: "default", Name: "kubernetes"}: {Addresses: []netip.Addr{netip.MustParseAddr("10.96.0.1")}},
		{Namespace: "shop", Name: "cart"}:          {Addresses: []netip.Addr{netip.MustParseAddr("10.96.0.7")}},
	})}
	kind := metav1.GroupVersionKind{Group: "heddle.dev", Version: "v1alpha1", Kind: "MeshConfig"}
	for prefix, want := range map[string]string{
		"10.96.0.0/12": "spec.egress.excludePrefixes: 10.96.0.0/12 excludes the service range: it covers Service shop/cart at 10.96.0.7, and calls",
		"10.96.0.1/32": "", "192.0.2.0/24": "",
	} {
		request := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
			Name: "default", Kind: kind, Operation: admissionv1.Create,
			Object: runtime.RawExtension{Raw: []byte(`{"metadata":{"name":"default"},"spec":{"egress":{"excludePrefixes":["` + prefix + `"]}}}`)},
		}}
		response := Validation{Covered: snapshot.Covered}.Handle(t.Context(), request)
		if warnings := strings.Join(response.Warnings, "\n"); !response.Allowed || (want == "") != (warnings == "") || !strings.Contains(warnings, want) {
			t.Errorf("%s: allowed %t, warnings %q", prefix, response.Allowed, response.Warnings)
		}
	}
	for _, egress := range []string{`{"excludePrefixes":["fd00::/8"]}`, `{"excludePrefixes":["10.0.0.1"]}`, `{"excludePorts":[15001]}`} {
		request := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
			Name: "default", Kind: kind, Operation: admissionv1.Create,
			Object: runtime.RawExtension{Raw: []byte(`{"metadata":{"name":"default"},"spec":{"egress":` + egress + `}}`)},
		}}
		if response := (Validation{}).Handle(t.Context(), request); response.Allowed || !strings.Contains(response.Result.Message, "spec.egress.exclude") {
			t.Errorf("%s: %+v", egress, response.Result)
		}
	}
}
