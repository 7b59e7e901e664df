package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func serviceName(i int) string { return fmt.Sprintf("s%d", i) }

func podName(i int) string { return fmt.Sprintf("%s-%d", serviceName(i/podsEach), i%podsEach) }

func podIP(i int) string { return fmt.Sprintf("10.%d.%d.%d", 128+i/62500, i/250%250, i%250+1) }

func service(i int) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta(serviceName(i)), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
}

func slice(i int) *discoveryv1.EndpointSlice {
	name, port, ready := "http", int32(8080), true
	out := &discoveryv1.EndpointSlice{
		ObjectMeta: meta(serviceName(i)), AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	out.Labels = map[string]string{discoveryv1.LabelServiceName: serviceName(i)}
	for j := range podsEach {
		pod := i*podsEach + j
		out.Endpoints = append(out.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{podIP(pod)}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef: podReference(pod),
		})
	}
	return out
}

// workloadKeys are those of the Services' pods, as the operator makes them.
var workloadKeys []mesh.WorkloadKey

// workloads asks the build what it calls the workloads of such pods.
func workloads(n int) {
	workloadKeys = make([]mesh.WorkloadKey, n)
	for i := range n {
		snapshot, _ := build.Build(build.Objects{Pods: []*corev1.Pod{pod(i*podsEach, i)}})
		for key := range snapshot.Workloads.Keys() {
			workloadKeys[i] = key
		}
	}
}

// pod of that number, of the Service.
func pod(number, service int) *corev1.Pod {
	out := &corev1.Pod{ObjectMeta: meta(podName(number)), Spec: corev1.PodSpec{
		ServiceAccountName: serviceName(service), NodeName: "node",
		InitContainers: []corev1.Container{{Name: heddlev1alpha1.ContainerInit, Image: "x"}, {Name: heddlev1alpha1.ContainerProxy, Image: "x"}},
		Containers:     []corev1.Container{{Name: "app", Image: "x"}},
	}}
	out.Annotations = map[string]string{heddlev1alpha1.AnnotationInjected: "true"}
	yes := true
	out.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: serviceName(service), UID: "1", Controller: &yes}}
	return out
}

func (c *cluster) createPodOf(ctx context.Context, number, service int) error {
	p := pod(number, service)
	if err := c.client.Create(ctx, p); err != nil {
		return err
	}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: podIP(number), PodIPs: []corev1.PodIP{{IP: podIP(number)}}}
	return c.client.Status().Update(ctx, p)
}

func podReference(number int) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: podName(number)}
}

func isConflict(err error) bool { return apierrors.IsConflict(err) }
