package catalog

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/envoy/envoytest"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

var allTypes = []string{
	xds.TypeCluster, xds.TypeEndpoints, xds.TypeSecret, xds.TypeListener, xds.TypeRoutes, xds.TypeVirtualHost,
}

// TestChangesAddUpToTheCatalog runs a mesh through a random history. A proxy
// that after each step looks again at what the change names, and at nothing
// else, must hold what a catalog made from nothing has for it.
func TestChangesAddUpToTheCatalog(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		snapshot, roots := randomMesh(t), "roots 1"
		line := first(t, snapshot, roots)
		viewer := xds.Client{
			Namespace: pick(t, "viewer's namespace", someNamespaces), Pod: somePods[0], PodUID: someUIDs[0],
			ServiceAccount: pick(t, "viewer's account", someNames),
		}
		held := viewOf(line, viewer)
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			before := line
			snapshot = edited(t, snapshot)
			if rapid.IntRange(0, 5).Draw(t, "rotate") == 0 {
				roots += "+"
			}
			next, change, err := Next(before, snapshot, []byte(roots))
			if err != nil {
				t.Fatal(err)
			}
			line = next
			fresh := first(t, snapshot, roots)

			held.update(t, line, viewer, change)
			want := viewOf(fresh, viewer)
			if fresh.workload(viewer) == nil {
				// A pod that is gone keeps what it has.
				held.forget()
				want.forget()
			}
			if diff := cmp.Diff(want, held); diff != "" {
				t.Fatalf("the changes don't add up to the catalog (-want +got):\n%s", diff)
			}
			compareTables(t, before, line, fresh, change)
		}
	})
}

func first(t *rapid.T, snapshot *mesh.Snapshot, roots string) *Catalog {
	c, _, err := Next(nil, snapshot, []byte(roots))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// view is what a proxy holds that asks for everything there can be.
type view struct {
	// Versions are by type URL and name, Everything are the names that come
	// unasked.
	Versions   map[string]map[string]string
	Everything map[string][]string
}

func viewOf(c *Catalog, client xds.Client) view {
	v := view{Versions: map[string]map[string]string{}, Everything: map[string][]string{}}
	for _, typeURL := range allTypes {
		v.Versions[typeURL] = map[string]string{}
		v.Everything[typeURL] = c.Wildcard(client, typeURL)
		for _, name := range names[typeURL] {
			v.look(c, client, typeURL, name)
		}
	}
	return v
}

func (v view) look(c *Catalog, client xds.Client, typeURL, name string) {
	delete(v.Versions[typeURL], name)
	if r := c.Resource(client, typeURL, name); r != nil {
		v.Versions[typeURL][name] = r.Version
	}
}

func (v view) update(t *rapid.T, c *Catalog, client xds.Client, change xds.Change) {
	again := slices.Contains(change.Pods, xds.PodKey{Namespace: client.Namespace, Name: client.Pod})
	for _, typeURL := range allTypes {
		for _, name := range names[typeURL] {
			if again || tells(change, typeURL, name) {
				v.look(c, client, typeURL, name)
			}
		}
		if again || len(change.Names[typeURL]) > 0 {
			v.Everything[typeURL] = c.Wildcard(client, typeURL)
		}
		for _, name := range names[typeURL] {
			if in := slices.Contains(c.Wildcard(client, typeURL), name); in != c.InWildcard(client, typeURL, name) {
				t.Errorf("%s %s is among everything: %t", typeURL, name, in)
			}
		}
	}
}

func (v view) forget() {
	for _, typeURL := range []string{xds.TypeListener, xds.TypeRoutes} {
		clear(v.Versions[typeURL])
		v.Everything[typeURL] = nil
	}
}

// names are all that can exist in the random mesh, by type URL.
var names = func() map[string][]string {
	out := map[string][]string{
		xds.TypeCluster:     {envoy.Ready, envoy.InboundCluster, envoy.InboundTLSCluster},
		xds.TypeSecret:      {envoy.RootsSecret},
		xds.TypeListener:    {envoy.Ready, envoy.Outbound},
		xds.TypeRoutes:      {envoy.Outbound},
		xds.TypeVirtualHost: {envoy.PlaceholderHost},
	}
	add := func(typeURL string, names ...string) { out[typeURL] = append(out[typeURL], names...) }
	for _, port := range append([]uint16{8080}, somePorts...) {
		for _, ip := range slices.Concat(someServiceIPs, somePodIPs, addrs("192.0.2.1")) {
			dst := netip.AddrPortFrom(ip, port)
			add(xds.TypeCluster, envoy.TCPCluster(dst), envoy.DirectCluster(dst))
			add(xds.TypeVirtualHost, envoy.VirtualHost(dst))
		}
	}
	for _, namespace := range someNamespaces {
		for _, name := range someNames {
			add(xds.TypeRoutes, envoy.InboundRoutes(mesh.Identity{Namespace: namespace, ServiceAccount: name}))
			for _, port := range somePorts {
				key := mesh.PortKey{Service: mesh.ServiceKey{Namespace: namespace, Name: name}, Port: port}
				add(xds.TypeEndpoints, envoy.Assignment(key), envoy.SplitAssignment(key))
				add(xds.TypeCluster, envoy.HTTPCluster(key))
			}
			for _, variant := range someNames {
				key := mesh.WorkloadKey{Namespace: namespace, Kind: "Deployment", Name: name, Variant: variant}
				add(xds.TypeListener, envoy.InboundListener(key))
				add(xds.TypeRoutes, envoy.PlaintextRoutes(key))
			}
		}
	}
	return out
}()

// compareTables holds the next catalog against one made from nothing, and the
// change against what differs between the two in the line.
func compareTables(t *rapid.T, before, next, fresh *Catalog, change xds.Change) {
	want := map[string][]string{}
	for _, typeURL := range allTypes {
		old, now := before.tables[typeURL], next.tables[typeURL]
		if diff := cmp.Diff(described(fresh.tables[typeURL]), described(now)); diff != "" {
			t.Fatalf("%s is not that of a catalog made from nothing (-want +got):\n%s", typeURL, diff)
		}
		all := maps.Collect(old.All())
		maps.Copy(all, maps.Collect(now.All()))
		for _, name := range slices.Sorted(maps.Keys(all)) {
			switch a, b := old.Get(name), now.Get(name); {
			case a == nil || b == nil || a.Version != b.Version:
				want[typeURL] = append(want[typeURL], name)
			case a != b && a.Origin == b.Origin:
				t.Errorf("%s %s is made again to the same bytes and not shared", typeURL, name)
			}
			if !slices.Contains(names[typeURL], name) {
				t.Fatalf("the test knows no %s %s", typeURL, name)
			}
		}
	}
	hosts := slices.Sorted(next.tables[xds.TypeVirtualHost].Keys())
	if diff := cmp.Diff(hosts, next.Wildcard(xds.Client{}, xds.TypeVirtualHost)); diff != "" {
		t.Fatalf("other virtual hosts are listed than there are (-want +got):\n%s", diff)
	}
	// Of assignments it may name more: those that some clients have otherwise.
	change.Names[xds.TypeEndpoints] = slices.DeleteFunc(change.Names[xds.TypeEndpoints], func(name string) bool {
		return !slices.Contains(want[xds.TypeEndpoints], name) && (before.mixed.Get(name) != nil || next.mixed.Get(name) != nil)
	})
	if len(change.Names[xds.TypeEndpoints]) == 0 {
		delete(change.Names, xds.TypeEndpoints)
	}
	if diff := cmp.Diff(want, change.Names); diff != "" {
		t.Fatalf("the change names something else than what differs (-want +got):\n%s", diff)
	}
}

// tells is true if the change says of the name that it may differ.
func tells(change xds.Change, typeURL, name string) bool {
	if slices.Contains(change.Names[typeURL], name) {
		return true
	}
	group := Group(typeURL, name)
	return group != "" && (change.All || slices.Contains(change.Groups, group))
}

func described(resources table) map[string][2]string {
	out := map[string][2]string{}
	for name, r := range resources.All() {
		out[name] = describe(r)
	}
	return out
}

func describe(r *xds.Resource) [2]string {
	if r == nil {
		return [2]string{}
	}
	return [2]string{r.Version, r.Origin}
}

// TestEverythingKeepsEnvoysRules has every resource of random meshes judged by
// the rules of its proto and of those packed in it.
func TestEverythingKeepsEnvoysRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := first(t, edited(t, randomMesh(t)), "roots")
		for _, typeURL := range allTypes {
			for name, r := range c.tables[typeURL].All() {
				if err := envoytest.Validate(r.Body); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for _, name := range names[xds.TypeCluster] {
			if r := c.Resource(xds.Client{}, xds.TypeCluster, name); r != nil {
				if err := envoytest.Validate(r.Body); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
}
