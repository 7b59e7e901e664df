package envtest_test

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// testDelivery connects as the sidecar of a real pod would, trusting what the
// operator has put into the pod's namespace.
func testDelivery(t *testing.T, o *operator) {
	o.reached(t)
	namespace := o.namespace(t, meshed)
	pod := appPod(namespace, "web")
	o.create(t, pod)
	conn := o.connect(t, namespace)

	response, err := ask(t, conn, pod, o.token(t, pod, heddlev1alpha1.TokenAudience))
	if err != nil || len(response.GetResources()) == 0 {
		t.Errorf("answer %v, %v", response, err)
	}
	if _, err := ask(t, conn, pod, o.token(t, pod, "")); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a token for the API server: %v", err)
	}
}

// token is what the kubelet would project into the pod.
func (c *cluster) token(t *testing.T, pod *corev1.Pod, audience string) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	token, err := c.kube.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(t.Context(), cmp.Or(pod.Spec.ServiceAccountName, "default"), request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return token.Status.Token
}

// connect trusts what the operator has put into the namespace.
func (o *operator) connect(t *testing.T, namespace string) *grpc.ClientConn {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(o.roots(t, namespace))) {
		t.Fatal("the roots are no certificates")
	}
	conn, err := grpc.NewClient(o.xds, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: roots,
		ServerName: heddlev1alpha1.OperatorName + "." + heddlev1alpha1.SystemNamespace + ".svc",
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask asks for listeners and returns the first answer.
func ask(t *testing.T, conn *grpc.ClientConn, pod *corev1.Pod, token string) (*discoveryv3.DeltaDiscoveryResponse, error) {
	t.Helper()
	stream, err := subscribe(t, conn, pod, token, xds.TypeListener)
	if err != nil {
		return nil, err
	}
	return stream.Recv()
}

// subscribe asks for everything of that type.
func subscribe(t *testing.T, conn *grpc.ClientConn, pod *corev1.Pod, token, typeURL string) (discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient, error) {
	t.Helper()
	node, err := structpb.NewStruct(map[string]any{"heddle": map[string]any{"podUID": string(pod.UID)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	// What is wrong with the stream is told when receiving.
	_ = stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, Node: &corev3.Node{
		Id: pod.Namespace + "/" + pod.Name, Cluster: pod.Namespace + "/default", Metadata: node,
	}})
	return stream, nil
}
