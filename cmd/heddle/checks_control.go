package main

import (
	"crypto/x509"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/ca"
)

func checkSystemNamespace(f *facts) verdict {
	switch err := f.systemNamespace.err; {
	case apierrors.IsNotFound(err):
		return fail(f.system + " is missing")
	case err != nil:
		return unknown(err)
	}
	return pass()
}

func checkOperatorReady(f *facts) verdict {
	switch err := f.operator.err; {
	case apierrors.IsNotFound(err):
		return fail(fmt.Sprintf("deployment %s/%s is missing", f.system, heddlev1alpha1.OperatorName))
	case err != nil:
		return unknown(err)
	}
	want := int32(1)
	if r := f.operator.value.Spec.Replicas; r != nil {
		want = *r
	}
	ready := f.operator.value.Status.ReadyReplicas
	switch {
	case want == 0:
		return fail("it is scaled to 0")
	case ready == 0:
		return fail(append([]string{fmt.Sprintf("0 of %d pods are ready", want)}, waiting(f.operatorPods.value)...)...)
	case ready < want:
		return warn(append([]string{fmt.Sprintf("%d of %d pods are ready", ready, want)}, waiting(f.operatorPods.value)...)...)
	}
	return pass()
}

// waiting says why pods don't run yet.
func waiting(pods []corev1.Pod) []string {
	var out []string
	for i := range pods {
		p := &pods[i]
		for _, s := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
			if w := s.State.Waiting; w != nil {
				out = append(out, fmt.Sprintf("%s: container %s waits: %s", p.Name, s.Name, strings.TrimSpace(w.Reason+" "+w.Message)))
			}
		}
	}
	return out
}

func checkOperatorVersion(cli string) func(*facts) verdict {
	return func(f *facts) verdict {
		if f.operator.err != nil {
			return unknown(f.operator.err)
		}
		got := imageVersion(f.operator.value.Spec.Template.Spec.Containers)
		if !released(cli) || !released(got) || got == cli {
			return pass()
		}
		return warn(fmt.Sprintf("the operator is %s, this is %s", got, cli))
	}
}

// released is whether v names a release; nothing can be said of others.
func released(v string) bool {
	return len(v) > 1 && v[0] == 'v' && v[1] >= '0' && v[1] <= '9' && !strings.Contains(v, "-")
}

// imageVersion is the tag of the operator's image, or its digest.
func imageVersion(containers []corev1.Container) string {
	if len(containers) == 0 {
		return "unknown"
	}
	image := containers[0].Image
	for _, c := range containers {
		if c.Name == heddlev1alpha1.OperatorName {
			image = c.Image
		}
	}
	if name, digest, ok := strings.Cut(image, "@"); ok {
		if tag := tagOf(name); tag != "" {
			return tag
		}
		return digest
	}
	if tag := tagOf(image); tag != "" {
		return tag
	}
	return "latest"
}

// tagOf is what follows the colon of an image's last part; a colon before that
// belongs to the registry's port.
func tagOf(image string) string {
	last := image[strings.LastIndex(image, "/")+1:]
	_, tag, _ := strings.Cut(last, ":")
	return tag
}

func checkWebhook(f *facts) verdict {
	switch {
	case f.webhooks.err != nil:
		return unknown(f.webhooks.err)
	case len(f.webhooks.value) == 0:
		return fail(fmt.Sprintf("no MutatingWebhookConfiguration calls service %s/%s", f.system, heddlev1alpha1.OperatorName))
	}
	return pass()
}

func checkWebhookTrust(f *facts) verdict {
	if f.webhooks.err != nil {
		return unknown(f.webhooks.err)
	}
	if len(f.webhooks.value) == 0 {
		return unknown(fmt.Errorf("there is no webhook"))
	}
	want, err := f.authority()
	if err != nil {
		return unknown(err)
	}
	var wrong []string
	for _, c := range f.webhooks.value {
		for _, w := range c.Webhooks {
			wrong = append(wrong, distrust(c.Name+"/"+w.Name, w.ClientConfig.CABundle, want)...)
		}
	}
	return findings(fail, wrong)
}

// distrust says why the API server would not trust the operator by the bundle.
func distrust(name string, bundle []byte, want []*x509.Certificate) []string {
	switch have, err := readCertificates(bundle); {
	case len(bundle) == 0:
		return []string{name + " has no caBundle"}
	case err != nil:
		return []string{fmt.Sprintf("%s: %v", name, err)}
	case !holdsAll(have, want):
		return []string{fmt.Sprintf("the caBundle of %s lacks the operator's authority", name)}
	}
	return nil
}

// checkValidator warns only: nothing waits for validation.
func checkValidator(f *facts) verdict {
	switch err := f.validator.err; {
	case apierrors.IsNotFound(err):
		return warn(fmt.Sprintf("there is no ValidatingWebhookConfiguration %s", ca.ValidatorName))
	case err != nil:
		return unknown(err)
	}
	want, err := f.authority()
	if err != nil {
		return unknown(err)
	}
	var wrong []string
	for _, w := range f.validator.value.Webhooks {
		wrong = append(wrong, distrust(ca.ValidatorName+"/"+w.Name, w.ClientConfig.CABundle, want)...)
	}
	if len(f.validator.value.Webhooks) == 0 {
		wrong = append(wrong, ca.ValidatorName+" calls nobody")
	}
	return findings(warn, wrong)
}

func checkWebhookEndpoints(f *facts) verdict {
	if f.endpoints.err != nil {
		return unknown(f.endpoints.err)
	}
	for _, s := range f.endpoints.value {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				return pass()
			}
		}
	}
	return fail(fmt.Sprintf("service %s/%s has none", f.system, heddlev1alpha1.OperatorName))
}

func checkMeshConfig(f *facts) verdict {
	switch err := f.meshConfig.err; {
	case apierrors.IsNotFound(err):
		return pass("there is none named default, so all defaults hold")
	case err != nil:
		return unknown(err)
	}
	return findings(fail, badConditions(f.meshConfig.value))
}
