package status

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// The fake API server believes anything; the real one has the schema, its
// map of conditions and its generations.
func TestWriterBeforeARealAPIServer(t *testing.T) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Skip("no home folder to look for a kube-apiserver in:", err)
		}
		assets = filepath.Join(home, ".cache", "heddle", "lab", "envtest-v1.34.4")
	}
	if _, err := os.Stat(filepath.Join(assets, "kube-apiserver")); err != nil {
		t.Skip("no kube-apiserver; `go run ./tests/lab envtest-assets` builds one:", err)
	}
	environment := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "crds", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, splitv1alpha4.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	kube, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	created := &splitv1alpha4.TrafficSplit{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"},
		Spec: splitv1alpha4.TrafficSplitSpec{
			Service:  "cart",
			Backends: []splitv1alpha4.TrafficSplitBackend{{Service: "cart-v1", Weight: 1}},
		},
	}
	for _, o := range []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, created} {
		if err := kube.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}

	w := &Writer{Client: kube, Events: events.NewFakeRecorder(20)}
	w.init()
	tell := func(findings ...mesh.Finding) *splitv1alpha4.TrafficSplit {
		t.Helper()
		for i := range findings {
			findings[i].Object.Generation = created.Generation
		}
		w.Publish(reports(findings...))
		if !w.write(t.Context()) {
			t.Fatal("not written")
		}
		got := &splitv1alpha4.TrafficSplit{}
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(created), got); err != nil {
			t.Fatal(err)
		}
		return got
	}

	good := tell(found("Accepted", true, "Accepted", "fine"), found("ResolvedRefs", false, "BackendNotFound", "a"), found("ResolvedRefs", false, "PortMismatch", "b"))
	if got := len(good.Status.Conditions); got != 2 {
		t.Fatalf("%d conditions: %+v", got, good.Status.Conditions)
	}
	if good.Status.ObservedGeneration != created.Generation || good.Generation != created.Generation {
		t.Errorf("generation %d, observed %d, was %d", good.Generation, good.Status.ObservedGeneration, created.Generation)
	}
	w.written = mesh.Reports{} // as a new leader, or after a while
	again := tell(found("Accepted", true, "Accepted", "fine"), found("ResolvedRefs", false, "BackendNotFound", "a"), found("ResolvedRefs", false, "PortMismatch", "b"))
	if again.ResourceVersion != good.ResourceVersion {
		t.Error("written again although nothing differs")
	}
	fewer := tell(found("Accepted", true, "Accepted", "fine"))
	if got := len(fewer.Status.Conditions); got != 1 {
		t.Errorf("%d conditions: %+v", got, fewer.Status.Conditions)
	}
}
