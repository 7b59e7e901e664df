// Package differential_test sends raw requests through a stock Envoy that has
// the operator's own configuration, and holds what comes of them against
// operator/explain, which is written from the promises and not from that
// configuration. Where the two differ one of them is wrong.
//
//	table of targets, methods, headers ─┬─▶ explain.Explain ──▶ Decision ──┐
//	random meshes, policies, requests ──┤                                 ├─▶ same? and no bypass?
//	                                    └─▶ Envoy ──▶ real backends ──▶ Answer ┘
//
// Everything happens in a network namespace of the test's own, in which the
// connections to the pod's address and to Services are redirected as in a pod.
package differential_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/envoy/envoytest"
	"github.com/heddle-mesh/heddle/sidecar/redirect"
)

const (
	podAddress   = "10.244.0.5" // the pod whose sidecar is under test
	plainAddress = "10.244.0.9" // a pod without a sidecar
	servicesAt   = "10.96.0.0/16"

	ownNamespace = "HEDDLE_DIFFERENTIAL_NAMESPACE"
	nginxBinary  = "HEDDLE_DIFFERENTIAL_NGINX"
	nginxMissing = "HEDDLE_DIFFERENTIAL_NO_NGINX"
)

// missing says why nothing can run here; empty when it can.
var missing string

func TestMain(m *testing.M) {
	if os.Getenv(ownNamespace) == "" {
		missing = enterNamespace()
	} else if err := arrangeNamespace(); err != nil {
		missing = err.Error()
	}
	os.Exit(m.Run())
}

// enterNamespace starts this program again in a new network namespace. It
// returns only when that is not possible.
func enterNamespace() string {
	if os.Geteuid() != 0 {
		return "needs root for a network namespace of its own"
	}
	env := append(os.Environ(), ownNamespace+"=1")
	if nginx, err := provideNginx(); err != nil { // the namespace has no way out
		env = append(env, nginxMissing+"="+err.Error())
	} else {
		env = append(env, nginxBinary+"="+nginx)
	}
	runtime.LockOSThread() // the namespace is the thread's, and execve keeps the calling thread's
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Sprintf("no network namespaces here: %v", err)
	}
	err := syscall.Exec("/proc/self/exe", os.Args, env)
	return fmt.Sprintf("start again in the namespace: %v", err)
}

// arrangeNamespace gives this namespace its addresses and redirects what a
// pod's rules would.
func arrangeNamespace() error {
	for _, line := range []string{
		"link set lo up", "addr add " + podAddress + "/32 dev lo", "addr add " + plainAddress + "/32 dev lo",
		"route add local " + servicesAt + " dev lo",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	to := func(prefix string, port uint16) redirect.Rule {
		return redirect.Rule{
			Match:   []redirect.Match{redirect.IPv4{}, redirect.TCP{}, redirect.AddressTo{Prefix: netip.MustParsePrefix(prefix)}},
			Verdict: redirect.Redirect{Port: port},
		}
	}
	return redirect.Apply(redirect.Ruleset{Table: redirect.TableName, Chains: []redirect.Chain{{
		Name: "output", Kind: redirect.NAT, Hook: redirect.Output, Priority: -100,
		Rules: []redirect.Rule{
			{
				Match:   []redirect.Match{redirect.IPv4{}, redirect.AddressFrom{Prefix: netip.MustParsePrefix("127.0.0.6/32")}},
				Verdict: redirect.Return{},
			},
			to(podAddress+"/32", heddlev1alpha1.PortInbound),
			to(servicesAt, heddlev1alpha1.PortOutbound),
		},
	}}})
}

// envoyBinary finds a stock Envoy, where the rest of what is needed is there.
func envoyBinary(t *testing.T) string {
	t.Helper()
	if missing != "" {
		t.Skip(missing)
	}
	return envoytest.Binary(t)
}
