package endpoints

import (
	"flag"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy/envoytest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestAssignmentGolden(t *testing.T) {
	t.Parallel()
	key := mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: "cart"}, Port: 80}
	cart := mesh.Identity{Namespace: "shop", ServiceAccount: "cart"}
	tests := map[string]*mesh.EndpointSet{
		"nothing-known": nil,
		"none-left":     {Key: key},
		"with-and-without-sidecar": {Key: key, Identities: []mesh.Identity{cart}, Endpoints: []mesh.Endpoint{
			{Address: netip.MustParseAddrPort("10.244.0.5:8080"), Meshed: true, Identity: cart},
			{Address: netip.MustParseAddrPort("192.0.2.9:8080")},
		}},
		"draining": {Key: key, Endpoints: []mesh.Endpoint{
			{Address: netip.MustParseAddrPort("10.244.0.5:8080"), State: mesh.EndpointDraining},
			{Address: netip.MustParseAddrPort("[fd00:244::6]:8080"), State: mesh.EndpointReady},
		}},
	}
	for name, set := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assignment := Assignment(key, set)
			if err := envoytest.Validate(assignment); err != nil {
				t.Errorf("Envoy would refuse it: %v", err)
			}
			envoytest.Golden(t, filepath.Join("testdata", name+".yaml"), assignment, *update)
		})
	}
}
