package build

import (
	"maps"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

func TestServices(t *testing.T) {
	t.Parallel()
	web := mesh.ServiceKey{Namespace: ns, Name: "web"}
	v4 := netip.MustParseAddr("10.96.0.1")
	port80 := &mesh.Port{Key: portKey("web", 80), Number: 80}
	tests := map[string]struct {
		service *corev1.Service
		want    map[mesh.ServiceKey]*mesh.Service
	}{
		"one address, one port": {
			service: service("web", "10.96.0.1"),
			want:    map[mesh.ServiceKey]*mesh.Service{web: {Key: web, Addresses: []netip.Addr{v4}, Ports: []*mesh.Port{port80}}},
		},
		"a headless service has no address": {
			service: service("web", corev1.ClusterIPNone),
			want: map[mesh.ServiceKey]*mesh.Service{web: {
				Key: web, Ports: []*mesh.Port{{Key: portKey("web", 80), Number: 80, Headless: true}},
			}},
		},
		"two families are two addresses": {
			service: func() *corev1.Service {
				s := service("web", "10.96.0.1")
				s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, "fd00::1")
				return s
			}(),
			want: map[mesh.ServiceKey]*mesh.Service{web: {
				Key: web, Addresses: []netip.Addr{v4, netip.MustParseAddr("fd00::1")}, Ports: []*mesh.Port{port80},
			}},
		},
		"an IPv4 address written as IPv6 is the IPv4 address": {
			service: service("web", "::ffff:10.96.0.1"),
			want:    map[mesh.ServiceKey]*mesh.Service{web: {Key: web, Addresses: []netip.Addr{v4}, Ports: []*mesh.Port{port80}}},
		},
		"ports are ordered by number, not by targetPort or place": {
			service: service("web", "10.96.0.1",
				corev1.ServicePort{Name: "http-b", Port: 8080, TargetPort: intstr.FromInt32(1)},
				corev1.ServicePort{Name: "tcp-a", Port: 79, TargetPort: intstr.FromInt32(2)}),
			want: map[mesh.ServiceKey]*mesh.Service{web: {Key: web, Addresses: []netip.Addr{v4}, Ports: []*mesh.Port{
				{Key: portKey("web", 79), Number: 79, Name: "tcp-a", Protocol: mesh.ProtocolTCP},
				{Key: portKey("web", 8080), Number: 8080, Name: "http-b", Protocol: mesh.ProtocolHTTP},
			}}},
		},
		"ports of other protocols are none": {
			service: service("web", "10.96.0.1",
				corev1.ServicePort{Port: 80, Protocol: corev1.ProtocolTCP},
				corev1.ServicePort{Port: 53, Protocol: corev1.ProtocolUDP},
				corev1.ServicePort{Port: 54, Protocol: corev1.ProtocolSCTP}),
			want: map[mesh.ServiceKey]*mesh.Service{web: {Key: web, Addresses: []netip.Addr{v4}, Ports: []*mesh.Port{port80}}},
		},
		"numbers that are no ports are none": {
			service: service("web", "10.96.0.1",
				corev1.ServicePort{Port: 0}, corev1.ServicePort{Port: -1}, corev1.ServicePort{Port: 65536}, corev1.ServicePort{Port: 80}),
			want: map[mesh.ServiceKey]*mesh.Service{web: {Key: web, Addresses: []netip.Addr{v4}, Ports: []*mesh.Port{port80}}},
		},
		"the last port there is": {
			service: service("web", "10.96.0.1", corev1.ServicePort{Port: 65535}),
			want: map[mesh.ServiceKey]*mesh.Service{web: {
				Key: web, Addresses: []netip.Addr{v4}, Ports: []*mesh.Port{{Key: portKey("web", 65535), Number: 65535}},
			}},
		},
		"a service without a TCP port is not of the mesh": {
			service: service("web", "10.96.0.1", corev1.ServicePort{Port: 53, Protocol: corev1.ProtocolUDP}),
			want:    map[mesh.ServiceKey]*mesh.Service{},
		},
		"an ExternalName is not of the mesh": {
			service: func() *corev1.Service {
				s := service("web", "")
				s.Spec.Type, s.Spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
				return s
			}(),
			want: map[mesh.ServiceKey]*mesh.Service{},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, findings := built(t, Objects{Services: []*corev1.Service{tc.service}})
			if diff := cmp.Diff(tc.want, maps.Collect(snapshot.Services.All()), addresses); diff != "" {
				t.Errorf("services (-want +got):\n%s", diff)
			}
			if len(findings) > 0 {
				t.Errorf("findings: %+v", findings)
			}
		})
	}
}

func TestProtocolOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		port corev1.ServicePort
		want mesh.Protocol
	}{
		"nothing said":                            {corev1.ServicePort{Port: 80}, mesh.ProtocolDetect},
		"a name that says nothing":                {corev1.ServicePort{Port: 80, Name: "web"}, mesh.ProtocolDetect},
		"a name that is a protocol":               {corev1.ServicePort{Port: 80, Name: "http"}, mesh.ProtocolHTTP},
		"a name that starts with one":             {corev1.ServicePort{Port: 80, Name: "grpc-public"}, mesh.ProtocolHTTP},
		"a name that only looks like it":          {corev1.ServicePort{Port: 80, Name: "httpish"}, mesh.ProtocolDetect},
		"upper case":                              {corev1.ServicePort{Port: 80, Name: "HTTP2-x"}, mesh.ProtocolHTTP},
		"TLS of the app's own is TCP":             {corev1.ServicePort{Port: 80, Name: "https-x"}, mesh.ProtocolTCP},
		"a number on which the server speaks":     {corev1.ServicePort{Port: 3306}, mesh.ProtocolTCP},
		"the name is stronger than the number":    {corev1.ServicePort{Port: 443, Name: "http"}, mesh.ProtocolHTTP},
		"appProtocol is stronger than the name":   {corev1.ServicePort{Port: 80, Name: "tcp-x", AppProtocol: ptr("http")}, mesh.ProtocolHTTP},
		"appProtocol is stronger than the number": {corev1.ServicePort{Port: 5432, AppProtocol: ptr("GRPC")}, mesh.ProtocolHTTP},
		"appProtocol in Kubernetes' own words":    {corev1.ServicePort{Port: 80, AppProtocol: ptr("kubernetes.io/h2c")}, mesh.ProtocolHTTP},
		"WebSocket is HTTP":                       {corev1.ServicePort{Port: 80, AppProtocol: ptr("kubernetes.io/ws")}, mesh.ProtocolHTTP},
		"WebSocket over TLS is TCP":               {corev1.ServicePort{Port: 80, AppProtocol: ptr("kubernetes.io/wss")}, mesh.ProtocolTCP},
		"an appProtocol that nobody knows":        {corev1.ServicePort{Port: 80, Name: "http", AppProtocol: ptr("example.com/x")}, mesh.ProtocolTCP},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := protocolOf(tc.port); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
