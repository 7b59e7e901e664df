package v1alpha4

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"
)

func TestHeadersConditions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		json    string
		want    []HeaderCondition
		wantErr string
	}{
		"a map is sorted by name": {
			json: `{"x-b":"2","x-a":"1"}`,
			want: []HeaderCondition{{"x-a", "1"}, {"x-b", "2"}},
		},
		"a list keeps its order": {
			json: `[{"x-b":"2"},{"x-a":"1"}]`,
			want: []HeaderCondition{{"x-b", "2"}, {"x-a", "1"}},
		},
		"an element of a list may name several headers": {
			json: `[{"x-b":"2","x-a":"1"},{"x-c":"3"}]`,
			want: []HeaderCondition{{"x-a", "1"}, {"x-b", "2"}, {"x-c", "3"}},
		},
		"names are lower-cased": {
			json: `{"User-Agent":"curl.*"}`,
			want: []HeaderCondition{{"user-agent", "curl.*"}},
		},
		"pseudo headers are names": {
			json: `{":authority":"cart"}`,
			want: []HeaderCondition{{":authority", "cart"}},
		},
		"an empty expression is a condition: the header must be empty": {
			json: `{"x-a":""}`,
			want: []HeaderCondition{{"x-a", ""}},
		},
		"an empty map asks for nothing":           {json: `{}`},
		"an empty list asks for nothing":          {json: `[]`},
		"null asks for nothing":                   {json: `null`},
		"a string is no map":                      {json: `"x-a: 1"`, wantErr: "must be a map"},
		"a number is no map":                      {json: `1`, wantErr: "must be a map"},
		"a boolean is no map":                     {json: `true`, wantErr: "must be a map"},
		"a value that is no string":               {json: `{"x-a":1}`, wantErr: `header "x-a": the value`},
		"a value that is null":                    {json: `{"x-a":null}`, wantErr: `header "x-a": the value`},
		"a value that is a map":                   {json: `{"x-a":{"exact":"1"}}`, wantErr: `header "x-a": the value`},
		"a list within the list":                  {json: `[["x-a","1"]]`, wantErr: "not a map"},
		"a string within the list":                {json: `["x-a"]`, wantErr: "not a map"},
		"null within the list":                    {json: `[null]`, wantErr: "not a map"},
		"an empty map within the list":            {json: `[{}]`, wantErr: "names no header"},
		"one header twice in the list":            {json: `[{"x-a":"1"},{"x-a":"2"}]`, wantErr: "twice"},
		"one header twice in the map":             {json: `{"x-a":"1","x-a":"2"}`, wantErr: "twice"},
		"one header twice but for its case":       {json: `{"x-a":"1","X-A":"2"}`, wantErr: "twice"},
		"a name with a space":                     {json: `{"x a":"1"}`, wantErr: "not a header name"},
		"a name with a line break":                {json: `{"x-a\n":"1"}`, wantErr: "not a header name"},
		"a name that isn't ASCII":                 {json: `{"x-ä":"1"}`, wantErr: "not a header name"},
		"an empty name":                           {json: `{"":"1"}`, wantErr: "not a header name"},
		"a name that is only the pseudo mark":     {json: `{":":"1"}`, wantErr: "not a header name"},
		"an expression that is too long":          {json: `{"x-a":"` + strings.Repeat("a", 1025) + `"}`, wantErr: "longer than 1024"},
		"an expression that is just short enough": {json: `{"x-a":"` + strings.Repeat("a", 1024) + `"}`, want: []HeaderCondition{{"x-a", strings.Repeat("a", 1024)}}},
		"more headers than anybody needs":         {json: manyHeaders(65), wantErr: "65 headers are more than 64"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var headers Headers
			if err := json.Unmarshal([]byte(tc.json), &headers); err != nil {
				t.Fatalf("unmarshal must accept whatever is JSON: %v", err)
			}
			got, err := headers.Conditions()
			if tc.wantErr == "" && err != nil {
				t.Fatalf("unexpected error: %v", err)
			}
			if tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Fatalf("error %v does not say %q", err, tc.wantErr)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
		})
	}
}

func manyHeaders(n int) string {
	elements := make([]string, n)
	for i := range elements {
		elements[i] = `{"x-` + strings.Repeat("a", i+1) + `":"1"}`
	}
	return "[" + strings.Join(elements, ",") + "]"
}

func TestHeadersStayAsWritten(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"a map in its own order":  `{"name":"m","headers":{"x-b":"2","x-a":"1"}}`,
		"a list":                  `{"name":"m","headers":[{"x-b":"2"},{"x-a":"1"}]}`,
		"an empty map":            `{"name":"m","headers":{}}`,
		"an empty list":           `{"name":"m","headers":[]}`,
		"left out":                `{"name":"m"}`,
		"what makes no sense":     `{"name":"m","headers":["x",1,null,{"a":[]}]}`,
		"a large number":          `{"name":"m","headers":12345678901234567890}`,
		"everything beside it":    `{"name":"m","pathRegex":"/a","methods":["GET"],"headers":{"x":"1"}}`,
		"characters of other use": `{"name":"m","headers":{"x-ä":"\\d+\"ä"}}`,
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var match HTTPMatch
			if err := json.Unmarshal([]byte(want), &match); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(match.DeepCopy())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
		})
	}
}

// Server-side apply and fake clients go through unstructured objects.
func TestHeadersSurviveUnstructured(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string]string{
		"a map":    `{"x-a":"1","x-b":"2"}`,
		"a list":   `[{"x-b":"2"},{"x-a":"1"}]`,
		"left out": ``,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := HTTPRouteGroup{Spec: HTTPRouteGroupSpec{Matches: []HTTPMatch{{Name: "m"}}}}
			if headers != "" {
				want.Spec.Matches[0].Headers = &Headers{raw: []byte(headers)}
			}
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&want)
			if err != nil {
				t.Fatal(err)
			}
			var got HTTPRouteGroup
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHeadersFromMap(t *testing.T) {
	t.Parallel()
	if got := HeadersFromMap(nil); got != nil {
		t.Errorf("no conditions must give nil, got %v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z][a-z0-9-]{0,20}`)
		want := rapid.MapOfN(name, rapid.StringN(0, 50, 1024), 1, 20).Draw(t, "conditions")
		conditions, err := HeadersFromMap(want).Conditions()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, c := range conditions {
			got[c.Name] = c.Regex
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("conditions (-want +got):\n%s", diff)
		}
	})
}

// FuzzHeaders: whatever the API server lets through can be decoded, comes back
// as it was, and is either understood whole or refused whole.
func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{
		`{"x-a":"1"}`, `[{"x-b":"2"},{"x-a":"1"}]`, `[]`, `{}`, `null`, `"x"`, `[{"a":"1","a":"2"}]`, `[[{"a":1}]]`, ` { "a" : "<" } `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var first Headers
		if err := json.Unmarshal(raw, &first); err != nil {
			if json.Valid(raw) {
				t.Fatalf("refused valid JSON: %v", err)
			}
			return
		}
		written, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		var second Headers
		if err := json.Unmarshal(written, &second); err != nil {
			t.Fatal(err)
		}
		conditions, err := first.Conditions()
		again, errAgain := second.Conditions()
		if diff := cmp.Diff(conditions, again); diff != "" || (err == nil) != (errAgain == nil) {
			t.Fatalf("conditions changed on the way (%v, %v):\n%s", err, errAgain, diff)
		}
		if err != nil && conditions != nil {
			t.Fatalf("conditions beside an error: %v", conditions)
		}
		for _, c := range conditions {
			if c.Name != strings.ToLower(c.Name) || c.Name == "" || strings.ContainsAny(c.Name, " \r\n\t\x00") {
				t.Fatalf("name %q", c.Name)
			}
		}
	})
}
