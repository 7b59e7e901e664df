package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// part is one kind of test: what it is called, what it does, and the commands
// that do it.
type part struct {
	name  string
	about string
	steps []step
	// skipped says why there is nothing to run; empty when there is.
	skipped string
}

// step is one command. Its output is the part's output, unless into is set:
// then its last line becomes that environment variable for the steps after it.
type step struct {
	argv []string
	env  []string
	into string
}

// machine is what the plan depends on beyond the tree.
type machine struct {
	// kubeconfig is the user's own cluster, empty for the lab.
	kubeconfig string
	// assets is whether the user named kube-apiserver's folder.
	assets bool
	// race is whether the race detector can be built here.
	race bool
	// root is whether packages can be installed and the lab be started.
	root bool
	// apt is whether this is a Debian machine.
	apt bool
	// long is whether what takes many minutes is asked for.
	long bool
}

// longVariable asks for the long forms of tests.
const longVariable = "HEDDLE_LONG"

func newMachine(ctx context.Context) machine {
	_, gcc := exec.LookPath("gcc")
	_, apt := exec.LookPath("apt-get")
	own := os.Getenv("KUBECONFIG")
	if own != "" && own == labKubeconfig(ctx) {
		// The lab says to export it; that makes it no cluster of the user's.
		own = ""
	}
	return machine{
		kubeconfig: own,
		assets:     os.Getenv(assetsVariable) != "",
		race:       gcc == nil,
		root:       os.Geteuid() == 0,
		apt:        apt == nil,
		long:       os.Getenv(longVariable) != "",
	}
}

// labKubeconfig is the path that the lab names, empty when there is no lab.
func labKubeconfig(ctx context.Context) string {
	path, err := runStep(ctx, step{argv: lab("kubeconfig").argv, into: "KUBECONFIG"}, nil, io.Discard)
	if err != nil {
		return ""
	}
	return path
}

func (m machine) canInstall() bool { return m.root && m.apt }

func goTest(args ...string) step {
	return step{argv: append([]string{"go", "test", "-v", "-count=1"}, args...)}
}

func lab(args ...string) step {
	return step{argv: append([]string{"go", "run", "./tests/lab"}, args...)}
}

// plan lists all parts in the order they run: what fails fast comes first.
func plan(t tree, m machine) []part {
	return []part{lintPart(), archPart(t), unitPart(t, m), goldenPart(t), envoyPart(t), envtestPart(t, m), e2ePart(t, m), compatPart(t, m)}
}

func lintPart() part {
	return part{
		name:  "lint",
		about: "gofmt, go vet, golangci-lint with this repository's rules",
		steps: []step{
			{argv: []string{"sh", "-c", `files=$(gofmt -l cmd crds operator sidecar canary tests 2>/dev/null); [ -z "$files" ] || { echo "not gofmt-ed:"; echo "$files"; exit 1; }`}},
			{argv: []string{"go", "vet", "./..."}},
			{argv: []string{"make", "-s", "tools"}},
			{argv: []string{"sh", "-c", `exec "$(make -s print-GOLANGCI_LINT)" run ./...`}},
		},
	}
}

func archPart(t tree) part {
	p := part{name: "arch", about: "import order and what else holds for the whole tree"}
	if pkgs := t.under(dirArch); len(pkgs) > 0 {
		p.steps = []step{goTest(pkgs...)}
	} else {
		p.skipped = "no tests under tests/arch"
	}
	return p
}

func unitPart(t tree, m machine) part {
	p := part{name: "unit", about: "every package that needs nothing but Go, with the race detector"}
	args := []string{"-race", "-skip", goldenPattern}
	if !m.race {
		if m.canInstall() {
			p.steps = append(p.steps, step{argv: []string{"apt-get", "install", "-y", "--no-install-recommends", "gcc", "libc6-dev"}})
		} else {
			p.about = "every package that needs nothing but Go; without the race detector: there is no C compiler"
			args = args[1:]
		}
	}
	p.steps = append(p.steps, goTest(append(args, t.unit()...)...))
	return p
}

// goldenPattern matches golden tests by name; tree.go finds them the same way.
const goldenPattern = "(?i)golden"

func goldenPart(t tree) part {
	p := part{name: "golden", about: "output compared with the files under testdata (rewrite: make golden-update)"}
	if pkgs := t.golden(); len(pkgs) > 0 {
		p.steps = []step{goTest(append([]string{"-run", goldenPattern}, pkgs...)...)}
	} else {
		p.skipped = "no golden tests"
	}
	return p
}

func goldenUpdatePart(t tree) part {
	p := part{name: "golden-update", about: "rewrite the golden files"}
	if pkgs := t.golden(); len(pkgs) > 0 {
		p.steps = []step{{argv: append(append([]string{"go", "test", "-count=1", "-run", goldenPattern}, pkgs...), "-update")}}
	} else {
		p.skipped = "no golden tests"
	}
	return p
}

// envoyPart is for tests that run a stock Envoy, which the lab fetches.
func envoyPart(t tree) part {
	p := part{name: "envoy", about: "what the operator delivers, taken by a stock Envoy, and held against the model"}
	pkgs := slices.Concat(t.under(dirEnvoy), t.under(dirDifferential))
	if len(pkgs) == 0 {
		p.skipped = "no tests under tests/xds or tests/differential"
		return p
	}
	if t.lab {
		// Making the assets fetches Envoy along.
		p.steps = append(p.steps, lab("envtest-assets"))
	}
	p.steps = append(p.steps, goTest(append([]string{"-timeout", "2h"}, pkgs...)...))
	return p
}

// assetsVariable is where controller-runtime looks for kube-apiserver and etcd.
const assetsVariable = "KUBEBUILDER_ASSETS"

func envtestPart(t tree, m machine) part {
	p := part{name: "envtest", about: "API types, webhooks and the operator's endurance with a real kube-apiserver and etcd"}
	pkgs := slices.Concat(t.under(dirEnvtest), t.under(dirBench))
	if len(pkgs) == 0 {
		p.skipped = "no tests under tests/envtest"
		return p
	}
	switch {
	case m.assets:
		p.steps = []step{goTest(pkgs...)}
	case t.lab:
		assets := lab("envtest-assets")
		assets.into = assetsVariable
		p.steps = []step{assets, goTest(pkgs...)}
	default:
		p.skipped = "there is no lab to take kube-apiserver from; set " + assetsVariable
	}
	return p
}

func e2ePart(t tree, m machine) part {
	p := part{name: "e2e", about: "the whole mesh with real kubelet, containerd and Envoy"}
	pkgs := t.under(dirE2E)
	switch {
	case len(pkgs) == 0:
		p.skipped = "no tests under tests/e2e"
	case m.kubeconfig != "":
		p.about += ", on the cluster of KUBECONFIG"
		p.steps = []step{goTest(append([]string{"-timeout", "30m", "-p", "1"}, pkgs...)...)}
	case !t.lab:
		p.skipped = "there is no lab; set KUBECONFIG to use a cluster of your own"
	case !m.root:
		p.skipped = "the lab needs root; set KUBECONFIG to use a cluster of your own"
	default:
		p.about += ", on the lab"
		kubeconfig := lab("kubeconfig")
		kubeconfig.into = "KUBECONFIG"
		p.steps = []step{
			// It starts the lab and makes the images, too.
			{argv: []string{"go", "run", "./tests/demo", "install"}},
			kubeconfig,
			goTest(append([]string{"-timeout", "30m", "-p", "1"}, pkgs...)...),
		}
	}
	return p
}

// compatPart is for programs of others that drive the mesh. The first way of each is
// a part of every run, all of them are make compat's.
func compatPart(t tree, m machine) part {
	p := part{name: "compat", about: "releases by stock Flagger and Argo Rollouts"}
	pkgs := t.under(dirCompat)
	switch {
	case len(pkgs) == 0:
		p.skipped = "no tests under tests/compat"
	case m.kubeconfig != "":
		p.skipped = "it installs Flagger and Argo Rollouts, for which a cluster of your own is not asked; unset KUBECONFIG to use the lab"
	case !t.lab, !m.root:
		p.skipped = "it takes the lab, which needs root"
	default:
		kubeconfig := lab("kubeconfig")
		kubeconfig.into = "KUBECONFIG"
		args := []string{"-timeout", "60m"}
		programs := lab("ecosystem")
		if !m.long {
			args = append(args, "-short")
			programs = lab("ecosystem", "flagger", "argo-rollouts")
		}
		p.about += ", on the lab"
		p.steps = []step{{argv: []string{"go", "run", "./tests/demo", "install"}}, programs, kubeconfig, goTest(append(args, pkgs...)...)}
	}
	return p
}

// fuzzParts makes one part of each fuzz target; Go runs only one at a time.
func fuzzParts(t tree, each time.Duration) ([]part, error) {
	var parts []part
	for _, p := range t.pkgs {
		for _, f := range p.fuzz {
			parts = append(parts, part{
				name:  f,
				about: fmt.Sprintf("%s, %v", p.path, each),
				steps: []step{{argv: []string{"go", "test", "-run", "^$", "-fuzz", "^" + f + "$", "-fuzztime", each.String(), p.path}}},
			})
		}
	}
	if len(parts) == 0 {
		return nil, errors.New("no fuzz targets found")
	}
	return parts, nil
}

// choose keeps the parts named by only (all when empty) without those named by
// skip, in the plan's order. An unknown name is an error, not a silent pass.
func choose(parts []part, only, skip []string) ([]part, error) {
	var known []string
	for _, p := range parts {
		known = append(known, p.name)
	}
	for _, name := range slices.Concat(only, skip) {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no part %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	var out []part
	for _, p := range parts {
		if (len(only) == 0 || slices.Contains(only, p.name)) && !slices.Contains(skip, p.name) {
			out = append(out, p)
		}
	}
	return out, nil
}
