package envoy

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// The cases here are reports from the field, by the numbers of
// docs/reference/conformance.md.

func TestCaseO64_HostsAreAddressesWhichHaveNoCase(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i, name := range []string{"web", "Web", "svc"} {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 96, 0, byte(i + 1)}), 80)
		host := ServiceHost(addr, &mesh.Port{Key: mesh.PortKey{Service: mesh.ServiceKey{Namespace: "svc", Name: name}, Port: 80}, Number: 80})
		if diff := cmp.Diff([]string{addr.String()}, host.GetDomains()); diff != "" {
			t.Errorf("domains of %s (-want +got):\n%s", name, diff)
		}
		if seen[host.GetName()] {
			t.Errorf("%s is named as another", host.GetName())
		}
		seen[host.GetName()] = true
	}
}

func TestCaseO67_PortsOfTCPAreNotInspected(t *testing.T) {
	t.Parallel()
	for _, filter := range OutboundListener(OutboundPorts{TCP: []uint16{3306, 6033}}).GetListenerFilters() {
		if filter.GetName() != "envoy.filters.listener.http_inspector" {
			continue
		}
		var off []int32
		for _, rule := range filter.GetFilterDisabled().GetOrMatch().GetRules() {
			off = append(off, rule.GetDestinationPortRange().GetStart())
		}
		if diff := cmp.Diff([]int32{3306, 6033}, off); diff != "" {
			t.Errorf("ports that are not inspected (-want +got):\n%s", diff)
		}
		return
	}
	t.Error("there is no inspector")
}

func TestCaseO68_NothingEndsASilentStream(t *testing.T) {
	t.Parallel()
	w := &mesh.Workload{Identity: mesh.Identity{Namespace: "shop", ServiceAccount: "cart"}}
	policy := &mesh.Policy{Destination: w.Identity}
	for name, hcm := range map[string]interface {
		GetStreamIdleTimeout() *durationpb.Duration
	}{"outbound": outboundHTTP(), "inbound": meshHTTP(w, policy), "plaintext": plaintext(w)} {
		if idle := hcm.GetStreamIdleTimeout(); idle == nil || idle.AsDuration() != 0 {
			t.Errorf("%s: streams end after %v", name, idle)
		}
	}
	port := &mesh.Port{Key: mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: "web"}, Port: 80}, Number: 80}
	hosts := append(IdentityRoutes(policy, "cluster.local").GetVirtualHosts(), OutboundRoutes().GetVirtualHosts()...)
	for _, host := range append(hosts, ServiceHost(netip.MustParseAddrPort("10.96.0.1:80"), port)) {
		for _, route := range host.GetRoutes() {
			if limit := route.GetRoute().GetTimeout(); route.GetRoute() != nil && (limit == nil || limit.AsDuration() != 0) {
				t.Errorf("a route of %s ends after %v", host.GetName(), limit)
			}
		}
	}
}
