package inject

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/bootstrap"
)

// Path is where the operator's webhook server serves the handler.
const Path = "/inject"

// NamespaceLabels returns the labels of a namespace. It is called once per
// pod whose own label doesn't decide, and should answer from a cache.
type NamespaceLabels func(ctx context.Context, namespace string) (map[string]string, error)

// Surroundings are what the injection of a pod depends on besides the pod.
type Surroundings struct {
	Labels NamespaceLabels
	// Egress returns the MeshConfig's. It should answer from a cache; nil
	// excludes nothing.
	Egress func(ctx context.Context) (heddlev1alpha1.EgressSpec, error)
	// Covered returns the Services that prefixes cover; nil knows of none.
	Covered func(prefixes []netip.Prefix) mesh.Covered
}

// NewHandler returns the handler of the mutating webhook for pods. It fails
// closed: a pod that can't be decoded, or whose namespace can't be read, is
// refused, so that it never starts outside the mesh by mistake. The operator
// wraps it:
//
//	server.Register(inject.Path, &admission.Webhook{Handler: inject.NewHandler(cfg, around, decoder)})
func NewHandler(cfg Config, around Surroundings, decoder admission.Decoder) admission.Handler {
	return &handler{cfg: cfg, around: around, decoder: decoder}
}

type handler struct {
	cfg     Config
	around  Surroundings
	decoder admission.Decoder
}

// Handle implements admission.Handler.
func (h *handler) Handle(ctx context.Context, req admission.Request) admission.Response {
	pod := &corev1.Pod{}
	if err := h.decoder.DecodeRaw(req.Object, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, fmt.Errorf("decode pod: %w", err))
	}
	ns := Namespace{Name: req.Namespace}
	if _, decided := podChoice(pod); !decided {
		labels, err := h.around.Labels(ctx, req.Namespace)
		if err != nil {
			return admission.Errored(http.StatusInternalServerError, fmt.Errorf("read namespace %s: %w", req.Namespace, err))
		}
		ns.Labels = labels
	}
	cfg, err := h.config(ctx)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	injected, warnings, err := Inject(pod, ns, cfg)
	if refusal := (*RefusedError)(nil); errors.As(err, &refusal) {
		return admission.Denied(refusal.Error()).WithWarnings(warnings...)
	}
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	if warning := h.covered(injected); warning != "" {
		warnings = append(warnings, warning)
	}
	return admission.Patched("", operations(pod, injected)...).WithWarnings(warnings...)
}

// config returns the configuration with what the MeshConfig excludes by now.
func (h *handler) config(ctx context.Context) (Config, error) {
	cfg := h.cfg
	if h.around.Egress == nil {
		return cfg, nil
	}
	egress, err := h.around.Egress(ctx)
	if err != nil {
		return cfg, err
	}
	cfg.Exclude, err = excludedBy(egress)
	return cfg, err
}

// excludedBy reads what the schema has let in.
func excludedBy(egress heddlev1alpha1.EgressSpec) (bootstrap.Exclusions, error) {
	var out bootstrap.Exclusions
	for _, text := range egress.ExcludePrefixes {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || !prefix.Addr().Is4() {
			return out, fmt.Errorf("MeshConfig %s: spec.egress.excludePrefixes: %q is no IPv4 prefix; write one as in 192.0.2.0/24",
				heddlev1alpha1.MeshConfigName, text)
		}
		out.OutboundPrefixes = append(out.OutboundPrefixes, prefix.Masked())
	}
	for _, port := range egress.ExcludePorts {
		if port < 1 || port > 65535 {
			return out, fmt.Errorf("MeshConfig %s: spec.egress.excludePorts: %d is no port", heddlev1alpha1.MeshConfigName, port)
		}
		out.OutboundPorts = append(out.OutboundPorts, uint16(port))
	}
	return out, nil
}

// covered warns where what is excluded for the pod has Services in it.
func (h *handler) covered(pod *corev1.Pod) string {
	list := pod.Annotations[heddlev1alpha1.AnnotationExcludeOutboundPrefixes]
	if h.around.Covered == nil || list == "" || pod.Annotations[heddlev1alpha1.AnnotationInjected] == "" {
		return ""
	}
	prefixes, err := readPrefixes(list)
	if err != nil {
		return "" // the pod has been refused for that
	}
	if covered := h.around.Covered(prefixes); len(covered) > 0 {
		return fmt.Sprintf("annotation %s: %s", heddlev1alpha1.AnnotationExcludeOutboundPrefixes, covered)
	}
	return ""
}
