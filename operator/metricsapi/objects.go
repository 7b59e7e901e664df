package metricsapi

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Metadata finds objects by their metadata alone. Its errors are the API server's
// own.
type Metadata struct{ Client metadata.Interface }

// List implements Objects; it is ordered.
func (m Metadata) List(ctx context.Context, of schema.GroupVersionResource, namespace string, selector labels.Selector) ([]mesh.ServiceKey, error) {
	list, err := m.Client.Resource(of).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what it is about
	}
	var out []mesh.ServiceKey
	for i := range list.Items {
		out = append(out, mesh.ServiceKey{Namespace: list.Items[i].Namespace, Name: list.Items[i].Name})
	}
	slices.SortFunc(out, mesh.ServiceKey.Compare)
	return out, nil
}

// Get implements Objects.
func (m Metadata) Get(ctx context.Context, of schema.GroupVersionResource, namespace, name string) error {
	_, err := m.Client.Resource(of).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	return err //nolint:wrapcheck // it says what it is about
}
