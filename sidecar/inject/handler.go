package inject

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Path is where the operator's webhook server serves the handler.
const Path = "/inject"

// NamespaceLabels returns the labels of a namespace. It is called once per
// pod whose own label doesn't decide, and should answer from a cache.
type NamespaceLabels func(ctx context.Context, namespace string) (map[string]string, error)

// NewHandler returns the handler of the mutating webhook for pods. It fails
// closed: a pod that can't be decoded, or whose namespace can't be read, is
// refused, so that it never starts outside the mesh by mistake. The operator
// wraps it:
//
//	server.Register(inject.Path, &admission.Webhook{Handler: inject.NewHandler(cfg, labels, decoder)})
func NewHandler(cfg Config, labels NamespaceLabels, decoder admission.Decoder) admission.Handler {
	return &handler{cfg: cfg, labels: labels, decoder: decoder}
}

type handler struct {
	cfg     Config
	labels  NamespaceLabels
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
		labels, err := h.labels(ctx, req.Namespace)
		if err != nil {
			return admission.Errored(http.StatusInternalServerError, fmt.Errorf("read namespace %s: %w", req.Namespace, err))
		}
		ns.Labels = labels
	}
	injected, warnings, err := Inject(pod, ns, h.cfg)
	if refusal := (*RefusedError)(nil); errors.As(err, &refusal) {
		return admission.Denied(refusal.Error()).WithWarnings(warnings...)
	}
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.Patched("", operations(pod, injected)...).WithWarnings(warnings...)
}
