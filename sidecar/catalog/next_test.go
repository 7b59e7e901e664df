package catalog

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

func TestChangeNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	type names = map[string][]string
	// demanded are what proxies have asked for by destination.
	demanded := []string{"dst|10.244.0.5:8080", "dst|10.244.0.9:80", "tcp|10.96.0.7:80", "tcp|10.96.0.9:5432", "tcp|192.0.2.1:443"}
	tests := map[string]struct {
		change func(*mesh.Snapshot)
		names  names
		pods   []string
		// asked are those of the demanded that are to be looked at again.
		asked []string
	}{
		"nothing": {change: func(*mesh.Snapshot) {}},
		"an endpoint of an identity that is there": {
			change: func(s *mesh.Snapshot) {
				addEndpoints(s, cartKey, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.15:8080"), Meshed: true, Identity: cartID})
			},
			names: names{xds.TypeEndpoints: {"shop/cart/80"}},
		},
		"an endpoint of another identity": {
			change: func(s *mesh.Snapshot) {
				addEndpoints(s, cartKey, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.5:8080"), Meshed: true, Identity: webID})
			},
			names: names{xds.TypeCluster: {"http/shop/cart/80"}},
			asked: []string{"tcp|10.96.0.7:80"},
		},
		"the last endpoint": {
			change: func(s *mesh.Snapshot) { s.Endpoints = s.Endpoints.Without(dbKey) },
			names:  names{xds.TypeEndpoints: {"shop/db/5432"}},
		},
		"endpoints of a port that no service has": {
			change: func(s *mesh.Snapshot) { addEndpoints(s, key("gone", 80)) },
		},
		"a split": {
			change: func(s *mesh.Snapshot) {
				addService(s, cartKey, mesh.ProtocolHTTP, "10.96.0.7")
				s.Services.Get(cartKey.Service).Ports[0].Route = &mesh.Route{Shares: []mesh.Share{{Backend: webKey, Weight: 1}}}
			},
			names: names{xds.TypeVirtualHost: {"outbound/10.96.0.7:80"}, xds.TypeEndpoints: {"split/shop/cart/80"}},
			asked: []string{"tcp|10.96.0.7:80"},
		},
		"a service that has another address": {
			change: func(s *mesh.Snapshot) { addService(s, cartKey, mesh.ProtocolHTTP, "10.96.0.17") },
			names:  names{xds.TypeVirtualHost: {"outbound/10.96.0.17:80", "outbound/10.96.0.7:80"}},
			asked:  []string{"tcp|10.96.0.7:80"},
		},
		"a service that is gone": {
			change: func(s *mesh.Snapshot) { s.Services = s.Services.Without(webKey.Service) },
			names: names{
				xds.TypeEndpoints: {"shop/web/80"}, xds.TypeCluster: {"http/shop/web/80"}, xds.TypeVirtualHost: {"outbound/10.96.0.8:80"},
			},
		},
		"a port that takes no requests any more": {
			change: func(s *mesh.Snapshot) { addService(s, webKey, mesh.ProtocolTCP, "10.96.0.8") },
			names: names{
				xds.TypeCluster: {"http/shop/web/80"}, xds.TypeVirtualHost: {"outbound/10.96.0.8:80"}, xds.TypeListener: {"outbound"},
			},
		},
		"a pod of a workload that is there": {
			change: func(s *mesh.Snapshot) { addPod(s, "web-2", "web", "10.244.0.9", true) },
			pods:   []string{"web-2"},
			asked:  []string{"dst|10.244.0.9:80"},
		},
		"a pod of a new workload": {
			change: func(s *mesh.Snapshot) { addPod(s, "admin-1", "admin", "", true) },
			names: names{
				xds.TypeListener: {"inbound/shop/Deployment/admin/1"},
				xds.TypeRoutes:   {"inbound/shop/admin", "plaintext/shop/Deployment/admin/1"},
			},
			pods: []string{"admin-1"},
		},
		"a pod without a sidecar": {
			change: func(s *mesh.Snapshot) { addPod(s, "db-2", "db", "10.244.0.9", false) },
			asked:  []string{"dst|10.244.0.9:80"},
		},
		"a pod that is another of the same name": {
			change: func(s *mesh.Snapshot) {
				addPod(s, "web-1", "web", "10.244.0.6", true)
				s.Pods.Get(mesh.PodKey{Namespace: "shop", Name: "web-1"}).UID = "uid-2"
			},
			pods: []string{"web-1"},
		},
		"a pod whose workload is another": {
			change: func(s *mesh.Snapshot) {
				addPod(s, "web-1", "web", "10.244.0.6", true)
				s.Pods.Get(mesh.PodKey{Namespace: "shop", Name: "web-1"}).Workload = owner("cart")
			},
			pods: []string{"web-1"},
		},
		"a pod that is gone": {
			change: func(s *mesh.Snapshot) {
				s.Pods = s.Pods.Without(mesh.PodKey{Namespace: "shop", Name: "cart-1"})
				s.PodsByIP = s.PodsByIP.Without(netip.MustParseAddr("10.244.0.5"))
			},
			asked: []string{"dst|10.244.0.5:8080"},
		},
		"a grant": {
			change: func(s *mesh.Snapshot) {
				s.Policies = s.Policies.With(cartID, &mesh.Policy{Destination: cartID, Grants: []mesh.Grant{{Sources: []mesh.Identity{webID}}}})
			},
		},
		"a grant in a closed policy": {
			change: func(s *mesh.Snapshot) {
				s.Policies = s.Policies.With(cartID, &mesh.Policy{Destination: cartID, Closed: true})
			},
			names: names{
				xds.TypeListener: {"inbound/shop/Deployment/cart/1"},
				xds.TypeRoutes:   {"inbound/shop/cart", "plaintext/shop/Deployment/cart/1"},
			},
		},
		"access of a namespace where a policy is by default": {
			change: func(s *mesh.Snapshot) {
				s.Policies = s.Policies.Without(cartID)
				s.NamespaceAccess = mesh.TableOf(map[string]mesh.Access{"shop": mesh.Deny})
			},
			names: names{
				xds.TypeListener: {"inbound/shop/Deployment/cart/1"},
				xds.TypeRoutes:   {"inbound/shop/cart", "plaintext/shop/Deployment/cart/1"},
			},
		},
		"closed egress": {
			change: func(s *mesh.Snapshot) { s.Settings.EgressDenied = true },
			asked:  demanded,
		},
		"closed egress, and a service that is gone": {
			change: func(s *mesh.Snapshot) {
				s.Settings.EgressDenied = true
				s.Services = s.Services.Without(webKey.Service)
			},
			names: names{
				xds.TypeEndpoints: {"shop/web/80"}, xds.TypeCluster: {"http/shop/web/80"}, xds.TypeVirtualHost: {"outbound/10.96.0.8:80"},
			},
			asked: demanded,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, _ := next(t, nil, shop())
			_, change := next(t, before, changed(before.snapshot, test.change))
			want := test.names
			if want == nil {
				want = names{}
			}
			if diff := cmp.Diff(want, change.Names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			var pods []string
			for _, pod := range change.Pods {
				pods = append(pods, pod.Name)
			}
			if diff := cmp.Diff(test.pods, pods); diff != "" {
				t.Errorf("pods (-want +got):\n%s", diff)
			}
			asked := slices.DeleteFunc(slices.Clone(demanded), func(name string) bool {
				return !tells(change, xds.TypeCluster, name)
			})
			if diff := cmp.Diff(test.asked, append([]string(nil), asked...)); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewRootsChangeTheirSecretOnly(t *testing.T) {
	t.Parallel()
	before, _ := next(t, nil, shop())
	_, change, err := Next(before, before.snapshot, []byte("other roots"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{xds.TypeSecret: {envoy.RootsSecret}}, change.Names); diff != "" {
		t.Error(diff)
	}
}

func TestOriginFollowsTheObject(t *testing.T) {
	t.Parallel()
	renamed := func(origin string) func(*mesh.Snapshot) {
		return func(s *mesh.Snapshot) {
			addService(s, cartKey, mesh.ProtocolHTTP, "10.96.0.7")
			s.Services.Get(cartKey.Service).Ports[0].Route = &mesh.Route{Origin: origin, Shares: []mesh.Share{{Backend: webKey, Weight: 1}}}
		}
	}
	old, _ := next(t, nil, changed(shop(), renamed("TrafficSplit shop/old")))
	now, change := next(t, old, changed(old.snapshot, renamed("TrafficSplit shop/new")))
	if len(change.Names) > 0 {
		t.Errorf("the bytes are the same, but changed is %v", change.Names)
	}
	if got := now.Resource(webPod, xds.TypeVirtualHost, "outbound/10.96.0.7:80").Origin; got != "TrafficSplit shop/new" {
		t.Errorf("a refusal would be reported of %q", got)
	}
}

func TestAddressOfTwoServicesIsTheFirstOnes(t *testing.T) {
	t.Parallel()
	c, _ := next(t, nil, changed(shop(), func(s *mesh.Snapshot) { addService(s, key("aaa", 80), mesh.ProtocolHTTP, "10.96.0.7") }))
	host := c.Resource(webPod, xds.TypeVirtualHost, "outbound/10.96.0.7:80")
	if host.Origin != "Service shop/aaa" {
		t.Errorf("it is that of %s", host.Origin)
	}
	c, change := next(t, c, changed(c.snapshot, func(s *mesh.Snapshot) { s.Services = s.Services.Without(key("aaa", 80).Service) }))
	if host = c.Resource(webPod, xds.TypeVirtualHost, "outbound/10.96.0.7:80"); host == nil || host.Origin != "Service shop/cart" {
		t.Errorf("the other service has not got it back: %v", host)
	}
	if !slices.Contains(change.Names[xds.TypeVirtualHost], "outbound/10.96.0.7:80") {
		t.Errorf("that is not in the change: %v", change.Names)
	}
}

func TestWhatCantBeMarshalledIsLeftOut(t *testing.T) {
	t.Parallel()
	bad := key("\xff", 80)
	snapshot := changed(shop(), func(s *mesh.Snapshot) { addService(s, bad, mesh.ProtocolHTTP, "10.96.0.20") })
	c, _, err := Next(nil, snapshot, []byte("roots"))
	if err == nil || !strings.Contains(err.Error(), `http/shop/\xff/80`) || !strings.Contains(err.Error(), `"outbound/10.96.0.20:80"`) {
		t.Errorf("the error does not name both: %v", err)
	}
	if c.Resource(webPod, xds.TypeCluster, envoy.HTTPCluster(bad)) != nil {
		t.Error("it is there all the same")
	}
	if c.Resource(webPod, xds.TypeCluster, envoy.HTTPCluster(cartKey)) == nil {
		t.Error("so is nothing else")
	}
}
