package inject

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

func decoder(t *testing.T) admission.Decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return admission.NewDecoder(scheme)
}

func admit(t *testing.T, raw string, labels NamespaceLabels) admission.Response {
	t.Helper()
	h := NewHandler(config(), Surroundings{Labels: labels}, decoder(t))
	return h.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Namespace: "shop", Object: runtime.RawExtension{Raw: []byte(raw)},
	}})
}

// patchedRaw applies the response's patch.
func patchedRaw(t *testing.T, raw []byte, response admission.Response) []byte {
	t.Helper()
	patch, err := json.Marshal(response.Patches)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatal(err)
	}
	out, err := decoded.Apply(raw)
	if err != nil {
		t.Fatalf("the patch doesn't apply: %v\n%s", err, patch)
	}
	return out
}

func inNamespace(value string) NamespaceLabels {
	return func(context.Context, string) (map[string]string, error) {
		return map[string]string{heddlev1alpha1.LabelInject: value}, nil
	}
}

func unreadable(context.Context, string) (map[string]string, error) {
	return nil, errors.New("cache isn't synced")
}

// TestHandlerPatchGivesWhatInjectSays applies the patch to the request's own
// bytes, which lack what encoding adds and have fields this program has never
// heard of.
func TestHandlerPatchGivesWhatInjectSays(t *testing.T) {
	t.Parallel()
	const raw = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"fromTheFuture":{"a":1},
		"initContainers":[{"name":"migrate","image":"m"}],
		"containers":[{"name":"a","image":"a","tomorrow":true},{"name":"b","image":"b","livenessProbe":{"tcpSocket":{"port":80}}}]}}`
	response := admit(t, raw, inNamespace("enabled"))
	if !response.Allowed || len(response.Patches) == 0 {
		t.Fatalf("response %+v", response)
	}
	patched := patchedRaw(t, []byte(raw), response)
	for _, kept := range []string{"fromTheFuture", "tomorrow"} {
		if !strings.Contains(string(patched), kept) {
			t.Errorf("field %s was lost", kept)
		}
	}
	got, original := &corev1.Pod{}, &corev1.Pod{}
	if err := json.Unmarshal(patched, got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(raw), original); err != nil {
		t.Fatal(err)
	}
	want, _, err := Inject(original, meshed(), config())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); diff != "" {
		t.Errorf("patched pod (-want +got):\n%s", diff)
	}
	again := admit(t, string(patched), inNamespace("enabled"))
	if !again.Allowed || len(again.Patches) > 0 {
		t.Errorf("the second pass patches: %v", again.Patches)
	}
}

func TestHandlerAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		raw      string
		labels   NamespaceLabels
		allowed  bool
		code     int32
		message  string
		warnings int
	}{
		"a pod outside the mesh is allowed as it is": {raw: `{"metadata":{"name":"a"}}`, labels: inNamespace("disabled"), allowed: true, code: http.StatusOK},
		"a pod that decides needs no namespace":      {raw: `{"metadata":{"name":"a","labels":{"heddle.dev/inject":"disabled"}}}`, labels: unreadable, allowed: true, code: http.StatusOK},
		"an unreadable namespace refuses":            {raw: `{"metadata":{"name":"a"}}`, labels: unreadable, code: http.StatusInternalServerError, message: "cache isn't synced"},
		"what isn't a pod is refused":                {raw: `{"spec":{"containers":3}}`, labels: inNamespace("enabled"), code: http.StatusBadRequest, message: "decode pod"},
		"an empty body is refused":                   {labels: inNamespace("enabled"), code: http.StatusBadRequest, message: "decode pod"},
		"a pod at fault is denied":                   {raw: `{"metadata":{"name":"a"},"spec":{"securityContext":{"runAsUser":1337}}}`, labels: inNamespace("enabled"), code: http.StatusForbidden, message: "runs as user 1337"},
		"the host's network warns":                   {raw: `{"metadata":{"name":"a"},"spec":{"hostNetwork":true}}`, labels: inNamespace("enabled"), allowed: true, code: http.StatusOK, warnings: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := admit(t, tt.raw, tt.labels)
			if got.Allowed != tt.allowed || got.Result.Code != tt.code || !strings.Contains(got.Result.Message, tt.message) {
				t.Errorf("allowed %v code %d %q, want %v %d %q", got.Allowed, got.Result.Code, got.Result.Message, tt.allowed, tt.code, tt.message)
			}
			if len(got.Warnings) != tt.warnings || len(got.Patches) != 0 {
				t.Errorf("warnings %q, patches %v", got.Warnings, got.Patches)
			}
		})
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// What the MeshConfig excludes is excluded for each pod from then on, and written
// where people and the operator see it.
func TestCaseO39_InjectionWarnsOfAnExclusionThatCoversTheServices(t *testing.T) {
	t.Parallel()
	snapshot := &mesh.Snapshot{Services: mesh.TableOf(map[mesh.ServiceKey]*mesh.Service{
		{Namespace: "shop", Name: "cart"}: {Addresses: []netip.Addr{netip.MustParseAddr("10.96.0.7")}},
	})}
	tests := map[string]struct {
		egress      heddlev1alpha1.EgressSpec
		annotations map[string]string
		want        map[string]string
		warns       bool
	}{
		"nothing": {want: map[string]string{}},
		"by the mesh": {
			egress: heddlev1alpha1.EgressSpec{ExcludePrefixes: []string{"10.96.0.1/12"}, ExcludePorts: []int32{25}},
			want: map[string]string{
				heddlev1alpha1.AnnotationExcludeOutboundPrefixes: "10.96.0.0/12", heddlev1alpha1.AnnotationExcludeOutboundPorts: "25",
			}, warns: true,
		},
		"by the pod": {
			annotations: map[string]string{heddlev1alpha1.AnnotationExcludeOutboundPrefixes: "10.96.0.7"},
			want:        map[string]string{heddlev1alpha1.AnnotationExcludeOutboundPrefixes: "10.96.0.7"}, warns: true,
		},
		"by both, what is no Service": {
			egress:      heddlev1alpha1.EgressSpec{ExcludePrefixes: []string{"192.0.2.0/24"}, ExcludePorts: []int32{25, 26}},
			annotations: map[string]string{heddlev1alpha1.AnnotationExcludeOutboundPrefixes: "10.1.0.0/16", heddlev1alpha1.AnnotationExcludeOutboundPorts: "26,24"},
			want: map[string]string{
				heddlev1alpha1.AnnotationExcludeOutboundPrefixes: "10.1.0.0/16,192.0.2.0/24", heddlev1alpha1.AnnotationExcludeOutboundPorts: "24,25,26",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := NewHandler(config(), Surroundings{
				Labels:  inNamespace("enabled"),
				Egress:  func(context.Context) (heddlev1alpha1.EgressSpec, error) { return tc.egress, nil },
				Covered: snapshot.Covered,
			}, decoder(t))
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: tc.annotations}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}}}}
			raw, err := json.Marshal(pod)
			if err != nil {
				t.Fatal(err)
			}
			response := h.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Namespace: "shop", Object: runtime.RawExtension{Raw: raw}}})
			if !response.Allowed {
				t.Fatalf("refused: %+v", response.Result)
			}
			injected := &corev1.Pod{}
			if err := json.Unmarshal(patchedRaw(t, raw, response), injected); err != nil {
				t.Fatal(err)
			}
			for _, annotation := range []string{heddlev1alpha1.AnnotationExcludeOutboundPrefixes, heddlev1alpha1.AnnotationExcludeOutboundPorts} {
				if got := injected.Annotations[annotation]; got != tc.want[annotation] {
					t.Errorf("%s is %q, want %q", annotation, got, tc.want[annotation])
				}
			}
			warned := slices.ContainsFunc(response.Warnings, func(w string) bool {
				return strings.Contains(w, "excludes the service range: it covers Service shop/cart at 10.96.0.7")
			})
			if warned != tc.warns {
				t.Errorf("warnings %q", response.Warnings)
			}
		})
	}
	unset := NewHandler(config(), Surroundings{
		Labels: inNamespace("enabled"),
		Egress: func(context.Context) (heddlev1alpha1.EgressSpec, error) {
			return heddlev1alpha1.EgressSpec{}, errors.New("cache isn't synced")
		},
	}, decoder(t))
	if r := unset.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Object: runtime.RawExtension{Raw: []byte("{}")}}}); r.Allowed {
		t.Error("a pod is let in though it is not known what is excluded")
	}
}
