package mesh

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDestinations(t *testing.T) {
	t.Parallel()
	key := PortKey{ServiceKey{"shop", "web"}, 80}
	route := &Route{}
	ips := []netip.Addr{netip.MustParseAddr("10.96.0.1"), netip.MustParseAddr("fd00::1")}
	snapshot := &Snapshot{Endpoints: TableOf(map[PortKey]*EndpointSet{key: {Endpoints: []Endpoint{
		{Address: netip.MustParseAddrPort("10.1.0.1:8080")}, {Address: netip.MustParseAddrPort("10.1.0.2:8081"), State: EndpointDraining},
	}}})}
	tests := map[string]struct {
		snapshot *Snapshot
		service  Service
		port     Port
		want     []string
	}{
		"each address with the port's number":  {snapshot, Service{Addresses: ips}, Port{Key: key, Number: 80, Route: route}, []string{"10.96.0.1:80", "[fd00::1]:80"}},
		"a headless service that is not split": {snapshot, Service{}, Port{Key: key, Number: 80, Headless: true}, nil},
		"a headless service that is split":     {snapshot, Service{}, Port{Key: key, Number: 80, Headless: true, Route: route}, []string{"10.1.0.1:8080", "10.1.0.2:8081"}},
		"split by match":                       {snapshot, Service{}, Port{Key: key, Headless: true, Matched: []*Route{route}}, []string{"10.1.0.1:8080", "10.1.0.2:8081"}},
		"split, and nothing behind it":         {&Snapshot{}, Service{}, Port{Key: key, Headless: true, Route: route}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, dst := range tc.snapshot.Destinations(&tc.service, &tc.port) {
				got = append(got, dst.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
