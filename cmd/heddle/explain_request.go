package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/operator/explain"
	meshmodel "github.com/heddle-mesh/heddle/operator/mesh"
)

// outside is how a caller without a sidecar is written.
const outside = "outside"

// request reads the arguments; namespace is meant where none is written.
func (e explainOptions) request(args []string, snapshot *meshmodel.Snapshot, namespace string) (explain.Request, error) {
	r := explain.Request{Protocol: explain.TCP, Authority: e.authority, TLS: e.tls}
	var err error
	if r.From, r.Excluded, err = callerNamed(args[0], snapshot, namespace); err != nil {
		return r, err
	}
	if r.To, r.Address, err = destinationNamed(args[1], snapshot, namespace); err != nil {
		return r, err
	}
	if len(args) == 2 {
		if len(e.headers) > 0 {
			return r, errors.New("-H is about requests: give METHOD and PATH, too")
		}
		return r, nil
	}
	r.Method, r.Target = args[2], args[3]
	if r.Authority == "" {
		r.Authority, _, _ = strings.Cut(args[1], ":")
	}
	switch e.protocol {
	case "http1":
		r.Protocol = explain.HTTP1
	case "http2":
		r.Protocol = explain.HTTP2
	default:
		return r, fmt.Errorf("unknown protocol %q: use http1 or http2; for other connections leave METHOD and PATH out", e.protocol)
	}
	for _, line := range e.headers {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return r, fmt.Errorf("header %q is not \"name: value\"", line)
		}
		r.Headers = append(r.Headers, explain.Header{Name: name, Value: strings.TrimSpace(value)})
	}
	return r, nil
}

// callerNamed finds a workload, a pod or a service account, and what its pods
// reach past their sidecars. Of a service account that is not known.
func callerNamed(text string, snapshot *meshmodel.Snapshot, namespace string) (explain.Caller, meshmodel.Exclusion, error) {
	nothing := meshmodel.Exclusion{}
	if text == outside {
		return explain.Caller{Outside: true}, nothing, nil
	}
	account, isAccount := strings.CutPrefix(text, "sa:")
	namespace, name, err := namespaced(account, namespace)
	if err != nil {
		return explain.Caller{}, nothing, fmt.Errorf("FROM: %w", err)
	}
	if isAccount {
		return explain.Caller{Identity: meshmodel.Identity{Namespace: namespace, ServiceAccount: name}}, nothing, nil
	}
	var pods []*meshmodel.Pod
	for _, pod := range snapshot.Pods.All() {
		if pod.Key.Namespace == namespace && (pod.Key.Name == name || pod.Meshed && pod.Workload.Name == name) {
			pods = append(pods, pod)
		}
	}
	if len(pods) == 0 {
		return explain.Caller{}, nothing, fmt.Errorf("FROM: no workload of the mesh and no pod is named %s/%s; use sa:%s/NAME for a service account, or %q for a caller without a sidecar",
			namespace, name, namespace, outside)
	}
	first := pods[0]
	for _, pod := range pods[1:] {
		switch {
		case pod.Identity != first.Identity || pod.Meshed != first.Meshed:
			return explain.Caller{}, nothing, fmt.Errorf("FROM: the pods of %s/%s run as more than one service account; say which with sa:NAMESPACE/NAME", namespace, name)
		case !slices.Equal(pod.Excluded.Ports, first.Excluded.Ports) || !slices.Equal(pod.Excluded.Prefixes, first.Excluded.Prefixes):
			return explain.Caller{}, nothing, fmt.Errorf("FROM: the pods of %s/%s exclude different destinations from their sidecars; name one pod, such as %s", namespace, name, first.Key.Name)
		}
	}
	if !first.Meshed {
		return explain.Caller{Outside: true}, nothing, nil
	}
	return explain.Caller{Identity: first.Identity}, first.Excluded, nil
}

// destinationNamed finds a Service's port or reads an address.
func destinationNamed(text string, snapshot *meshmodel.Snapshot, namespace string) (meshmodel.PortKey, netip.AddrPort, error) {
	none := netip.AddrPort{}
	if addr, err := netip.ParseAddrPort(text); err == nil {
		return meshmodel.PortKey{}, addr, nil
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return meshmodel.PortKey{}, none, fmt.Errorf("TO: address %s needs a port, as in %s", text, netip.AddrPortFrom(netip.MustParseAddr(text), 8080))
	}
	text, number, hasPort := strings.Cut(text, ":")
	namespace, name, err := namespaced(text, namespace)
	if err != nil {
		return meshmodel.PortKey{}, none, fmt.Errorf("TO: %w", err)
	}
	key := meshmodel.ServiceKey{Namespace: namespace, Name: name}
	service := snapshot.Services.Get(key)
	if service == nil {
		return meshmodel.PortKey{}, none, fmt.Errorf("TO: there is no Service %s with a TCP port%s", key, others(snapshot, namespace))
	}
	if !hasPort {
		if len(service.Ports) > 1 {
			return meshmodel.PortKey{}, none, fmt.Errorf("TO: Service %s has the ports %s; say which, as in %s:%d", key, portsOf(service), key, service.Ports[0].Number)
		}
		return service.Ports[0].Key, none, nil
	}
	for _, port := range service.Ports {
		if port.Name == number || strconv.Itoa(int(port.Number)) == number {
			return port.Key, none, nil
		}
	}
	return meshmodel.PortKey{}, none, fmt.Errorf("TO: Service %s has no port %s; it has %s", key, number, portsOf(service))
}

func namespaced(text, namespace string) (string, string, error) {
	before, name, ok := strings.Cut(text, "/")
	if !ok {
		before, name = namespace, text
	}
	if before == "" || name == "" || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("%q is not NAMESPACE/NAME", text)
	}
	return before, name, nil
}

func portsOf(service *meshmodel.Service) string {
	var out []string
	for _, port := range service.Ports {
		text := strconv.Itoa(int(port.Number))
		if port.Name != "" {
			text += " (" + port.Name + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func others(snapshot *meshmodel.Snapshot, namespace string) string {
	var names []string
	for _, key := range slices.SortedFunc(snapshot.Services.Keys(), meshmodel.ServiceKey.Compare) {
		if key.Namespace == namespace {
			names = append(names, key.Name)
		}
	}
	if len(names) == 0 {
		return ", nor any other in that namespace"
	}
	return "; there are " + strings.Join(names, ", ")
}
