package catalog

import (
	"net/netip"
	"testing"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// The shop: Service cart with a pod cart-1, Service web with a pod web-1, a
// database that is not of the mesh.
var (
	cartKey, webKey, dbKey = key("cart", 80), key("web", 80), key("db", 5432)
	cartID, webID          = account("cart"), account("web")

	cartPod = xds.Client{Namespace: "shop", Pod: "cart-1", PodUID: "uid-cart-1", ServiceAccount: "cart"}
	webPod  = xds.Client{Namespace: "shop", Pod: "web-1", PodUID: "uid-web-1", ServiceAccount: "web"}
)

func key(service string, port uint16) mesh.PortKey {
	return mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: service}, Port: port}
}

func account(name string) mesh.Identity {
	return mesh.Identity{Namespace: "shop", ServiceAccount: name}
}

func owner(name string) mesh.WorkloadKey {
	return mesh.WorkloadKey{Namespace: "shop", Kind: "Deployment", Name: name, Variant: "1"}
}

func shop() *mesh.Snapshot {
	s := &mesh.Snapshot{Settings: mesh.Settings{TrustDomain: "cluster.local"}}
	addService(s, cartKey, mesh.ProtocolHTTP, "10.96.0.7")
	addService(s, webKey, mesh.ProtocolDetect, "10.96.0.8")
	addService(s, dbKey, mesh.ProtocolTCP, "10.96.0.9")
	addPod(s, "cart-1", "cart", "10.244.0.5", true)
	addPod(s, "web-1", "web", "10.244.0.6", true)
	addPod(s, "db-1", "db", "10.244.0.7", false)
	addEndpoints(s, cartKey, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.5:8080"), Meshed: true, Identity: cartID})
	addEndpoints(s, dbKey, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.7:5432")})
	return s
}

func addService(s *mesh.Snapshot, key mesh.PortKey, protocol mesh.Protocol, ip string) {
	s.Services = s.Services.With(key.Service, &mesh.Service{
		Key: key.Service, Addresses: addrs(ip), Ports: []*mesh.Port{{Key: key, Number: key.Port, Protocol: protocol}},
	})
}

func addEndpoints(s *mesh.Snapshot, key mesh.PortKey, all ...mesh.Endpoint) {
	set := &mesh.EndpointSet{Key: key, Endpoints: all}
	for _, e := range all {
		if e.Meshed {
			set.Identities = append(set.Identities, e.Identity)
		}
	}
	s.Endpoints = s.Endpoints.With(key, set)
}

func addPod(s *mesh.Snapshot, name, serviceAccount, ip string, meshed bool) {
	pod := &mesh.Pod{
		Key: mesh.PodKey{Namespace: "shop", Name: name}, UID: "uid-" + name, Identity: account(serviceAccount), Meshed: meshed,
	}
	if ip != "" {
		pod.IPs = addrs(ip)
		s.PodsByIP = s.PodsByIP.With(pod.IPs[0], pod)
	}
	s.Pods = s.Pods.With(pod.Key, pod)
	if meshed {
		pod.Workload = owner(serviceAccount)
		s.Workloads = s.Workloads.With(pod.Workload, &mesh.Workload{Key: pod.Workload, Identity: pod.Identity})
		s.Policies = s.Policies.With(pod.Identity, &mesh.Policy{Destination: pod.Identity})
	}
}

// changed returns a snapshot after the change.
func changed(before *mesh.Snapshot, change func(*mesh.Snapshot)) *mesh.Snapshot {
	s := *before
	change(&s)
	return &s
}

func next(t *testing.T, before *Catalog, snapshot *mesh.Snapshot) (*Catalog, xds.Change) {
	t.Helper()
	c, change, err := Next(before, snapshot, []byte("roots"))
	if err != nil {
		t.Fatal(err)
	}
	return c, change
}
