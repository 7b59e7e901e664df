package envoy

import (
	"net/netip"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

const trustDomain = "cluster.local"

// The shop that the tests are about: Service cart on port 80, its second
// version, and a database that speaks first.
var (
	cart   = portKey("cart", 80)
	cartV2 = portKey("cart-v2", 80)

	cartIP   = netip.MustParseAddrPort("10.96.0.7:80")
	cartIPv6 = netip.MustParseAddrPort("[fd00:96::7]:80")
	cartPod  = netip.MustParseAddrPort("10.244.0.5:8080")
	external = netip.MustParseAddrPort("192.0.2.1:443")

	cartID  = mesh.Identity{Namespace: "shop", ServiceAccount: "cart"}
	webID   = mesh.Identity{Namespace: "shop", ServiceAccount: "web"}
	adminID = mesh.Identity{Namespace: "ops", ServiceAccount: "admin"}
)

func portKey(service string, port uint16) mesh.PortKey {
	return mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: service}, Port: port}
}

func clusterGoldens() map[string]golden {
	whole := func(name string, http bool, ids ...mesh.Identity) golden {
		return golden{resource: PortCluster(name, http, cart, ids, trustDomain)}
	}
	return map[string]golden{
		"cluster-http":                whole(HTTPCluster(cart), true, cartID),
		"cluster-tcp-two-identities":  whole(TCPCluster(cartIP), false, cartID, adminID),
		"cluster-tcp-without-sidecar": whole(TCPCluster(cartIP), false),
		"cluster-tcp-split":           {resource: SplitCluster(TCPCluster(cartIP), false, cart, []mesh.Identity{cartID, webID}, trustDomain)},
		"cluster-pod-http":            {resource: PodCluster(DirectCluster(cartPod), true, cartPod, cartID, trustDomain)},
		"cluster-pod-tcp":             {resource: PodCluster(TCPCluster(cartPod), false, cartPod, cartID, trustDomain)},
		"cluster-external-http":       {resource: PassthroughCluster(DirectCluster(external), true)},
		"cluster-external-tcp":        {resource: PassthroughCluster(TCPCluster(external), false)},
		"cluster-closed-tcp":          {resource: ClosedCluster(TCPCluster(external), false)},
		"cluster-application":         {resource: Inbound()},
		"cluster-ready":               {resource: ReadyCluster()},
	}
}
