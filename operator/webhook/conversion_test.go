package webhook

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

const (
	wholeNumbers = `{"apiVersion":"split.smi-spec.io/v1alpha2","kind":"TrafficSplit","metadata":{"name":"a","namespace":"shop"},"spec":{"service":"web","backends":[{"service":"v1","weight":1}]}}`
	newestNow    = `{"apiVersion":"split.smi-spec.io/v1alpha4","kind":"TrafficSplit","metadata":{"name":"a","namespace":"shop"},"spec":{"backends":[{"service":"v1","weight":1}],"service":"web"}}`
)

func ask(t testing.TB, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Conversion{Log: logr.Discard()}.ServeHTTP(w, httptest.NewRequest(http.MethodPost, ConversionPath, strings.NewReader(body)))
	return w
}

func reviewOf(desired string, objects ...string) string {
	return `{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview","request":{"uid":"7","desiredAPIVersion":"` +
		desired + `","objects":[` + strings.Join(objects, ",") + `]}}`
}

func TestConversion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body string
		// wantCode other than 200 comes without a review.
		wantCode int
		want     []string
		// wantFailure is part of the message of a review that failed.
		wantFailure string
	}{
		"objects in their order":                {body: reviewOf("split.smi-spec.io/v1alpha4", wholeNumbers, newestNow), want: []string{newestNow, newestNow}},
		"none":                                  {body: reviewOf("split.smi-spec.io/v1alpha4")},
		"one that can't be fails all of them":   {body: reviewOf("split.smi-spec.io/v1alpha4", wholeNumbers, `{"kind":"TrafficSplit"}`), wantFailure: "TrafficSplit"},
		"one that is no object":                 {body: reviewOf("split.smi-spec.io/v1alpha4", `7`), wantFailure: "decode"},
		"a version that doesn't exist":          {body: reviewOf("split.smi-spec.io/v9", wholeNumbers), wantFailure: `TrafficSplit shop/a: TrafficSplit has no version "v9"`},
		"a kind of another group":               {body: reviewOf("apps/v1", wholeNumbers), wantFailure: "can't become one of apps/v1"},
		"no JSON":                               {body: "{", wantCode: http.StatusBadRequest},
		"another kind of review":                {body: strings.Replace(reviewOf("x/v1"), "ConversionReview", "AdmissionReview", 1), wantCode: http.StatusBadRequest},
		"a review without a request":            {body: `{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview"}`, wantCode: http.StatusBadRequest},
		"a review of a version that is history": {body: strings.Replace(reviewOf("x/v1"), "k8s.io/v1", "k8s.io/v1beta1", 1), wantCode: http.StatusBadRequest},
		"more than the operator has memory for": {body: reviewOf(strings.Repeat("x", maxReview)), wantCode: http.StatusRequestEntityTooLarge},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ask(t, tc.body)
			if tc.wantCode != 0 {
				if w.Code != tc.wantCode {
					t.Errorf("code %d, want %d", w.Code, tc.wantCode)
				}
				return
			}
			var got apiextensionsv1.ConversionReview
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
				t.Fatalf("code %d, %v\n%s", w.Code, err, w.Body)
			}
			if got.Response == nil || got.Response.UID != "7" || got.Kind != "ConversionReview" || got.APIVersion != "apiextensions.k8s.io/v1" {
				t.Fatalf("not an answer to the request:\n%s", w.Body)
			}
			if tc.wantFailure != "" {
				if got.Response.Result.Status != "Failure" || !strings.Contains(got.Response.Result.Message, tc.wantFailure) || len(got.Response.ConvertedObjects) > 0 {
					t.Errorf("answer %s, want a failure for %q", w.Body, tc.wantFailure)
				}
				return
			}
			var objects []string
			for _, o := range got.Response.ConvertedObjects {
				objects = append(objects, string(o.Raw))
			}
			if diff := cmp.Diff(tc.want, objects); diff != "" || got.Response.Result.Status != "Success" {
				t.Errorf("status %s, objects (-want +got):\n%s", got.Response.Result.Status, diff)
			}
		})
	}
}

// Whatever is sent, there is an answer: a refusal, or a review that answers
// this request and has as many objects as it, or none and a reason.
func FuzzConversion(f *testing.F) {
	f.Add(reviewOf("split.smi-spec.io/v1alpha1", wholeNumbers, newestNow))
	f.Add(reviewOf("split.smi-spec.io/v1alpha4", `{"kind":"TrafficSplit","apiVersion":"split.smi-spec.io/v1alpha1","metadata":{"annotations":{"heddle.dev/spec-v1alpha4":"{}"}},"spec":{"backends":[{"weight":"1m"}]}}`))
	f.Add(reviewOf("access.smi-spec.io/v1alpha1", `{"kind":"TrafficTarget","apiVersion":"access.smi-spec.io/v1alpha3","spec":{"rules":[{"kind":"TCPRoute","name":":80"}]}}`))
	f.Add(reviewOf("specs.smi-spec.io/v1alpha1", `{"kind":"HTTPRouteGroup","apiVersion":"specs.smi-spec.io/v1alpha4","spec":{"matches":[{"name":"m","headers":[]}]}}`))
	f.Add(`{"kind":"ConversionReview"`)
	f.Fuzz(func(t *testing.T, body string) {
		w := ask(t, body)
		switch w.Code {
		case http.StatusBadRequest:
			return
		case http.StatusOK:
		default:
			t.Fatalf("code %d", w.Code)
		}
		var asked review
		if err := json.Unmarshal([]byte(body), &asked); err != nil {
			t.Fatalf("answered what is no request: %v", err)
		}
		var got apiextensionsv1.ConversionReview
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%v\n%s", err, w.Body)
		}
		if got.Response == nil || got.Response.UID != asked.Request.UID {
			t.Fatalf("not an answer to the request:\n%s", w.Body)
		}
		want := len(asked.Request.Objects)
		if got.Response.Result.Status != "Success" {
			want = 0
		}
		if len(got.Response.ConvertedObjects) != want || (want == 0) == (got.Response.Result.Status == "Success" && len(asked.Request.Objects) > 0) {
			t.Errorf("%d objects, want %d:\n%s", len(got.Response.ConvertedObjects), want, w.Body)
		}
	})
}
