package envoy

import "github.com/heddle-mesh/heddle/operator/mesh"

func hostGoldens() map[string]golden {
	split := func(shares ...mesh.Share) golden {
		return golden{resource: ServiceHost(cartIP, &mesh.Port{Key: cart, Number: 80, Route: &mesh.Route{Shares: shares}})}
	}
	own := &mesh.Port{Key: cart, Number: 80}
	return map[string]golden{
		"host-own-endpoints":     {resource: ServiceHost(cartIP, own)},
		"host-ipv6":              {resource: ServiceHost(cartIPv6, own)},
		"host-placeholder":       {resource: EmptyHost()},
		"host-split":             split(mesh.Share{Backend: cart, Weight: 90}, mesh.Share{Backend: cartV2, Weight: 10}),
		"host-split-zero-weight": split(mesh.Share{Backend: cart, Weight: 1}, mesh.Share{Backend: cartV2}),
		"host-split-no-weight":   split(mesh.Share{Backend: cart}, mesh.Share{Backend: cartV2}),
		"host-split-missing-backend": split(
			mesh.Share{Backend: cart, Weight: 50}, mesh.Share{Backend: portKey("gone", 80), Weight: 50, Missing: true}),
		"host-split-by-match": {resource: ServiceHost(cartIP, &mesh.Port{
			Key: cart, Number: 80,
			Matched: []*mesh.Route{
				{
					Matches: []mesh.HTTPMatch{
						{Methods: []string{"GET", "HEAD"}, PathRegex: "/beta(/.*)?"},
						{Headers: []mesh.HeaderMatch{{Name: "x-beta", Regex: "yes|1"}, {Name: "x-empty"}}},
					},
					Shares: []mesh.Share{{Backend: cartV2, Weight: 1}},
				},
				{Matches: []mesh.HTTPMatch{{}}, Shares: []mesh.Share{{Backend: cart}}},
			},
			Route: &mesh.Route{Shares: []mesh.Share{{Backend: cart, Weight: 90}, {Backend: cartV2, Weight: 10}}},
		})},
		"host-split-by-match-else-own": {resource: ServiceHost(cartIP, &mesh.Port{
			Key: cart, Number: 80,
			Matched: []*mesh.Route{{Matches: []mesh.HTTPMatch{{PathRegex: "/beta"}}, Shares: []mesh.Share{{Backend: cartV2, Weight: 1}}}},
		})},
		"host-headless-by-match": {resource: ServiceHost(cartPod, &mesh.Port{
			Key: cart, Number: 80, Headless: true,
			Matched: []*mesh.Route{{Matches: []mesh.HTTPMatch{{PathRegex: "/beta"}}, Shares: []mesh.Share{{Backend: cartV2, Weight: 1}}}},
		})},
		"routes-outbound": {resource: OutboundRoutes()},
	}
}
