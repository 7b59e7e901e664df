package inject

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/bootstrap"
)

// Annotations by which a pod adjusts its own sidecar, besides those that the
// operator reads, too (heddlev1alpha1.AnnotationExcludeInboundPorts and its
// siblings). A value that can't be used refuses the pod.
const (
	// AnnotationProxyCPURequest and its siblings size the proxy. A limit of
	// "0" means none.
	AnnotationProxyCPURequest    = "heddle.dev/proxy-cpu-request"
	AnnotationProxyCPULimit      = "heddle.dev/proxy-cpu-limit"
	AnnotationProxyMemoryRequest = "heddle.dev/proxy-memory-request"
	AnnotationProxyMemoryLimit   = "heddle.dev/proxy-memory-limit"
	// AnnotationProxyLogLevel is one of Envoy's log levels.
	AnnotationProxyLogLevel = "heddle.dev/proxy-log-level"
)

// maxListed bounds lists in annotations, in which those of the MeshConfig are,
// too: every entry is a rule in the pod.
const maxListed = 96

var logLevels = []string{"trace", "debug", "info", "warning", "error", "critical", "off"}

// options is what a pod's annotations ask for.
type options struct {
	exclude  bootstrap.Exclusions
	logLevel string
	sizes    []size
	// appStopDelay is in seconds; nil leaves it to the default.
	appStopDelay *int64
}

type size struct {
	limit bool
	name  corev1.ResourceName
	value resource.Quantity
}

func readAnnotations(annotations map[string]string) (options, error) {
	var o options
	readers := []struct {
		name string
		read func(value string) error
	}{
		{heddlev1alpha1.AnnotationExcludeInboundPorts, func(v string) (err error) { o.exclude.InboundPorts, err = readPorts(v); return err }},
		{heddlev1alpha1.AnnotationExcludeOutboundPorts, func(v string) (err error) { o.exclude.OutboundPorts, err = readPorts(v); return err }},
		{heddlev1alpha1.AnnotationExcludeOutboundPrefixes, func(v string) (err error) { o.exclude.OutboundPrefixes, err = readPrefixes(v); return err }},
		{AnnotationProxyCPURequest, o.readSize(corev1.ResourceCPU, false)},
		{AnnotationProxyCPULimit, o.readSize(corev1.ResourceCPU, true)},
		{AnnotationProxyMemoryRequest, o.readSize(corev1.ResourceMemory, false)},
		{AnnotationProxyMemoryLimit, o.readSize(corev1.ResourceMemory, true)},
		{AnnotationProxyLogLevel, func(v string) error {
			if !slices.Contains(logLevels, v) {
				return fmt.Errorf("%q is not one of %s", v, strings.Join(logLevels, ", "))
			}
			o.logLevel = v
			return nil
		}},
		{AnnotationAppStopDelay, o.readStopDelay},
	}
	for _, r := range readers {
		value, ok := annotations[r.name]
		if !ok {
			continue
		}
		if err := r.read(value); err != nil {
			return options{}, fmt.Errorf("annotation %s: %w", r.name, err)
		}
	}
	return o, nil
}

// excludeAlso adds what is excluded for all pods, and writes into the annotations
// what is in force, for people and for the operator.
func (o *options) excludeAlso(all bootstrap.Exclusions, annotations map[string]string) {
	if len(all.OutboundPorts) > 0 {
		o.exclude.OutboundPorts = sortedPorts(slices.Concat(o.exclude.OutboundPorts, all.OutboundPorts))
		annotations[heddlev1alpha1.AnnotationExcludeOutboundPorts] = joined(o.exclude.OutboundPorts)
	}
	if len(all.OutboundPrefixes) > 0 {
		o.exclude.OutboundPrefixes = sortedPrefixes(slices.Concat(o.exclude.OutboundPrefixes, all.OutboundPrefixes))
		annotations[heddlev1alpha1.AnnotationExcludeOutboundPrefixes] = joined(o.exclude.OutboundPrefixes)
	}
}

func joined[T any](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = fmt.Sprint(item)
	}
	return strings.Join(texts, ",")
}

func (o *options) readSize(name corev1.ResourceName, limit bool) func(string) error {
	return func(v string) error {
		q, err := resource.ParseQuantity(v)
		if err != nil || q.Sign() < 0 {
			return fmt.Errorf("%q is not a quantity", v)
		}
		o.sizes = append(o.sizes, size{limit: limit, name: name, value: q})
		return nil
	}
}

// resources returns base with the pod's sizes in place.
func (o *options) resources(base corev1.ResourceRequirements) corev1.ResourceRequirements {
	out := *base.DeepCopy()
	for _, s := range o.sizes {
		list := &out.Requests
		if s.limit {
			list = &out.Limits
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		if s.limit && s.value.IsZero() {
			delete(*list, s.name)
			continue
		}
		(*list)[s.name] = s.value
	}
	// A limit below the default request lowers the request, or the API
	// server would refuse the pod.
	for name, limit := range out.Limits {
		if request, ok := out.Requests[name]; ok && request.Cmp(limit) > 0 {
			out.Requests[name] = limit
		}
	}
	return out
}

// readPorts reads "80,443", ascending and without repeats.
func readPorts(value string) ([]uint16, error) {
	items, err := split(value)
	if err != nil {
		return nil, err
	}
	ports := make([]uint16, 0, len(items))
	for _, item := range items {
		port, ok := parsePort(item)
		if !ok {
			return nil, fmt.Errorf("%q is not a port", item)
		}
		if port == heddlev1alpha1.PortOutbound || port == heddlev1alpha1.PortInbound || port == heddlev1alpha1.PortReady {
			return nil, fmt.Errorf("port %d belongs to the sidecar", port)
		}
		ports = append(ports, port)
	}
	return sortedPorts(ports), nil
}

func sortedPorts(ports []uint16) []uint16 {
	slices.Sort(ports)
	return slices.Compact(ports)
}

// readPrefixes reads "10.0.0.0/8,192.0.2.7" in canonical form.
func readPrefixes(value string) ([]netip.Prefix, error) {
	items, err := split(value)
	if err != nil {
		return nil, err
	}
	prefixes := make([]netip.Prefix, 0, len(items))
	for _, item := range items {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			addr, addrErr := netip.ParseAddr(item)
			if addrErr != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("%q is neither an address nor a prefix", item)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if !prefix.Addr().Is4() {
			return nil, fmt.Errorf("%q is not IPv4; IPv6 isn't supported yet", item)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return sortedPrefixes(prefixes), nil
}

func sortedPrefixes(prefixes []netip.Prefix) []netip.Prefix {
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	return slices.Compact(prefixes)
}

func split(value string) ([]string, error) {
	items := strings.Split(value, ",")
	if len(items) > maxListed {
		return nil, fmt.Errorf("has %d entries; %d are allowed", len(items), maxListed)
	}
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items, nil
}
