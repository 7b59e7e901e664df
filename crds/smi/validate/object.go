package validate

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// judges are the kinds that are judged, in the version that is stored.
var judges = map[schema.GroupVersionKind]func(raw []byte) (Result, error){
	splitv1alpha4.GroupVersion.WithKind("TrafficSplit"):   decoded(TrafficSplit),
	accessv1alpha3.GroupVersion.WithKind("TrafficTarget"): decoded(TrafficTarget),
	specsv1alpha4.GroupVersion.WithKind("HTTPRouteGroup"): decoded(HTTPRouteGroup),
	specsv1alpha4.GroupVersion.WithKind("TCPRoute"):       decoded(TCPRoute),
	specsv1alpha4.GroupVersion.WithKind("UDPRoute"):       decoded(UDPRoute),
	heddlev1alpha1.GroupVersion.WithKind("MeshConfig"):    decoded(MeshConfig),
	heddlev1alpha1.GroupVersion.WithKind("Canary"):        decoded(Canary),
}

func decoded[T any](judge func(*T) Result) func(raw []byte) (Result, error) {
	return func(raw []byte) (Result, error) {
		object := new(T)
		if err := json.Unmarshal(raw, object); err != nil {
			return Result{}, fmt.Errorf("decode: %w", err)
		}
		return judge(object), nil
	}
}

// Judged tells whether JSON knows the kind.
func Judged(kind schema.GroupVersionKind) bool { return judges[kind] != nil }

// JSON judges an object as it is sent. An error means that it is none of the
// kind, or that the kind, or the version of it, is not judged.
func JSON(kind schema.GroupVersionKind, raw []byte) (Result, error) {
	judge, ok := judges[kind]
	if !ok {
		return Result{}, fmt.Errorf("%s of %s is not judged", kind.Kind, kind.GroupVersion())
	}
	return judge(raw)
}
