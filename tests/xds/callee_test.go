package xds_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// What the pod calls: Service web and its versions, without sidecars. Each
// address answers with the version it is of.
const (
	webIP = "10.96.0.10"
	// portWeb is that of the services, behind which servedHTTP is; databases are
	// at portTCP throughout.
	portWeb    = 80
	servedHTTP = 8081
)

// versions are the addresses behind each service; web's own are all.
var versions = map[string][]string{
	"v1": {"10.9.0.11", "10.9.0.12"}, "v2": {"10.9.0.21"}, "v3": nil, "web": {"10.9.0.11", "10.9.0.12", "10.9.0.21"},
}

func versionAt(addr net.Addr) string {
	host, _, _ := net.SplitHostPort(addr.String())
	for _, name := range []string{"v1", "v2"} {
		if slices.Contains(versions[name], host) {
			return name
		}
	}
	return host
}

// callees are the objects of the services, with the splits.
func callees(splits ...*splitv1alpha4.TrafficSplit) build.Objects {
	objects := build.Objects{Pods: []*corev1.Pod{cart()}, TrafficSplits: splits}
	for i, name := range []string{"web", "v1", "v2", "v3"} {
		addService(&objects, name, fmt.Sprintf("10.96.0.%d", 10+i), versions[name]...)
	}
	return objects
}

func addService(objects *build.Objects, name, clusterIP string, addresses ...string) {
	meta := metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}}
	http, tcp := "http", "tcp-db"
	objects.Services = append(objects.Services, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		ClusterIPs: []string{clusterIP}, Ports: []corev1.ServicePort{{Name: http, Port: portWeb}, {Name: tcp, Port: portTCP}},
	}})
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4}
	for name, port := range map[*string]int32{&http: servedHTTP, &tcp: portTCP} {
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: name, Port: &port})
	}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	objects.EndpointSlices = append(objects.EndpointSlices, slice)
}

// split shares Service web among backends written as "name=weight".
func split(name string, backends ...string) *splitv1alpha4.TrafficSplit {
	out := &splitv1alpha4.TrafficSplit{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: splitv1alpha4.TrafficSplitSpec{Service: "web"},
	}
	for _, backend := range backends {
		service, text, _ := strings.Cut(backend, "=")
		weight := 0
		if _, err := fmt.Sscan(text, &weight); err != nil {
			panic(err)
		}
		out.Spec.Backends = append(out.Spec.Backends, splitv1alpha4.TrafficSplitBackend{Service: service, Weight: weight})
	}
	return out
}

// matching limits the split to what the matches describe; the group is added
// to the objects.
func matching(objects *build.Objects, s *splitv1alpha4.TrafficSplit, matches ...specsv1alpha4.HTTPMatch) {
	objects.HTTPRouteGroups = append(objects.HTTPRouteGroups, &specsv1alpha4.HTTPRouteGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: s.Name}, Spec: specsv1alpha4.HTTPRouteGroupSpec{Matches: matches},
	})
	s.Spec.Matches = append(s.Spec.Matches, splitv1alpha4.TrafficSplitMatch{Kind: splitv1alpha4.KindHTTPRouteGroup, Name: s.Name})
	objects.TrafficSplits = append(objects.TrafficSplits, s)
}

// startCaller starts the sidecar of a pod that calls and everything it calls.
func startCaller(t *testing.T, objects build.Objects) *sidecar {
	t.Helper()
	snapshot, _ := build.Build(objects)
	s := startSidecar(t, snapshot)
	for _, addresses := range [][]string{versions["v1"], versions["v2"]} {
		for _, address := range addresses {
			s.peer.ip(t, "addr add "+address+"/24 dev veth")
		}
	}
	s.peer.serve(t, servedHTTP, nil, answerVersion)
	l := s.peer.listen(t, portTCP)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = fmt.Fprintln(conn, versionAt(conn.LocalAddr()))
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return s
}

// answerVersion names the version; at /echo it sends back what it gets, as it
// comes, and after an upgrade, too.
func answerVersion(w http.ResponseWriter, r *http.Request) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	control := http.NewResponseController(w)
	switch {
	case r.Header.Get("Upgrade") == "websocket":
		conn, read, err := control.Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n%s\n", versionAt(local))
		_, _ = io.Copy(conn, read)
	case r.URL.Path == "/echo":
		_ = control.EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		_ = control.Flush()
		buffer := make([]byte, 1024)
		for {
			n, err := r.Body.Read(buffer)
			_, _ = w.Write(buffer[:n])
			_ = control.Flush()
			if err != nil {
				return
			}
		}
	default:
		_, _ = fmt.Fprint(w, versionAt(local))
	}
}

// become publishes the objects and returns when the proxy has them.
func (s *sidecar) become(objects build.Objects) *mesh.Snapshot {
	s.t.Helper()
	snapshot, _ := build.Build(objects)
	s.publish(snapshot)
	s.synced("the new objects")
	s.noneRejected()
	return snapshot
}

// connected is a connection that the pod's application made, with the greeting
// of who took it; "" if nobody did.
type connected struct {
	net.Conn
	read *bufio.Reader
	by   string
}

func (s *sidecar) connect(to string) connected {
	s.t.Helper()
	conn, err := s.pod.dial(to)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	c := connected{Conn: conn, read: bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(deadline))
	line, _ := c.read.ReadString('\n')
	c.by = strings.TrimSpace(line)
	return c
}

// upgrade opens a WebSocket; of the protocol there is only the beginning.
func (s *sidecar) upgrade(to string) connected {
	s.t.Helper()
	conn, err := s.pod.dial(to)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	c := connected{Conn: conn, read: bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(deadline))
	_, _ = fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	response, err := http.ReadResponse(c.read, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("upgrade: %v, %+v", err, response)
	}
	_ = response.Body.Close() // there is none, the connection stays
	line, _ := c.read.ReadString('\n')
	c.by = strings.TrimSpace(line)
	return c
}

// echoes tells whether the connection still leads to the other end.
func (c connected) echoes(text string) error {
	if _, err := fmt.Fprintln(c, text); err != nil {
		return err
	}
	got, err := c.read.ReadString('\n')
	if err == nil && strings.TrimSpace(got) != text {
		err = fmt.Errorf("said %q, heard %q", text, got)
	}
	return err
}

// web returns a client of the pod's application. It keeps one connection.
func (s *sidecar) web(http2 bool) *http.Client {
	transport := &http.Transport{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) { return s.pod.dial(addr) }}
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: deadline}
}

// answer is "status body".
func (s *sidecar) answer(client *http.Client, request *http.Request) string {
	s.t.Helper()
	response, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return fmt.Sprintf("%d %s", response.StatusCode, strings.TrimSpace(string(body)))
}

func (s *sidecar) get(client *http.Client, url string) string {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.answer(client, request)
}

// tally counts what n calls of f return.
func tally(n int, f func() string) map[string]int {
	out := map[string]int{}
	for range n {
		out[f()]++
	}
	return out
}
