package xds_test

import (
	"net/http"
	"testing"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// TestPodsMayComeToBelongToAnotherWorkload: by an annotation, another owner, or
// an operator that groups pods otherwise.
func TestPodsMayComeToBelongToAnotherWorkload(t *testing.T) {
	p := startProxy(t, shop(mesh.AllowUnlessTargeted, false))
	p.await(envoy.Ready, http.StatusOK)

	other := shop(mesh.AllowUnlessTargeted, false)
	for key, workload := range other.Workloads.All() {
		moved := *workload
		moved.Key.Variant = "2"
		other.Workloads = mesh.TableOf(map[mesh.WorkloadKey]*mesh.Workload{moved.Key: &moved})
		for _, pod := range other.Pods.All() {
			if pod.Workload == key {
				pod.Workload = moved.Key
			}
		}
		p.publish(other)
		p.synced("the other workload's listener")
		p.noneRejected()
		pod := other.Pods.Get(mesh.PodKey{Namespace: "shop", Name: "cart-1"})
		name := envoy.InboundListener(moved.Key)
		version := p.last.Resource(xds.Client{Namespace: "shop", Pod: pod.Key.Name, PodUID: pod.UID}, xds.TypeListener, name).Version
		if d := p.server.Delivered(xds.TypeListener, name, version); d.Acked != 1 {
			t.Errorf("the other workload's listener: %+v", d)
		}
	}
	p.await(envoy.Ready, http.StatusOK)
}
