package build

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	"github.com/heddle-mesh/heddle/crds/smi/validate"
)

// A match is understood in full or refused; headers are never dropped.
func FuzzHTTPMatch(f *testing.F) {
	f.Add("/a.*", "GET", `{"x-a":"1"}`)
	f.Add("", "*", `[{"X-A":"1"},{"x-b":".*"}]`)
	f.Add("(", "get", `[]`)
	f.Add(`\p{Letter}`, "", `null`)
	f.Fuzz(func(t *testing.T, path, method, text string) {
		m := specsv1alpha4.HTTPMatch{Name: "m", PathRegex: path, Methods: []string{method}, Headers: &specsv1alpha4.Headers{}}
		if json.Unmarshal([]byte(text), m.Headers) != nil {
			return
		}
		groups := group("g", m)
		usable := usableOf(Objects{HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{groups}})
		if refused := len(validate.HTTPRouteGroup(groups).Errors) > 0; refused != (len(usable) == 0) {
			t.Fatalf("refused: %t, usable: %v", refused, usable)
		}
		if len(usable) == 0 {
			return
		}
		match := usable[0]
		if match.PathRegex != path || (method != specsv1alpha4.MethodAny) != (len(match.Methods) == 1) {
			t.Errorf("%+v of path %q and method %q", match, path, method)
		}
		conditions, err := m.Headers.Conditions()
		if err != nil || len(conditions) != len(match.Headers) {
			t.Errorf("%d of %d headers, %v", len(match.Headers), len(conditions), err)
		}
		for _, h := range match.Headers {
			if h.Name != strings.ToLower(h.Name) {
				t.Errorf("header name %q", h.Name)
			}
		}
	})
}

// The path of a probe is one that a request can have, and stays what it is.
func FuzzRequestPath(f *testing.F) {
	for _, path := range []string{"/healthz", "", "a?b#c", "//h/a", "http://h:1/a", "a:b", "/%zz", "/a\nb", "/ü", "http://[::1"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, ok := requestPath(path)
		if !ok {
			return
		}
		if !strings.HasPrefix(got, "/") || strings.ContainsAny(got, "#\r\n") {
			t.Errorf("%q became %q", path, got)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://pod"+got, nil)
		if err != nil {
			t.Fatalf("%q became %q, which can't be sent: %v", path, got, err)
		}
		if sent := request.URL.RequestURI(); sent != got {
			t.Errorf("%q became %q, which is sent as %q", path, got, sent)
		}
	})
}

func FuzzPortNumber(f *testing.F) {
	f.Add("web", int32(8080))
	f.Add("8080", int32(0))
	f.Add("99999999999999999999", int32(-1))
	f.Fuzz(func(t *testing.T, text string, number int32) {
		c := &corev1.Container{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: number}}}
		inRange := number > 0 && number < 65536
		if got, ok := portNumber(c, intstr.FromInt32(number)); ok != inRange || ok && int32(got) != number {
			t.Errorf("%d is %d, %t", number, got, ok)
		}
		if got, ok := portNumber(c, intstr.FromString("web")); ok != inRange || ok && int32(got) != number {
			t.Errorf("the port of number %d is %d, %t", number, got, ok)
		}
		if got, ok := portNumber(c, intstr.FromString(text)); ok == (got == 0) {
			t.Errorf("%q is %d, %t", text, got, ok)
		}
	})
}

func FuzzParseAddr(f *testing.F) {
	for _, text := range []string{"10.1.0.1", "::ffff:10.1.0.1", "fe80::1%eth0", "fd00::1", "None", "010.1.0.1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, ok := parseAddr(text)
		if !ok {
			return
		}
		if addr.Zone() != "" || addr.Is4In6() {
			t.Errorf("%q became %s", text, addr)
		}
		if again, ok := parseAddr(addr.String()); !ok || again != addr {
			t.Errorf("%q became %s and then %s", text, addr, again)
		}
	})
}
