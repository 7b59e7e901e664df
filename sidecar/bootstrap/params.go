package bootstrap

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Params is everything the bootstrap depends on.
type Params struct {
	// Namespace, Pod and ServiceAccount name the proxy in the operator's
	// logs. They prove nothing: the operator takes the identity from the
	// token.
	Namespace      string
	Pod            string
	ServiceAccount string
	// PodUID and InitVersion are told to the operator as metadata.
	PodUID      string
	InitVersion string
	// CSR is the PEM certificate request for the key in the pod.
	CSR string
	// PodIP is dialled by TCP probes. It may be unset where there are none.
	PodIP netip.Addr
	// Settings is what the webhook said.
	Settings Settings
}

// Check reports what makes p unusable.
func (p Params) Check() error {
	required := []struct{ name, value string }{
		{"namespace", p.Namespace},
		{"pod", p.Pod},
		{"service account", p.ServiceAccount},
		{"pod UID", p.PodUID},
		{"CSR", p.CSR},
	}
	for _, r := range required {
		if r.value == "" {
			return fmt.Errorf("%s is empty", r.name)
		}
	}
	if len(p.Settings.TCPProbePorts) > 0 && !p.PodIP.Is4() {
		return fmt.Errorf("TCP probes need the pod's IPv4 address; it is %q", p.PodIP)
	}
	if !slices.IsSorted(p.Settings.TCPProbePorts) {
		return errors.New("TCP probe ports aren't sorted")
	}
	return p.Settings.check()
}
