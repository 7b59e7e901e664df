package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// recipe says what is in an image.
type recipe struct {
	tag string
	// program is a package of this tree, or binary makes a file, whose shared
	// libraries come along.
	program string
	binary  func(*lab, context.Context) (string, error)
}

var recipes = map[string]recipe{
	"heddle-operator": {tag: "dev", program: "./cmd/heddle-operator"},
	"heddle-init":     {tag: "dev", program: "./cmd/heddle-init"},
	"shop":            {tag: "dev", program: "./tests/lab/shop"},
	"pause":           {tag: "1", program: "./tests/lab/pause"},
	"coredns":         {tag: "1", binary: (*lab).buildCoreDNS},
	"envoy":           {tag: envoyVersion, binary: (*lab).fetchEnvoy},
	"prometheus":      {tag: "2", binary: (*lab).buildPrometheus},
}

// images makes those of the tree, or the named ones. With -img they are
// pushed there instead of brought into the lab.
func images(ctx context.Context, l *lab, args []string) error {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	to := flags.String("img", "", "registry and prefix to push to instead of the lab")
	if err := flags.Parse(args); err != nil {
		return err
	}
	names := flags.Args()
	if *to == "" {
		if len(names) == 0 {
			names = []string{"heddle-operator", "heddle-init", "shop"}
		}
		return l.imagesOf(ctx, names)
	}
	if len(names) == 0 {
		names = []string{"heddle-operator", "heddle-init", "shop", "envoy"}
	}
	for _, image := range names {
		img, err := l.image(ctx, image)
		if err != nil {
			return err
		}
		ref, err := name.ParseReference(*to + "/" + image + ":" + recipes[image].tag)
		if err != nil {
			return err
		}
		l.stepf("pushing %s", ref)
		if err := remote.Write(ref, img, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return fmt.Errorf("push %s: %w", ref, err)
		}
	}
	return nil
}

// imagesOf brings images into the lab that are not there in that very form.
func (l *lab) imagesOf(ctx context.Context, names []string) error {
	for _, image := range names {
		img, err := l.image(ctx, image)
		if err != nil {
			return err
		}
		digest, err := img.ConfigName()
		if err != nil {
			return err
		}
		mark := l.path("images", image)
		if have, err := os.ReadFile(mark); err == nil && string(have) == digest.String() {
			continue
		}
		ref := "lab.local/" + image + ":" + recipes[image].tag
		l.stepf("image %s", ref)
		tag, err := name.NewTag(ref)
		if err != nil {
			return err
		}
		file := l.path("image-" + image + ".tar")
		if err := tarball.WriteToFile(file, tag, img); err != nil {
			return err
		}
		if err := run(ctx, "ctr", "-a", l.path("containerd.sock"), "-n", "k8s.io", "images", "import", file); err != nil {
			return err
		}
		if err := errors.Join(os.Remove(file), os.WriteFile(mark, []byte(digest.String()), 0o600)); err != nil {
			return err
		}
		if image == "heddle-operator" {
			if err := l.restartOperator(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// restartOperator has a Heddle that is installed run the image just made: its
// tag is the one before's.
func (l *lab) restartOperator(ctx context.Context) error {
	kubectl := func(args ...string) (string, error) {
		return output(ctx, l.kubernetes("kubectl"), append([]string{"--kubeconfig", l.kubeconfig(), "-n", "heddle-system"}, args...)...)
	}
	found, err := kubectl("get", "deployment", "heddle-operator", "--ignore-not-found", "-o", "name")
	if err != nil || found == "" {
		return err
	}
	l.stepf("restarting the operator")
	_, err = kubectl("rollout", "restart", found)
	return err
}

func (l *lab) image(ctx context.Context, image string) (v1.Image, error) {
	r, ok := recipes[image]
	if !ok {
		return nil, fmt.Errorf("no such image: %s", image)
	}
	files := map[string]string{}
	if r.program != "" {
		binary := filepath.Join(os.TempDir(), "heddle-lab-image-"+image)
		defer func() { _ = os.Remove(binary) }()
		if err := goBuild(ctx, ".", r.program, binary, "-s -w"); err != nil {
			return nil, err
		}
		files[image] = binary
		return assemble("/"+image, files)
	}
	binary, err := r.binary(l, ctx)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", image, err)
	}
	files["usr/bin/"+image] = binary
	libraries, err := libraries(ctx, binary)
	if err != nil {
		return nil, err
	}
	for _, library := range libraries {
		files[strings.TrimPrefix(library, "/")] = library
	}
	return assemble("/usr/bin/"+image, files)
}

// libraries lists the shared objects of a dynamic binary. A static one has
// none, about which ldd complains.
func libraries(ctx context.Context, binary string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "ldd", binary).CombinedOutput()
	if err != nil {
		if bytes.Contains(out, []byte("not a dynamic executable")) {
			return nil, nil
		}
		return nil, fmt.Errorf("ldd %s: %w\n%s", binary, err, out)
	}
	var found []string
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			found = append(found, word)
		}
	}
	return found, nil
}

// assemble makes an image of one layer; equal files give an equal image.
func assemble(entrypoint string, files map[string]string) (v1.Image, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	names := make([]string, 0, len(files))
	for file := range files {
		names = append(names, file)
	}
	slices.Sort(names)
	for _, file := range names {
		if err := addFile(w, file, files[file]); err != nil {
			return nil, fmt.Errorf("image with %s: %w", entrypoint, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	content, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer.Bytes())), nil
	})
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, content)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Entrypoint = []string{entrypoint}
	config.Config.Env = []string{"PATH=/usr/bin"}
	return mutate.ConfigFile(img, config)
}

func addFile(w *tar.Writer, to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	header := &tar.Header{Name: to, Mode: int64(fs.FileMode(0o755)), Size: int64(len(content)), Typeflag: tar.TypeReg}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}
