package status

import (
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// TestGenericToolsReadTheStatus asks kstatus, as Flux, kpt and cli-utils do.
func TestGenericToolsReadTheStatus(t *testing.T) {
	t.Parallel()
	fine := found("Accepted", true, "Accepted", "fine")
	for name, test := range map[string]struct {
		findings []mesh.Finding
		edited   bool
		want     status.Status
	}{
		"in force":                        {[]mesh.Finding{fine, found("Programmed", true, "Programmed", "all")}, false, status.CurrentStatus},
		"on its way to proxies":           {[]mesh.Finding{fine, found("Programmed", false, "Pending", "1 of 2")}, false, status.InProgressStatus},
		"wrong in itself":                 {[]mesh.Finding{found("Accepted", false, "InvalidWeight", "negative")}, false, status.FailedStatus},
		"waiting for what it refers to":   {[]mesh.Finding{fine, found("ResolvedRefs", false, "BackendNotFound", "none")}, false, status.CurrentStatus},
		"edited since it was looked at":   {[]mesh.Finding{fine}, true, status.InProgressStatus},
		"edited since it was found wrong": {[]mesh.Finding{found("Accepted", false, "InvalidWeight", "negative")}, true, status.InProgressStatus},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			w := c.writer()
			w.Publish(reports(test.findings...))
			if !w.write(t.Context()) {
				t.Fatal("not written")
			}
			split := c.split(t)
			if test.edited {
				split.Generation++
			}
			fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(split)
			if err != nil {
				t.Fatal(err)
			}
			object := &unstructured.Unstructured{Object: fields}
			object.SetGroupVersionKind(splitv1alpha4.GroupVersion.WithKind("TrafficSplit"))
			result, err := status.Compute(object)
			if err != nil || result.Status != test.want {
				t.Errorf("kstatus says %v, %v, want %s", result, err, test.want)
			}
		})
	}
}
