package inject

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// operations returns the JSON patch that makes after of before, where after
// is what Inject returned for before. It names exactly what Inject does
// instead of comparing documents, so that fields this program doesn't know
// stay with the container they belong to, and no operation refers to a member
// that only encoding would have added.
func operations(before, after *corev1.Pod) []jsonpatch.Operation {
	if before == after {
		return nil
	}
	_, others := take(after.Spec.InitContainers, heddlev1alpha1.ContainerInit)
	_, others = take(others, heddlev1alpha1.ContainerProxy)
	var ops []jsonpatch.Operation
	// Probes first: their indices are those of before.
	next := 0
	for i := range before.Spec.InitContainers {
		if isOurs(&before.Spec.InitContainers[i]) {
			continue
		}
		ops = append(ops, probeOperations(fmt.Sprintf("/spec/initContainers/%d", i), &before.Spec.InitContainers[i], &others[next])...)
		next++
	}
	for i := range before.Spec.Containers {
		path := fmt.Sprintf("/spec/containers/%d", i)
		ops = append(ops, probeOperations(path, &before.Spec.Containers[i], &after.Spec.Containers[i])...)
		ops = append(ops, stopOperations(path, before.Spec.Containers[i].Lifecycle, after.Spec.Containers[i].Lifecycle)...)
	}
	ops = append(ops, initOperations(before.Spec.InitContainers, after.Spec.InitContainers)...)
	ops = append(ops, volumeOperations(before.Spec.Volumes, after.Spec.Volumes)...)
	return append(ops, annotationOperations(before.Annotations, after.Annotations)...)
}

func isOurs(c *corev1.Container) bool {
	return c.Name == heddlev1alpha1.ContainerInit || c.Name == heddlev1alpha1.ContainerProxy
}

// probeOperations replaces tcpSocket by httpGet where rewriteProbes did.
func probeOperations(path string, before, after *corev1.Container) []jsonpatch.Operation {
	var ops []jsonpatch.Operation
	for _, p := range []struct {
		name          string
		before, after *corev1.Probe
	}{
		{"startupProbe", before.StartupProbe, after.StartupProbe},
		{"livenessProbe", before.LivenessProbe, after.LivenessProbe},
		{"readinessProbe", before.ReadinessProbe, after.ReadinessProbe},
	} {
		if p.before == nil || p.before.TCPSocket == nil || p.after.TCPSocket != nil {
			continue
		}
		at := path + "/" + p.name
		ops = append(ops,
			jsonpatch.NewOperation("remove", at+"/tcpSocket", nil),
			jsonpatch.NewOperation("add", at+"/httpGet", p.after.HTTPGet),
		)
	}
	return ops
}

// stopOperations adds the hook that delayStop did.
func stopOperations(path string, before, after *corev1.Lifecycle) []jsonpatch.Operation {
	switch {
	case after == nil || after.PreStop == nil || before != nil && before.PreStop != nil:
		return nil
	case before == nil:
		return []jsonpatch.Operation{jsonpatch.NewOperation("add", path+"/lifecycle", after)}
	}
	return []jsonpatch.Operation{jsonpatch.NewOperation("add", path+"/lifecycle/preStop", after.PreStop)}
}

// initOperations puts our two containers first.
func initOperations(before, after []corev1.Container) []jsonpatch.Operation {
	const path = "/spec/initContainers"
	if len(before) == 0 {
		return []jsonpatch.Operation{jsonpatch.NewOperation("add", path, after[:2])}
	}
	if len(before) >= 2 && reflect.DeepEqual(before[:2], after[:2]) {
		return nil
	}
	var ops []jsonpatch.Operation
	for i := len(before) - 1; i >= 0; i-- {
		if isOurs(&before[i]) {
			ops = append(ops, jsonpatch.NewOperation("remove", fmt.Sprintf("%s/%d", path, i), nil))
		}
	}
	return append(ops,
		jsonpatch.NewOperation("add", path+"/0", after[1]),
		jsonpatch.NewOperation("add", path+"/0", after[0]),
	)
}

func volumeOperations(before, after []corev1.Volume) []jsonpatch.Operation {
	const path = "/spec/volumes"
	if len(before) == 0 {
		return []jsonpatch.Operation{jsonpatch.NewOperation("add", path, after)}
	}
	var ops []jsonpatch.Operation
	for i := range after {
		switch {
		case i >= len(before):
			ops = append(ops, jsonpatch.NewOperation("add", path+"/-", after[i]))
		case !reflect.DeepEqual(before[i], after[i]):
			ops = append(ops, jsonpatch.NewOperation("replace", fmt.Sprintf("%s/%d", path, i), after[i]))
		}
	}
	return ops
}

func annotationOperations(before, after map[string]string) []jsonpatch.Operation {
	if len(before) == 0 {
		return []jsonpatch.Operation{jsonpatch.NewOperation("add", "/metadata/annotations", after)}
	}
	var ops []jsonpatch.Operation
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if value, there := before[name]; !there || value != after[name] {
			ops = append(ops, jsonpatch.NewOperation("add", "/metadata/annotations/"+strings.ReplaceAll(name, "/", "~1"), after[name]))
		}
	}
	return ops
}
