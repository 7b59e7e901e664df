package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// The mesh of the random tests is small, so that everything meets everything.
var (
	someNamespaces = []string{"ops", "shop"}
	someNames      = []string{"cart", "web"}
	somePorts      = []uint16{80, 5432}
	someServiceIPs = addrs("10.96.0.1", "10.96.0.2", "fd00:96::1")
	somePodIPs     = addrs("10.244.0.1", "10.244.0.2", "fd00:244::1")
	somePods       = []string{"p-1", "p-2"}
	someUIDs       = []string{"uid-1", "uid-2"}
)

func addrs(texts ...string) []netip.Addr {
	out := make([]netip.Addr, 0, len(texts))
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

func pick[T any](t *rapid.T, label string, from []T) T { return rapid.SampledFrom(from).Draw(t, label) }

func some[T any](t *rapid.T, label string, from []T) []T {
	return slices.DeleteFunc(slices.Clone(from), func(v T) bool {
		return !rapid.Bool().Draw(t, fmt.Sprintf("%s %v", label, v))
	})
}

// edits are what can happen to a mesh. Each changes the snapshot, which
// shares all values with the one before: an edit replaces those that it
// changes.
var edits = map[string]func(*rapid.T, *mesh.Snapshot){
	"service": func(t *rapid.T, s *mesh.Snapshot) {
		put(t, &s.Services, serviceKey(t), randomService)
	},
	"service anew": func(t *rapid.T, s *mesh.Snapshot) {
		if service := s.Services.Get(serviceKey(t)); service != nil {
			again := *service
			again.Ports = nil
			for _, port := range service.Ports {
				copied := *port
				again.Ports = append(again.Ports, &copied)
			}
			s.Services = s.Services.With(service.Key, &again)
		}
	},
	"endpoints": func(t *rapid.T, s *mesh.Snapshot) {
		put(t, &s.Endpoints, portKey(t), randomEndpoints)
	},
	"pod": func(t *rapid.T, s *mesh.Snapshot) {
		put(t, &s.Pods, mesh.PodKey{Namespace: pick(t, "namespace", someNamespaces), Name: pick(t, "pod", somePods)}, randomPod)
		consistent(s)
	},
	"workload": func(t *rapid.T, s *mesh.Snapshot) {
		for _, key := range slices.SortedFunc(s.Workloads.Keys(), compareWorkloads) {
			changed := *s.Workloads.Get(key)
			changed.Strict = rapid.Bool().Draw(t, "strict")
			changed.Probes = some(t, "probe", []mesh.Probe{{Port: 80, Path: "/", Method: "GET"}, {Port: 90, Path: "/healthz?x=1", Method: "POST"}})
			s.Workloads = s.Workloads.With(key, &changed)
		}
	},
	"policy": func(t *rapid.T, s *mesh.Snapshot) {
		put(t, &s.Policies, identity(t), randomPolicy)
	},
	"namespace": func(t *rapid.T, s *mesh.Snapshot) {
		s.NamespaceAccess = s.NamespaceAccess.With(pick(t, "namespace", someNamespaces), access(t))
	},
	"settings": func(t *rapid.T, s *mesh.Snapshot) {
		s.Settings = mesh.Settings{
			TrustDomain: pick(t, "trust domain", []string{"cluster.local", "example.org"}),
			Access:      access(t), EgressDenied: rapid.Bool().Draw(t, "egress denied"),
		}
	},
	"nothing": func(*rapid.T, *mesh.Snapshot) {},
}

// put gives the key another value or takes it out.
func put[K comparable, V any](t *rapid.T, in *mesh.Table[K, *V], key K, random func(*rapid.T, K) *V) {
	if rapid.IntRange(0, 3).Draw(t, "out") == 0 {
		*in = in.Without(key)
		return
	}
	*in = in.With(key, random(t, key))
}

func serviceKey(t *rapid.T) mesh.ServiceKey {
	return mesh.ServiceKey{Namespace: pick(t, "namespace", someNamespaces), Name: pick(t, "service", someNames)}
}

func portKey(t *rapid.T) mesh.PortKey {
	return mesh.PortKey{Service: serviceKey(t), Port: pick(t, "port", somePorts)}
}

func identity(t *rapid.T) mesh.Identity {
	return mesh.Identity{Namespace: pick(t, "namespace", someNamespaces), ServiceAccount: pick(t, "account", someNames)}
}

func access(t *rapid.T) mesh.Access {
	return pick(t, "access", []mesh.Access{mesh.AllowUnlessTargeted, mesh.Deny, mesh.Allow})
}

func randomService(t *rapid.T, key mesh.ServiceKey) *mesh.Service {
	service := &mesh.Service{Key: key, Addresses: some(t, "address", someServiceIPs)}
	for _, number := range some(t, "port", somePorts) {
		port := &mesh.Port{
			Key: mesh.PortKey{Service: key, Port: number}, Number: number,
			Protocol: pick(t, "protocol", []mesh.Protocol{mesh.ProtocolDetect, mesh.ProtocolHTTP, mesh.ProtocolTCP}),
			Headless: len(service.Addresses) == 0,
		}
		if rapid.Bool().Draw(t, "split") {
			port.Route = randomRoute(t, number)
		}
		if port.Protocol != mesh.ProtocolTCP && rapid.Bool().Draw(t, "split by match") {
			route := randomRoute(t, number)
			route.Matches = []mesh.HTTPMatch{{PathRegex: pick(t, "path", []string{"", "/beta"})}}
			port.Matched = append(port.Matched, route)
		}
		service.Ports = append(service.Ports, port)
	}
	return service
}

func randomRoute(t *rapid.T, number uint16) *mesh.Route {
	route := &mesh.Route{Origin: pick(t, "origin", []string{"TrafficSplit shop/a", "TrafficSplit shop/b"})}
	for range rapid.IntRange(0, 3).Draw(t, "backends") {
		route.Shares = append(route.Shares, mesh.Share{
			Backend: mesh.PortKey{Service: serviceKey(t), Port: number}, Weight: rapid.Uint32Range(0, 2).Draw(t, "weight"),
		})
	}
	return route
}

func randomEndpoints(t *rapid.T, key mesh.PortKey) *mesh.EndpointSet {
	out := &mesh.EndpointSet{Key: key}
	for _, ip := range some(t, "endpoint", somePodIPs) {
		e := mesh.Endpoint{
			Address: netip.AddrPortFrom(ip, 8080), Meshed: rapid.Bool().Draw(t, "meshed"),
			State: pick(t, "state", []mesh.EndpointState{mesh.EndpointReady, mesh.EndpointDraining}),
		}
		if e.Meshed {
			e.Identity = identity(t)
			out.Identities = append(out.Identities, e.Identity)
		}
		out.Endpoints = append(out.Endpoints, e)
	}
	slices.SortFunc(out.Identities, mesh.Identity.Compare)
	out.Identities = slices.Compact(out.Identities)
	return out
}

func randomPod(t *rapid.T, key mesh.PodKey) *mesh.Pod {
	pod := &mesh.Pod{
		Key: key, UID: pick(t, "uid", someUIDs), Meshed: rapid.Bool().Draw(t, "meshed"), IPs: some(t, "ip", somePodIPs),
		Identity: mesh.Identity{Namespace: key.Namespace, ServiceAccount: pick(t, "account", someNames)},
	}
	if pod.Meshed {
		pod.DirectPorts = some(t, "direct port", somePorts)
		pod.Workload = mesh.WorkloadKey{
			Namespace: key.Namespace, Kind: "Deployment", Name: pick(t, "owner", someNames), Variant: pod.Identity.ServiceAccount,
		}
	}
	return pod
}

func randomPolicy(t *rapid.T, id mesh.Identity) *mesh.Policy {
	policy := &mesh.Policy{Destination: id, Closed: rapid.Bool().Draw(t, "closed")}
	for range rapid.IntRange(0, 2).Draw(t, "grants") {
		grant := mesh.Grant{Sources: []mesh.Identity{identity(t)}, Ports: some(t, "port", somePorts)}
		for range rapid.IntRange(0, 2).Draw(t, "matches") {
			match := mesh.HTTPMatch{
				Methods: some(t, "method", []string{"GET", "POST"}), PathRegex: pick(t, "path", []string{"", "/api/.*"}),
			}
			for _, header := range some(t, "header", []string{"x-a", "x-b"}) {
				match.Headers = append(match.Headers, mesh.HeaderMatch{Name: header, Regex: pick(t, "value", []string{"", "yes|no"})})
			}
			grant.HTTP = append(grant.HTTP, match)
		}
		policy.Grants = append(policy.Grants, grant)
	}
	return policy
}

// consistent makes what follows from the pods.
func consistent(s *mesh.Snapshot) {
	s.PodsByIP = mesh.Table[netip.Addr, *mesh.Pod]{}
	workloads := map[mesh.WorkloadKey]*mesh.Workload{}
	for _, key := range slices.SortedFunc(s.Pods.Keys(), mesh.PodKey.Compare) {
		pod := s.Pods.Get(key)
		for _, ip := range pod.IPs {
			s.PodsByIP = s.PodsByIP.With(ip, pod)
		}
		if !pod.Meshed {
			continue
		}
		workloads[pod.Workload] = s.Workloads.Get(pod.Workload)
		if workloads[pod.Workload] == nil {
			workloads[pod.Workload] = &mesh.Workload{Key: pod.Workload, Identity: pod.Identity}
		}
	}
	s.Workloads = mesh.TableOf(workloads)
}

func compareWorkloads(a, b mesh.WorkloadKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Variant, b.Variant))
}

// randomMesh is where random histories begin.
func randomMesh(t *rapid.T) *mesh.Snapshot {
	s := &mesh.Snapshot{Settings: mesh.Settings{TrustDomain: "cluster.local"}}
	for _, what := range []string{"service", "endpoints", "pod", "policy"} {
		for range 4 {
			edits[what](t, s)
		}
	}
	return s
}

// edited returns the snapshot after an edit or two.
func edited(t *rapid.T, before *mesh.Snapshot) *mesh.Snapshot {
	next := *before
	next.Generation++
	for range rapid.IntRange(1, 2).Draw(t, "edits") {
		edits[pick(t, "edit", slices.Sorted(maps.Keys(edits)))](t, &next)
	}
	return &next
}
