package inject

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
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
	h := NewHandler(config(), labels, decoder(t))
	return h.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Namespace: "shop", Object: runtime.RawExtension{Raw: []byte(raw)},
	}})
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
	patch, err := json.Marshal(response.Patches)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := decoded.Apply([]byte(raw))
	if err != nil {
		t.Fatalf("the patch doesn't apply: %v\n%s", err, patch)
	}
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
