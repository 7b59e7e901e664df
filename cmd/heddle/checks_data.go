package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// meshed lists the namespaces that are labelled or hold injected pods, sorted.
func (f *facts) meshed() []string {
	var out []string
	for _, ns := range f.namespaces.value {
		if ns.Labels[heddlev1alpha1.LabelInject] == heddlev1alpha1.InjectEnabled && ns.DeletionTimestamp == nil {
			out = append(out, ns.Name)
		}
	}
	for i := range f.pods.value {
		if p := &f.pods.value[i]; injected(p) {
			out = append(out, p.Namespace)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// injected is whether the webhook has changed the pod.
func injected(p *corev1.Pod) bool {
	return p.Annotations[heddlev1alpha1.AnnotationInjected] == "true"
}

// wanted is whether the labels ask for a sidecar.
func (f *facts) wanted(p *corev1.Pod) bool {
	switch p.Labels[heddlev1alpha1.LabelInject] {
	case heddlev1alpha1.InjectEnabled:
		return true
	case heddlev1alpha1.InjectDisabled:
		return false
	}
	return slices.ContainsFunc(f.namespaces.value, func(ns corev1.Namespace) bool {
		return ns.Name == p.Namespace && ns.Labels[heddlev1alpha1.LabelInject] == heddlev1alpha1.InjectEnabled
	})
}

// alive is whether the pod is not on its way out or done.
func alive(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

// podsWhere names the living pods for which pick is true.
func (f *facts) podsWhere(pick func(*corev1.Pod) bool) []string {
	var out []string
	for i := range f.pods.value {
		if p := &f.pods.value[i]; alive(p) && pick(p) {
			out = append(out, p.Namespace+"/"+p.Name)
		}
	}
	slices.Sort(out)
	return out
}

// workloads is what is missing to speak about pods and namespaces.
func (f *facts) workloads() error { return errors.Join(f.namespaces.err, f.pods.err) }

func checkMeshedNamespaces(f *facts) verdict {
	if err := f.workloads(); err != nil {
		return unknown(err)
	}
	if len(f.meshed()) == 0 {
		return warn("no namespace is labelled heddle.dev/inject=enabled")
	}
	return pass()
}

func checkInjected(f *facts) verdict {
	if err := f.workloads(); err != nil {
		return unknown(err)
	}
	return findings(warn, f.podsWhere(func(p *corev1.Pod) bool {
		return f.wanted(p) && !injected(p) && !p.Spec.HostNetwork
	}))
}

func checkHostNetwork(f *facts) verdict {
	if err := f.workloads(); err != nil {
		return unknown(err)
	}
	return findings(warn, f.podsWhere(func(p *corev1.Pod) bool { return f.wanted(p) && p.Spec.HostNetwork }))
}

func checkSidecarsReady(f *facts) verdict {
	if f.pods.err != nil {
		return unknown(f.pods.err)
	}
	var wrong []string
	for i := range f.pods.value {
		p := &f.pods.value[i]
		if !alive(p) || !injected(p) {
			continue
		}
		if why := sidecarTrouble(p); why != "" {
			wrong = append(wrong, fmt.Sprintf("%s/%s: %s", p.Namespace, p.Name, why))
		}
	}
	slices.Sort(wrong)
	return findings(fail, wrong)
}

// sidecarTrouble says what keeps a pod's sidecar from being ready, or nothing.
func sidecarTrouble(p *corev1.Pod) string {
	for _, s := range p.Status.InitContainerStatuses {
		if s.Name != heddlev1alpha1.ContainerInit && s.Name != heddlev1alpha1.ContainerProxy {
			continue
		}
		last := s.State.Terminated
		if last == nil {
			last = s.LastTerminationState.Terminated
		}
		switch {
		case s.Ready:
		case s.State.Waiting != nil && last != nil:
			return fmt.Sprintf("%s ended with exit code %d, %s", s.Name, last.ExitCode, s.State.Waiting.Reason)
		case s.State.Waiting != nil:
			return fmt.Sprintf("%s waits: %s", s.Name, strings.TrimSpace(s.State.Waiting.Reason+" "+s.State.Waiting.Message))
		case last != nil && last.ExitCode != 0:
			return fmt.Sprintf("%s ended with exit code %d", s.Name, last.ExitCode)
		case s.Name == heddlev1alpha1.ContainerProxy:
			return s.Name + " is not ready"
		}
	}
	return ""
}

// sidecarReady is whether the pod's proxy runs and is ready.
func sidecarReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.InitContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.Name == heddlev1alpha1.ContainerProxy && s.Ready
	})
}

// connected maps namespace/pod to what the operators say of it.
func (f *facts) connected() map[string]xds.ProxyStatus {
	out := map[string]xds.ProxyStatus{}
	for _, p := range merge(f.proxies.value) {
		out[p.Namespace+"/"+p.Pod] = p.ProxyStatus
	}
	return out
}

func checkConnected(f *facts) verdict {
	if err := errors.Join(f.pods.err, f.proxies.err); err != nil {
		return unknown(err)
	}
	there := f.connected()
	return findings(fail, f.podsWhere(func(p *corev1.Pod) bool {
		_, ok := there[p.Namespace+"/"+p.Name]
		return injected(p) && sidecarReady(p) && !ok
	}))
}

func checkRejected(f *facts) verdict {
	if f.proxies.err != nil {
		return unknown(f.proxies.err)
	}
	var wrong []string
	for _, p := range merge(f.proxies.value) {
		for _, r := range p.Rejected {
			wrong = append(wrong, fmt.Sprintf("%s/%s refused %s %s: %s", p.Namespace, p.Pod, r.Type, r.Name, r.Message))
		}
	}
	return findings(fail, wrong)
}

func checkSidecarVersions(f *facts) verdict {
	if err := errors.Join(f.operator.err, f.proxies.err); err != nil {
		return unknown(err)
	}
	want := imageVersion(f.operator.value.Spec.Template.Spec.Containers)
	if !released(want) {
		return pass()
	}
	var old []string
	for _, p := range merge(f.proxies.value) {
		if released(p.Version) && p.Version != want {
			old = append(old, fmt.Sprintf("%s/%s is %s, the operator %s", p.Namespace, p.Pod, p.Version, want))
		}
	}
	return findings(warn, old)
}
