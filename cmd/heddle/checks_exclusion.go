package main

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/build"
	meshmodel "github.com/heddle-mesh/heddle/operator/mesh"
)

// checkExclusions looks for calls to Services that pass no sidecar, by what the
// mesh as a whole excludes and by what pods do.
func checkExclusions(f *facts) verdict {
	if f.services.err != nil {
		return unknown(f.services.err)
	}
	if f.pods.err != nil {
		return unknown(f.pods.err)
	}
	snapshot, _ := build.Build(build.Objects{Services: pointers(f.services.value), Pods: pointers(f.pods.value)})
	var wrong []string
	if covered := snapshot.Covered(meshExclusions(f.meshConfig)); len(covered) > 0 {
		wrong = append(wrong, fmt.Sprintf("MeshConfig %s: spec.egress.excludePrefixes: %s", heddlev1alpha1.MeshConfigName, covered))
	}
	// Pods of one workload say the same.
	said := map[meshmodel.WorkloadKey]bool{}
	for _, key := range slices.SortedFunc(snapshot.Pods.Keys(), meshmodel.PodKey.Compare) {
		pod := snapshot.Pods.Get(key)
		if !pod.Meshed || said[pod.Workload] {
			continue
		}
		if covered := snapshot.Covered(pod.Excluded.Prefixes); len(covered) > 0 {
			said[pod.Workload] = true
			wrong = append(wrong, fmt.Sprintf("pod %s/%s: annotation %s: %s", key.Namespace, key.Name, heddlev1alpha1.AnnotationExcludeOutboundPrefixes, covered))
		}
	}
	return findings(fail, wrong)
}

func meshExclusions(config known[*unstructured.Unstructured]) []netip.Prefix {
	if config.err != nil || config.value == nil {
		return nil
	}
	texts, _, err := unstructured.NestedStringSlice(config.value.Object, "spec", "egress", "excludePrefixes")
	if err != nil {
		return nil // checkMeshConfig tells of it
	}
	var out []netip.Prefix
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			out = append(out, prefix.Masked())
		}
	}
	return out
}

func pointers[T corev1.Service | corev1.Pod](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}
