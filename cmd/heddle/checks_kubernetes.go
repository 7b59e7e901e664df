package main

import (
	"fmt"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"
)

// oldestKubernetes is where native sidecars are on without a feature gate.
var oldestKubernetes = utilversion.MajorMinor(1, 29)

// neededTypes are the resource types of a mesh and the versions that must be
// served.
var neededTypes = []struct{ crd, version string }{
	{"trafficsplits.split.smi-spec.io", "v1alpha4"},
	{"traffictargets.access.smi-spec.io", "v1alpha3"},
	{"httproutegroups.specs.smi-spec.io", "v1alpha4"},
	{"tcproutes.specs.smi-spec.io", "v1alpha4"},
	{"udproutes.specs.smi-spec.io", "v1alpha4"},
	{"meshconfigs.heddle.dev", "v1alpha1"},
	{"canaries.heddle.dev", "v1alpha1"},
	{"metrictemplates.heddle.dev", "v1alpha1"},
	{"alertproviders.heddle.dev", "v1alpha1"},
}

func checkReachable(f *facts) verdict {
	if f.serverVersion.err != nil {
		return fail(f.serverVersion.err.Error())
	}
	return pass()
}

func checkServerVersion(f *facts) verdict {
	v, err := utilversion.ParseGeneric(f.serverVersion.value)
	switch {
	case err != nil:
		return warn(fmt.Sprintf("it says %q, which is no version", f.serverVersion.value))
	case v.LessThan(oldestKubernetes):
		return fail("it is " + f.serverVersion.value)
	}
	return pass()
}

func checkNodeVersions(f *facts) verdict {
	if f.nodes.err != nil {
		return unknown(f.nodes.err)
	}
	var old []string
	for _, n := range f.nodes.value {
		v, err := utilversion.ParseGeneric(n.Status.NodeInfo.KubeletVersion)
		if err != nil || v.LessThan(oldestKubernetes) {
			old = append(old, fmt.Sprintf("%s runs kubelet %s", n.Name, n.Status.NodeInfo.KubeletVersion))
		}
	}
	return findings(warn, old)
}

// Clocks that differ by more than a certificate's backdating break every
// handshake; a minute is the time to say something.
const (
	clockWarn = time.Minute
	clockFail = 5 * time.Minute
)

func checkClock(f *facts) verdict {
	if f.serverTime.err != nil {
		return unknown(f.serverTime.err)
	}
	off := f.now.Sub(f.serverTime.value).Round(time.Second)
	detail := fmt.Sprintf("this machine and the API server are %v apart", off.Abs())
	switch {
	case off.Abs() > clockFail:
		return fail(detail)
	case off.Abs() > clockWarn:
		return warn(detail)
	}
	return pass()
}

func checkTypes(f *facts) verdict {
	if f.crds.err != nil {
		return unknown(f.crds.err)
	}
	var wrong []string
	for _, want := range neededTypes {
		crd, there := f.crds.value[want.crd]
		switch {
		case !there:
			wrong = append(wrong, want.crd+" is missing")
		case !serves(crd, want.version):
			wrong = append(wrong, fmt.Sprintf("%s does not serve %s", want.crd, want.version))
		case !established(crd):
			wrong = append(wrong, want.crd+" is not established yet")
		}
	}
	return findings(fail, wrong)
}

func serves(crd *apiextensionsv1.CustomResourceDefinition, version string) bool {
	return slices.ContainsFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == version && v.Served
	})
}

func established(crd *apiextensionsv1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
}
