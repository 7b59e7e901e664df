package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"os/exec"
	"regexp"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// operatorAddress forwards a local port to the operator's discovery service
// until the test ends.
func (s *shop) operatorAddress() string {
	s.T.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.T.Context()))
	cmd := exec.CommandContext(ctx, "kubectl", "-n", heddlev1alpha1.SystemNamespace, "port-forward", "service/"+heddlev1alpha1.OperatorName, ":15012")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	found := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	if err != nil || found == "" {
		s.T.Fatalf("port-forward said %q: %v", line, err)
	}
	return found
}

// podOf names a pod of the app and its UID.
func (s *shop) podOf(app string) (name, uid string) {
	s.T.Helper()
	name = s.Must("get", "pod", "-l", "app="+app, "-o", "jsonpath={.items[0].metadata.name}")
	return name, s.Must("get", "pod", name, "-o", "jsonpath={.metadata.uid}")
}

func TestOnlyThePodItselfGetsItsConfiguration(t *testing.T) {
	s := newShop(t)
	address := s.operatorAddress()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(s.Must("get", "configmap", heddlev1alpha1.CAConfigMap, "-o", "jsonpath={.data['ca\\.crt']}"))) {
		t.Fatal("the namespace's ConfigMap holds no roots")
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: roots, MinVersion: tls.VersionTLS13,
		ServerName: heddlev1alpha1.OperatorName + "." + heddlev1alpha1.SystemNamespace + ".svc",
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })

	web, webUID := s.podOf("web")
	cart, cartUID := s.podOf("cart")
	token := func(audience string) string {
		return s.Must("create", "token", "web", "--audience="+audience, "--bound-object-kind=Pod", "--bound-object-name="+web, "--bound-object-uid="+webUID)
	}
	own := token(heddlev1alpha1.TokenAudience)
	for name, test := range map[string]struct {
		token, pod, account, uid string
		want                     codes.Code
	}{
		"the pod itself":                         {own, web, "web", webUID, codes.OK},
		"nobody":                                 {"", web, "web", webUID, codes.Unauthenticated},
		"a token for another audience":           {token("vault"), web, "web", webUID, codes.Unauthenticated},
		"a token that is bound to no pod":        {s.Must("create", "token", "web", "--audience="+heddlev1alpha1.TokenAudience), web, "web", webUID, codes.Unauthenticated},
		"a pod that says it is another":          {own, cart, "cart", cartUID, codes.PermissionDenied},
		"a pod that says it has another account": {own, web, "cart", webUID, codes.PermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if test.token != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+test.token)
			}
			stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
			if err != nil {
				t.Fatal(err)
			}
			about, err := structpb.NewStruct(map[string]any{"heddle": map[string]any{"podUID": test.uid}})
			if err != nil {
				t.Fatal(err)
			}
			_ = stream.Send(&discoveryv3.DeltaDiscoveryRequest{
				TypeUrl: "type.googleapis.com/envoy.config.listener.v3.Listener",
				Node:    &corev3.Node{Id: s.Namespace + "/" + test.pod, Cluster: s.Namespace + "/" + test.account, Metadata: about},
			}) // a refusal shows in what comes back
			response, err := stream.Recv()
			if got := status.Code(err); got != test.want {
				t.Fatalf("got %s (%v), want %s", got, err, test.want)
			}
			if test.want == codes.OK && len(response.GetResources()) == 0 {
				t.Error("the pod itself was sent no listener")
			}
		})
	}
}
