package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

const defaultSystem = heddlev1alpha1.SystemNamespace

// cluster is what the verbs may ask of a Kubernetes cluster. All fields are
// set; tests set them to fakes.
type cluster struct {
	kube    kubernetes.Interface
	objects dynamic.Interface
	// namespace is the one that flags and kubeconfig name.
	namespace string
	// serverTime asks the API server what time it is.
	serverTime func(context.Context) (time.Time, error)
	// proxies asks one operator pod which proxies it serves.
	proxies func(ctx context.Context, namespace, pod string) (xds.ProxyList, error)
}

// connector makes a cluster from flags; it reads the kubeconfig and sends
// nothing.
type connector func(*genericclioptions.ConfigFlags) (*cluster, error)

func connect(flags *genericclioptions.ConfigFlags) (*cluster, error) {
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	// The checks ask for a dozen things at once; the default of five a second
	// would make them wait for themselves.
	config.QPS, config.Burst = 100, 200
	namespace, _, err := flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, fmt.Errorf("read namespace from kubeconfig: %w", err)
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return &cluster{
		kube:      kube,
		objects:   objects,
		namespace: namespace,
		serverTime: func(ctx context.Context) (time.Time, error) {
			return serverTime(ctx, config)
		},
		proxies: func(ctx context.Context, namespace, pod string) (xds.ProxyList, error) {
			return askProxies(ctx, config, kube, namespace, pod)
		},
	}, nil
}

// serverTime reads the Date header of a small answer. It is good to about a
// second, which is what certificates care about.
func serverTime(ctx context.Context, config *rest.Config) (time.Time, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return time.Time{}, fmt.Errorf("make client: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return time.Time{}, fmt.Errorf("read server address: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("version").String(), nil)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the time: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the time: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	date, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("read the server's date: %w", err)
	}
	return date, nil
}

// isTerminal is whether a person looks at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	stat, err := f.Stat()
	return err == nil && stat.Mode()&os.ModeCharDevice != 0
}
