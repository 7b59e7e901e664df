package v1alpha3

import "testing"

func TestPortLimit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		route       string
		port        int
		limited, ok bool
	}{
		"cart":         {"cart", 0, false, true},
		"cart:80":      {"cart", 80, true, true},
		":8080":        {"", 8080, true, true},
		"cart:65535":   {"cart", 65535, true, true},
		"cart:65536":   {"", 0, true, false},
		"cart:0":       {"", 0, true, false},
		"cart:-1":      {"", 0, true, false},
		"cart:+80":     {"", 0, true, false},
		"cart:080":     {"", 0, true, false},
		"cart:":        {"", 0, true, false},
		":":            {"", 0, true, false},
		"cart:80:80":   {"", 0, true, false},
		"cart:eighty":  {"", 0, true, false},
		"":             {"", 0, false, true},
		"cart:8 0":     {"", 0, true, false},
		"ca.rt-1:1234": {"ca.rt-1", 1234, true, true},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			route, port, limited, ok := PortLimit(name)
			if route != want.route || port != want.port || limited != want.limited || ok != want.ok {
				t.Errorf("%q, %d, %t, %t", route, port, limited, ok)
			}
			if ok && limited && LimitToPort(route, port) != name {
				t.Errorf("%q is another name", LimitToPort(route, port))
			}
		})
	}
}
