package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/heddle-mesh/heddle/sidecar/bootstrap"
)

// options is what the webhook and the downward API say about the pod.
type options struct {
	namespace      string
	pod            string
	podUID         string
	serviceAccount string
	podIP          netip.Addr
	settings       bootstrap.Settings
}

// readOptions reads the environment. It reports every variable that is
// missing at once.
func readOptions(getenv func(string) string) (options, error) {
	var o options
	var missing []error
	for _, v := range []struct {
		name string
		into *string
	}{
		{"POD_NAMESPACE", &o.namespace},
		{"POD_NAME", &o.pod},
		{"POD_UID", &o.podUID},
		{"SERVICE_ACCOUNT", &o.serviceAccount},
	} {
		if *v.into = getenv(v.name); *v.into == "" {
			missing = append(missing, fmt.Errorf("%s is not set", v.name))
		}
	}
	if err := errors.Join(missing...); err != nil {
		return options{}, err
	}
	var err error
	if o.podIP, err = netip.ParseAddr(getenv("POD_IP")); err != nil {
		return options{}, fmt.Errorf("POD_IP: %w", err)
	}
	// In the host's network the rules would take the node's own traffic. A
	// pod has the host's address only there.
	if host := getenv("HOST_IP"); host == o.podIP.String() {
		return options{}, fmt.Errorf("the pod's address %s is the node's: refusing to redirect the host's network", host)
	}
	if o.settings, err = bootstrap.DecodeSettings(getenv(bootstrap.EnvSettings)); err != nil {
		return options{}, fmt.Errorf("%s: %w", bootstrap.EnvSettings, err)
	}
	return o, nil
}
