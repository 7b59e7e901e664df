package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// stock is a program that others make and that works with Heddle as it is, built
// from its published module.
type stock struct {
	// image is its name in the lab, version that of its module.
	image, module, version, program string
	// manifests are those of the module that have to be applied: its definitions, its
	// account and what that may do.
	manifests []string
	// namespace is where it runs.
	namespace string
}

// ecosystem are the programs that compatibility is tested with.
var ecosystem = []stock{
	{
		image: "flagger", module: "github.com/fluxcd/flagger", version: "v1.44.0", program: "./cmd/flagger",
		manifests: []string{"kustomize/base/flagger/crd.yaml", "kustomize/base/flagger/account.yaml", "kustomize/base/flagger/rbac.yaml"},
		namespace: "flagger-system",
	},
	{
		image: "argo-rollouts", module: "github.com/argoproj/argo-rollouts", version: "v1.10.2", program: "./cmd/rollouts-controller",
		manifests: []string{
			"manifests/crds/analysis-run-crd.yaml", "manifests/crds/analysis-template-crd.yaml", "manifests/crds/cluster-analysis-template-crd.yaml",
			"manifests/crds/experiment-crd.yaml", "manifests/crds/rollout-crd.yaml", "manifests/base/argo-rollouts-config.yaml",
			"manifests/base/argo-rollouts-sa.yaml", "manifests/role/argo-rollouts-clusterrole.yaml",
			"manifests/cluster-install/argo-rollouts-clusterrolebinding.yaml",
		},
		namespace: "argo-rollouts",
	},
	{image: "flagger-1.36", module: "github.com/fluxcd/flagger", version: "v1.36.1", program: "./cmd/flagger"},
}

func (p stock) recipe() recipe {
	return recipe{tag: "1", binary: func(l *lab, ctx context.Context) (string, error) {
		file := filepath.Join(l.cache, p.image+"-"+p.version, p.image)
		return file, l.ensure(file, "building "+p.module+" "+p.version+" (takes minutes, once)", func(to string) error {
			return buildModule(ctx, p.module, p.version, p.program, to, nil)
		})
	}}
}

// installEcosystem brings the programs' images, definitions and rights into the
// cluster, or those named. None of them runs then: each test runs its own.
func installEcosystem(ctx context.Context, l *lab, names []string) error {
	for _, p := range ecosystem {
		if len(names) > 0 && !slices.Contains(names, p.image) {
			continue
		}
		recipes[p.image] = p.recipe()
		if err := l.imagesOf(ctx, []string{p.image}); err != nil {
			return err
		}
		if len(p.manifests) > 0 {
			if err := l.applyManifests(ctx, p); err != nil {
				return fmt.Errorf("%s %s: %w", p.module, p.version, err)
			}
		}
	}
	return nil
}

// applyManifests makes the program's namespace and what it needs there.
func (l *lab) applyManifests(ctx context.Context, p stock) error {
	dir, remove, err := source(ctx, p.module, p.version)
	if err != nil {
		return err
	}
	defer remove()
	kubectl := func(args ...string) error {
		return run(ctx, l.kubernetes("kubectl"), append([]string{"--kubeconfig", l.kubeconfig()}, args...)...)
	}
	if err := kubectl("get", "namespace", p.namespace); err != nil {
		if err := kubectl("create", "namespace", p.namespace); err != nil {
			return err
		}
	}
	for _, manifest := range p.manifests {
		if err := kubectl("-n", p.namespace, "apply", "--server-side", "--force-conflicts", "-f", filepath.Join(dir, manifest)); err != nil {
			return err
		}
	}
	return nil
}

// languageVersion is that of Go which every module is built as.
const languageVersion = "1.26.0"

// source unpacks the module's published source into a folder that remove removes.
func source(ctx context.Context, module, version string) (dir string, remove func(), err error) {
	// It fails for modules that want a newer Go, and tells all the same where they are.
	raw, failed := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+version).Output()
	var at struct{ Zip, Error string }
	if err := json.Unmarshal(raw, &at); err != nil {
		return "", nil, fmt.Errorf("%s@%s: %w", module, version, errors.Join(failed, err))
	}
	if at.Zip == "" {
		return "", nil, fmt.Errorf("%s@%s: %w: %s", module, version, failed, at.Error)
	}
	archive, err := zip.OpenReader(at.Zip)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = archive.Close() }()
	files, err := fs.Sub(archive, module+"@"+version)
	if err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp("", "heddle-lab-module"); err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	if err := os.CopyFS(dir, files); err != nil {
		remove()
		return "", nil, err
	}
	return dir, remove, nil
}

// buildModule builds a program of a module from a copy of its source, in which files
// may be written over.
func buildModule(ctx context.Context, module, version, program, to string, over map[string]string) error {
	dir, remove, err := source(ctx, module, version)
	if err != nil {
		return err
	}
	defer remove()
	for file, text := range over {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	// The toolchain at hand builds it, be it some releases of patches older than the one
	// that the module was last built with.
	edit := exec.CommandContext(ctx, "go", "mod", "edit", "-go="+languageVersion, "-toolchain=none")
	edit.Dir = dir
	if out, err := edit.CombinedOutput(); err != nil {
		return fmt.Errorf("go mod edit: %w\n%s", err, out)
	}
	return goBuild(ctx, dir, program, to, "-s -w")
}
