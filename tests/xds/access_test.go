package xds_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/operator/explain"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// The applications of the pod.
const (
	portHTTP  = 8080
	portOther = 9090
	portHTTPS = 8443
	portTCP   = 5432
)

// serveAll starts the pod's applications. What they answer names the port.
func (s *sidecar) serveAll() {
	s.t.Helper()
	answer := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/broken"):
			w.WriteHeader(http.StatusInternalServerError)
		case r.Header.Get("Upgrade") != "":
			// As many an application does, whatever the path.
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
	}
	s.pod.serve(s.t, portHTTP, nil, answer)
	s.pod.serve(s.t, portOther, nil, answer)
	s.pod.serve(s.t, portHTTPS, &tls.Config{Certificates: []tls.Certificate{s.certificate(mesh.Identity{Namespace: "app", ServiceAccount: "own"})}}, answer)
	l := s.pod.listen(s.t, portTCP)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("hello"))
			_ = conn.Close()
		}
	}()
}

// cart is the pod whose sidecar is under test, with probes of every kind.
func cart() *corev1.Pod {
	get := func(path string, port int32, scheme corev1.URIScheme) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(port), Scheme: scheme}}}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "cart-1", UID: types.UID("uid-1"),
			Annotations: map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": fmt.Sprint(portOther)},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: "cart",
			InitContainers:     []corev1.Container{{Name: heddlev1alpha1.ContainerProxy}},
			Containers: []corev1.Container{
				{Name: "app", LivenessProbe: get("/healthz?full=1", portHTTP, ""), ReadinessProbe: get("/status", portHTTPS, corev1.URISchemeHTTPS)},
				{Name: "broken", LivenessProbe: get("/broken", portHTTPS, corev1.URISchemeHTTPS), ReadinessProbe: get("/up", 8444, corev1.URISchemeHTTPS)},
				{Name: "grpc", LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: portOther}}}},
			},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: podIP}}},
	}
}

// built is the mesh of that pod.
func built(config heddlev1alpha1.MeshConfigSpec, objects build.Objects) *mesh.Snapshot {
	objects.MeshConfig = &heddlev1alpha1.MeshConfig{Spec: config}
	objects.Pods = append(objects.Pods, cart())
	snapshot, _ := build.Build(objects)
	return snapshot
}

func serviceAccount(namespace, account string) accessv1alpha3.IdentityBindingSubject {
	return accessv1alpha3.IdentityBindingSubject{Kind: accessv1alpha3.KindServiceAccount, Namespace: namespace, Name: account}
}

// allows returns a target that lets the source do to the cart what the rules
// say, each of which is written Kind/name or Kind/name/match.
func allows(name string, source accessv1alpha3.IdentityBindingSubject, rules ...string) *accessv1alpha3.TrafficTarget {
	target := &accessv1alpha3.TrafficTarget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	target.Spec.Destination = accessv1alpha3.IdentityBindingSubject{Kind: accessv1alpha3.KindServiceAccount, Name: "cart"}
	target.Spec.Sources = []accessv1alpha3.IdentityBindingSubject{source}
	for _, rule := range rules {
		part := strings.Split(rule, "/")
		target.Spec.Rules = append(target.Spec.Rules, accessv1alpha3.TrafficTargetRule{Kind: part[0], Name: part[1], Matches: part[2:]})
	}
	return target
}

func targets() build.Objects {
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "shop", Name: name} }
	ports := func(ports ...int) specsv1alpha4.TCPRouteSpec {
		return specsv1alpha4.TCPRouteSpec{Matches: specsv1alpha4.TCPMatch{Ports: ports}}
	}
	return build.Objects{
		HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{{ObjectMeta: named("items"), Spec: specsv1alpha4.HTTPRouteGroupSpec{Matches: []specsv1alpha4.HTTPMatch{
			{Name: "read", PathRegex: "/items(/.*)?", Methods: []string{"GET"}},
			{Name: "write", PathRegex: "/items", Methods: []string{"POST"}},
			{Name: "note", Headers: specsv1alpha4.HeadersFromMap(map[string]string{"x-note": ".."})},
		}}}},
		TCPRoutes: []*specsv1alpha4.TCPRoute{{ObjectMeta: named("web"), Spec: ports(portHTTP)}, {ObjectMeta: named("db"), Spec: ports(portTCP)}},
		TrafficTargets: []*accessv1alpha3.TrafficTarget{
			allows("all-matches", serviceAccount("shop", "editor"), "HTTPRouteGroup/items"),
			allows("one-match", serviceAccount("", "client"), "HTTPRouteGroup/items/read"),
			allows("named-alike", serviceAccount("front", "client"), "TCPRoute/db"),
			allows("port", serviceAccount("shop", "all"), "TCPRoute/web"),
			allows("port-and-match", serviceAccount("shop", "both"), "TCPRoute/web", "HTTPRouteGroup/items/read"),
			allows("nothing", serviceAccount("shop", "none")),
			allows("missing", serviceAccount("shop", "missing"), "HTTPRouteGroup/items/read", "TCPRoute/nowhere"),
			allows("udp", serviceAccount("shop", "udp"), "UDPRoute/dns"),
		},
	}
}

// TestTrafficTargetsAtThePod calls the pod by its own address, as is done
// behind a headless service: what holds there holds whichever way a caller
// came.
func TestTrafficTargetsAtThePod(t *testing.T) {
	s := startSidecar(t, built(heddlev1alpha1.MeshConfigSpec{}, targets()))
	s.serveAll()
	s.noneRejected()

	requests := map[string]struct {
		namespace, account, method string
		port                       int
		path                       string
		want                       int
	}{
		"a match by name":                         {"shop", "client", "GET", portHTTP, "/items/7?x", 200},
		"on any port":                             {"shop", "client", "GET", portOther, "/items", 200},
		"a match that is not named":               {"shop", "client", "POST", portHTTP, "/items", 403},
		"another path":                            {"shop", "client", "GET", portHTTP, "/itemsx", 403},
		"all matches, one":                        {"shop", "editor", "GET", portHTTP, "/items", 200},
		"all matches, the other":                  {"shop", "editor", "POST", portHTTP, "/items", 200},
		"all matches, neither":                    {"shop", "editor", "DELETE", portHTTP, "/items", 403},
		"named alike in a namespace with another": {"front", "client", "GET", portHTTP, "/items", 403},
		"named alike in a namespace without":      {"other", "client", "GET", portHTTP, "/items", 403},
		"a port admits requests":                  {"shop", "all", "DELETE", portHTTP, "/whatever", 200},
		"but not at another port":                 {"shop", "all", "GET", portOther, "/items", 403},
		"a port and a match":                      {"shop", "both", "GET", portHTTP, "/items", 200},
		"the port without the match":              {"shop", "both", "POST", portHTTP, "/items", 403},
		"the match without the port":              {"shop", "both", "GET", portOther, "/items", 403},
		"no rule":                                 {"shop", "none", "GET", portHTTP, "/items", 403},
		"one of two rules is missing":             {"shop", "missing", "GET", portHTTP, "/items", 403},
		"a UDPRoute":                              {"shop", "udp", "GET", portHTTP, "/items", 403},
		"nobody's source":                         {"shop", "stranger", "GET", portHTTP, "/items", 403},
		"a probe's path is a path like others":    {"shop", "stranger", "GET", portHTTP, "/healthz", 403},
	}
	for name, tc := range requests {
		t.Run(name, func(t *testing.T) {
			c := caller{from: s, id: &mesh.Identity{Namespace: tc.namespace, ServiceAccount: tc.account}}
			if got := c.ask(tc.method, tc.port, tc.path, nil); got != tc.want {
				t.Errorf("%d, want %d", got, tc.want)
			}
		})
	}

	connections := map[string]struct {
		namespace, account string
		port               int
		want               bool
	}{
		"a port":                          {"front", "client", portTCP, true},
		"another port":                    {"front", "client", portHTTP, false},
		"named alike":                     {"shop", "client", portTCP, false},
		"a port of HTTP takes both":       {"shop", "all", portHTTP, true},
		"a match is no connection":        {"shop", "editor", portHTTP, false},
		"nor is a match at a port":        {"shop", "both", portHTTP, false},
		"no rule":                         {"shop", "none", portTCP, false},
		"a UDPRoute admits no connection": {"shop", "udp", portTCP, false},
	}
	for name, tc := range connections {
		t.Run("a connection: "+name, func(t *testing.T) {
			c := caller{from: s, id: &mesh.Identity{Namespace: tc.namespace, ServiceAccount: tc.account}}
			say := "GET / HTTP/1.1\r\nHost: cart\r\n\r\n"
			if tc.port == portTCP {
				say = "" // who speaks first there is the application
			}
			if got := c.hears(tc.port, say); (got != "") != tc.want {
				t.Errorf("hears %q", got)
			}
		})
	}

	t.Run("two bytes are two characters", func(t *testing.T) {
		c := caller{from: s, id: &mesh.Identity{Namespace: "shop", ServiceAccount: "editor"}}
		for value, want := range map[string]int{"ab": 200, "é": 200, "a": 403, "éa": 403, "\xe9\xff": 200} {
			if got := c.ask("GET", portHTTP, "/", http.Header{"X-Note": {value}}); got != want {
				t.Errorf("%q: %d, want %d", value, got, want)
			}
		}
	})
}

// modelled is what becomes of a stranger's request by the model.
func modelled(snapshot *mesh.Snapshot, method string, port int, path string, tls bool, header http.Header) explain.Outcome {
	r := explain.Request{
		From: explain.Caller{Outside: true}, Address: netip.AddrPortFrom(netip.MustParseAddr(podIP), uint16(port)),
		Method: method, Target: path, Authority: podIP, TLS: tls,
	}
	for name, values := range header {
		for _, value := range values {
			r.Headers = append(r.Headers, explain.Header{Name: name, Value: value})
		}
	}
	return explain.Explain(snapshot, r).Outcome
}

// TestCallersWithoutAnIdentity has the kubelet, a scraper and strangers call
// the pod.
func TestCallersWithoutAnIdentity(t *testing.T) {
	strict := heddlev1alpha1.MeshConfigSpec{MTLS: heddlev1alpha1.MTLSSpec{Mode: heddlev1alpha1.MTLSStrict}}
	deny := heddlev1alpha1.MeshConfigSpec{Access: heddlev1alpha1.AccessSpec{Default: heddlev1alpha1.AccessDeny}}
	both := heddlev1alpha1.MeshConfigSpec{MTLS: strict.MTLS, Access: deny.Access}
	s := startSidecar(t, built(deny, build.Objects{}))
	s.serveAll()
	probes := []struct {
		method string
		port   int
		path   string
		tls    bool
		want   int
	}{
		{"GET", portHTTP, "/healthz?full=1", false, 200},
		{"GET", portOther, "/metrics", false, 200},
		{"GET", portHTTPS, "/status", true, 200},
		// The application's own answer, and that there is none.
		{"GET", portHTTPS, "/broken", true, 500},
		{"GET", 8444, "/up", true, 503},
	}
	strangers := []struct {
		method string
		port   int
		path   string
		tls    bool
		header http.Header
	}{
		{"GET", portHTTP, "/", false, nil},
		{"POST", portHTTP, "/healthz", false, nil},
		{"HEAD", portHTTP, "/healthz", false, nil},
		{"GET", portHTTP, "/healthz/", false, nil},
		{"GET", portHTTP, "//healthz", false, nil},
		{"GET", portHTTP, "/healthz/../items", false, nil},
		{"GET", portHTTP, "/healthz%3f", false, nil},
		{"GET", portHTTP, "/healthz;a=b", false, nil},
		{"GET", portHTTP, "/HEALTHZ", false, nil},
		{"GET", portOther, "/healthz", false, nil},
		{"GET", portOther, "/healthz", false, http.Header{"X-Heddle-Port": {"8080"}}},
		{"GET", portHTTP, "/healthz", false, http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}},
		{"GET", portHTTP, "/metrics", false, nil},
		{"GET", portHTTP, "/status", false, nil},
		{"GET", portHTTPS, "/status", false, nil},
		{"GET", portHTTPS, "/", true, nil},
		{"POST", portHTTPS, "/status", true, nil},
		{"GET", portHTTPS, "/status/", true, nil},
		{"GET", portHTTPS, "/status", true, http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}},
		{"GET", portHTTP, "/healthz", true, nil},
		{"GET", portHTTP, "/status", true, nil},
	}
	for name, config := range map[string]heddlev1alpha1.MeshConfigSpec{"deny": deny, "strict": strict, "strict and deny": both} {
		snapshot := built(config, build.Objects{})
		s.publish(snapshot)
		s.synced(name)
		s.noneRejected()
		for _, tc := range probes {
			if model := modelled(snapshot, tc.method, tc.port, tc.path, tc.tls, nil); model != explain.Admitted {
				t.Errorf("%s: %s %d%s (TLS %t) is %s to the model", name, tc.method, tc.port, tc.path, tc.tls, model)
			}
			if got := (caller{from: s, tls: tc.tls}).ask(tc.method, tc.port, tc.path, nil); got != tc.want {
				t.Errorf("%s: %s %d%s (TLS %t): %d, want %d", name, tc.method, tc.port, tc.path, tc.tls, got, tc.want)
			}
		}
		h2c := &http.Transport{Protocols: new(http.Protocols)}
		h2c.Protocols.SetUnencryptedHTTP2(true)
		for path, want := range map[string]int{"/grpc.health.v1.Health/Check": 200, "/grpc.health.v1.Health/Watch": 403} {
			if got := (caller{from: s}).over(h2c, "POST", portOther, path, http.Header{"Content-Type": {"application/grpc"}}); got != want {
				t.Errorf("%s: %s: %d, want %d", name, path, got, want)
			}
		}
		for _, tc := range strangers {
			if model := modelled(snapshot, tc.method, tc.port, tc.path, tc.tls, tc.header); model != explain.Forbidden {
				t.Errorf("%s: a stranger's %s %d%s (TLS %t, %v) is %s to the model", name, tc.method, tc.port, tc.path, tc.tls, tc.header, model)
			}
			if got := (caller{from: s, tls: tc.tls}).ask(tc.method, tc.port, tc.path, tc.header); got != http.StatusForbidden {
				t.Errorf("%s: a stranger's %s %d%s (TLS %t, %v): %d", name, tc.method, tc.port, tc.path, tc.tls, tc.header, got)
			}
		}
		for _, port := range []int{portTCP, portHTTP} {
			if said := (caller{from: s}).hears(port, "\x00hello"); said != "" {
				t.Errorf("%s: a stranger's connection to %d hears %q", name, port, said)
			}
		}
	}

	open := built(heddlev1alpha1.MeshConfigSpec{}, build.Objects{})
	s.publish(open)
	s.synced("open")
	s.noneRejected()
	for _, tc := range []struct {
		port int
		path string
		tls  bool
		want int
	}{{portHTTP, "/", false, 200}, {portHTTP, "/healthz", false, 200}, {portHTTPS, "/status", true, 200}, {portHTTPS, "/", true, 200}} {
		if model := modelled(open, "GET", tc.port, tc.path, tc.tls, nil); model != explain.Admitted {
			t.Errorf("open: GET %d%s (TLS %t) is %s to the model", tc.port, tc.path, tc.tls, model)
		}
		if got := (caller{from: s, tls: tc.tls}).ask("GET", tc.port, tc.path, nil); got != tc.want {
			t.Errorf("open: GET %d%s (TLS %t): %d, want %d", tc.port, tc.path, tc.tls, got, tc.want)
		}
	}
	if said := (caller{from: s}).hears(portTCP, ""); said != "hello" {
		t.Errorf("open: a connection hears %q", said)
	}
}
