package envtest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// testReplicas connects a sidecar to a replica that does not lead. The leader,
// which writes status, waits for it all the same.
func testReplicas(t *testing.T, leader *operator) {
	leader.reached(t)
	follower := startReplica(t, leader.cluster, leader.binary, 1)
	namespace := leader.namespace(t, meshed)
	pod := appPod(namespace, "web")
	leader.create(t, pod)
	stream, err := subscribe(t, follower.connect(t, namespace), pod, leader.token(t, pod, heddlev1alpha1.TokenAudience), xds.TypeVirtualHost)
	if err != nil {
		t.Fatal(err)
	}
	// Acknowledges all but hosts of TrafficSplits until told to go on.
	goOn, ended := make(chan struct{}), make(chan error, 1)
	held := false
	go func() {
		for {
			response, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			if len(response.GetResources()) == 1 && strings.Contains(response.GetResources()[0].String(), "weighted_clusters") {
				held = true
				<-goOn
			}
			if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}); err != nil {
				ended <- err
				return
			}
		}
	}()
	service := func(name string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80, Name: "http"}}},
		}
	}
	leader.create(t, service("cart"))
	leader.create(t, service("cart-v2"))
	split := &splitv1alpha4.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cart"}}
	split.Spec.Service = "cart"
	split.Spec.Backends = []splitv1alpha4.TrafficSplitBackend{{Service: "cart", Weight: 90}, {Service: "cart-v2", Weight: 10}}
	leader.create(t, split)
	programmed := func(status metav1.ConditionStatus, message string) func(context.Context) error {
		return func(ctx context.Context) error {
			if err := leader.client.Get(ctx, client.ObjectKeyFromObject(split), split); err != nil {
				return err
			}
			got := meta.FindStatusCondition(split.Status.Conditions, heddlev1alpha1.ConditionProgrammed)
			if got == nil || got.Status != status || !strings.Contains(got.Message, message) {
				return fmt.Errorf("Programmed is %+v", got)
			}
			return nil
		}
	}
	await(t, "the leader waits for the follower's proxy", programmed(metav1.ConditionFalse, "0 of 1 connected proxies"))
	close(goOn)
	await(t, "all have it", programmed(metav1.ConditionTrue, "all connected proxies"))
	// As a controller would before the pod ends: a replica that is said to be ready
	// and does not answer holds up everybody's splits.
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: heddlev1alpha1.SystemNamespace, Name: heddlev1alpha1.OperatorName + "-1-xds"}}
	if err := leader.client.Delete(t.Context(), slice); err != nil {
		t.Error(err)
	}
	follower.stop(t)
	if err := <-ended; err == nil {
		t.Error("the stream outlives the follower")
	}
	if !held {
		t.Error("the proxy never had the split")
	}
}
