package build

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
)

// The names by which a target of an older version refers to TCPRoutes on the
// port of its destination.
func TestPortLimits(t *testing.T) {
	t.Parallel()
	known := &step{Builder: NewBuilder()}
	for _, route := range []*specsv1alpha4.TCPRoute{tcpRoute("db", 5432, 5433), tcpRoute("any"), tcpRoute("wrong", 0, 65536)} {
		known.tcp[types.NamespacedName{Namespace: ns, Name: route.Name}] = route
	}
	tests := map[string]struct {
		want         []uint16
		every, found bool
	}{
		"db":           {[]uint16{5432, 5433}, false, true},
		"any":          {nil, true, true},
		"db:5433":      {[]uint16{5433}, false, true},
		"db:80":        {nil, false, true},
		"any:80":       {[]uint16{80}, false, true},
		"wrong:65536":  {nil, false, false},
		"wrong:80":     {nil, false, true},
		":80":          {[]uint16{80}, false, true},
		":0":           {nil, false, false},
		"nowhere:80":   {nil, false, false},
		"nowhere":      {nil, false, false},
		"":             {nil, false, false},
		"any:":         {nil, false, false},
		"any:80:81":    {nil, false, false},
		":80:80":       {nil, false, false},
		"other/any:80": {nil, false, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, every, found := known.tcpPorts(ns, name)
			if !slices.Equal(tc.want, got) || every != tc.every || found != tc.found {
				t.Errorf("%v, %t, %t; want %+v", got, every, found, tc)
			}
		})
	}
}
