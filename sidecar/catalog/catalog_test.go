package catalog

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

func TestProxySeesOnlyItsOwnInboundSide(t *testing.T) {
	t.Parallel()
	c, _ := next(t, nil, shop())
	tests := map[string]struct {
		client            xds.Client
		listeners, routes []string
	}{
		"a pod": {
			client:    cartPod,
			listeners: []string{"inbound/shop/Deployment/cart/1", "outbound", "ready"},
			routes:    []string{"inbound/shop/cart", "outbound", "plaintext/shop/Deployment/cart/1"},
		},
		"a pod of another workload": {
			client:    webPod,
			listeners: []string{"inbound/shop/Deployment/web/1", "outbound", "ready"},
			routes:    []string{"inbound/shop/web", "outbound", "plaintext/shop/Deployment/web/1"},
		},
		"a pod that nobody knows": {
			client:    xds.Client{Namespace: "shop", Pod: "cart-2", PodUID: "uid-cart-1", ServiceAccount: "cart"},
			listeners: []string{"outbound"}, routes: []string{"outbound"},
		},
		"a pod of the same name from before": {
			client:    xds.Client{Namespace: "shop", Pod: "cart-1", PodUID: "uid-0", ServiceAccount: "cart"},
			listeners: []string{"outbound"}, routes: []string{"outbound"},
		},
		"a pod of the same name in another namespace": {
			client:    xds.Client{Namespace: "ops", Pod: "cart-1", PodUID: "uid-cart-1", ServiceAccount: "cart"},
			listeners: []string{"outbound"}, routes: []string{"outbound"},
		},
		"a pod without a sidecar": {
			client:    xds.Client{Namespace: "shop", Pod: "db-1", PodUID: "uid-db-1", ServiceAccount: "db"},
			listeners: []string{"outbound"}, routes: []string{"outbound"},
		},
		"nobody": {listeners: []string{"outbound"}, routes: []string{"outbound"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.listeners, visible(c, test.client, xds.TypeListener)); diff != "" {
				t.Errorf("listeners (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.routes, visible(c, test.client, xds.TypeRoutes)); diff != "" {
				t.Errorf("routes (-want +got):\n%s", diff)
			}
			unasked := slices.Sorted(slices.Values(c.Wildcard(test.client, xds.TypeListener)))
			if diff := cmp.Diff(test.listeners, unasked); diff != "" {
				t.Errorf("listeners that come unasked (-want +got):\n%s", diff)
			}
			for _, typeURL := range []string{xds.TypeCluster, xds.TypeEndpoints, xds.TypeSecret, xds.TypeRoutes} {
				if all := c.Wildcard(test.client, typeURL); len(all) > 0 {
					t.Errorf("%s come unasked: %v", typeURL, all)
				}
			}
		})
	}
}

func visible(c *Catalog, client xds.Client, typeURL string) []string {
	var out []string
	for name := range c.tables[typeURL].All() {
		if c.Resource(client, typeURL, name) != nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func TestResourcesAreMadeOnceForAll(t *testing.T) {
	t.Parallel()
	c, _ := next(t, nil, shop())
	for typeURL, names := range map[string][]string{
		xds.TypeCluster: {
			envoy.Ready, envoy.InboundCluster, "http/shop/cart/80", "tcp|10.96.0.9:5432", "dst|10.244.0.5:8080", "dst|192.0.2.1:80",
		},
		xds.TypeEndpoints:   {"shop/cart/80", "shop/web/80", "shop/db/5432"},
		xds.TypeSecret:      {envoy.RootsSecret},
		xds.TypeListener:    {envoy.Ready, envoy.Outbound},
		xds.TypeRoutes:      {envoy.Outbound},
		xds.TypeVirtualHost: {envoy.PlaceholderHost, "outbound/10.96.0.7:80", "outbound/10.96.0.8:80"},
	} {
		for _, name := range names {
			one, other := c.Resource(cartPod, typeURL, name), c.Resource(webPod, typeURL, name)
			if one == nil || one != other {
				t.Errorf("%s %s: two proxies get %p and %p", typeURL, name, one, other)
			}
		}
	}
}

func TestPodsOfOneWorkloadShareTheirInboundSide(t *testing.T) {
	t.Parallel()
	c, _ := next(t, nil, changed(shop(), func(s *mesh.Snapshot) { addPod(s, "cart-2", "cart", "10.244.0.25", true) }))
	other := xds.Client{Namespace: "shop", Pod: "cart-2", PodUID: "uid-cart-2", ServiceAccount: "cart"}
	for typeURL, name := range map[string]string{
		xds.TypeListener: "inbound/shop/Deployment/cart/1", xds.TypeRoutes: "inbound/shop/cart",
	} {
		one, two := c.Resource(cartPod, typeURL, name), c.Resource(other, typeURL, name)
		if one == nil || one != two {
			t.Errorf("%s: two pods get %p and %p", name, one, two)
		}
	}
}

func TestPortThatTakesNoRequestsHasNoRoute(t *testing.T) {
	t.Parallel()
	c, _ := next(t, nil, shop())
	if c.Resource(webPod, xds.TypeEndpoints, "shop/db/5432") == nil {
		t.Error("it has no assignment")
	}
	for typeURL, name := range map[string]string{xds.TypeCluster: "http/shop/db/5432", xds.TypeVirtualHost: "outbound/10.96.0.9:5432"} {
		if c.Resource(webPod, typeURL, name) != nil {
			t.Errorf("there is %s", name)
		}
	}
}
