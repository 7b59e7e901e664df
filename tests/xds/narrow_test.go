package xds_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// accounts are who the pods behind Service mixed run as, by their address.
var accounts = map[string]string{"10.9.0.11": "blue", "10.9.0.21": "green"}

// mixedService is a Service in front of pods of both accounts, one of which
// lets the cart in, and the other too if bothOpen is true.
func mixedService(bothOpen bool) build.Objects {
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "mixed", Labels: map[string]string{discoveryv1.LabelServiceName: "mixed"}}
	port := int32(servedHTTP)
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: &port}}}
	objects := build.Objects{
		Pods:           []*corev1.Pod{cart()},
		Services:       []*corev1.Service{{ObjectMeta: meta, Spec: corev1.ServiceSpec{ClusterIPs: []string{webIP}, Ports: []corev1.ServicePort{{Port: portWeb}}}}},
		EndpointSlices: []*discoveryv1.EndpointSlice{slice},
		TCPRoutes:      []*specsv1alpha4.TCPRoute{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "any"}}},
	}
	for address, account := range accounts {
		name := account + "-1"
		objects.Pods = append(objects.Pods, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)},
			Spec:       corev1.PodSpec{ServiceAccountName: account, InitContainers: []corev1.Container{{Name: heddlev1alpha1.ContainerProxy}}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: address}}},
		})
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{address}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: name, UID: types.UID(name)},
		})
		target := allows(account, serviceAccount("shop", "nobody"), "TCPRoute/any")
		if bothOpen || account == "blue" {
			target = allows(account, serviceAccount("shop", "cart"), "TCPRoute/any")
		}
		target.Spec.Destination = accessv1alpha3.IdentityBindingSubject{Kind: accessv1alpha3.KindServiceAccount, Name: account}
		objects.TrafficTargets = append(objects.TrafficTargets, target)
	}
	return objects
}

// TestCallersAreSentWhereTheyMayGo is case O18.
func TestCallersAreSentWhereTheyMayGo(t *testing.T) {
	snapshot, _ := build.Build(mixedService(false))
	s := startSidecar(t, snapshot)
	certificates := map[string]tls.Certificate{}
	for address, account := range accounts {
		s.peer.ip(t, "addr add "+address+"/24 dev veth")
		certificates[address] = s.certificate(mesh.Identity{Namespace: "shop", ServiceAccount: account})
	}
	s.peer.serve(t, servedHTTP, &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			host, _, _ := net.SplitHostPort(hello.Conn.LocalAddr().String())
			cert := certificates[host]
			return &cert, nil
		},
	}, func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		host, _, _ := net.SplitHostPort(local.String())
		_, _ = fmt.Fprint(w, accounts[host])
	})

	if got := s.answers(100); got["blue"] != 100 {
		t.Errorf("of 100 requests: %v", got)
	}
	s.become(mixedService(true))
	s.eventually("both are called", func() bool { return s.answers(20)["green"] > 0 })
	s.become(mixedService(false))
	s.eventually("one is called", func() bool { return s.answers(20)["blue"] == 20 })
}

// answers counts who answers n requests of the pod to the Service, each on a
// connection of its own.
func (s *sidecar) answers(n int) map[string]int {
	s.t.Helper()
	out := map[string]int{}
	for range n {
		conn, err := s.pod.dial(fmt.Sprintf("%s:%d", webIP, portWeb))
		if err != nil {
			out[err.Error()]++
			continue
		}
		client := &http.Client{Timeout: deadline, Transport: &http.Transport{
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
			DisableKeepAlives: true,
		}}
		request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://mixed/", http.NoBody)
		if err != nil {
			s.t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			out[err.Error()]++
			continue
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		out[fmt.Sprintf("%.40s", body)]++
	}
	return out
}
