package main

// check is one question about the facts.
type check struct {
	group, name string
	// judge answers it. It is pure.
	judge func(*facts) verdict
	// remedy says what to do when the answer is no.
	remedy string
	// critical means that without it nothing after it can be known.
	critical bool
}

// checks returns all checks in the order they are made and printed: each
// group stands on the ones before it. cli is this program's version.
func checks(cli string) []check {
	const (
		kubernetes = "kubernetes"
		types      = "resource types"
		control    = "control plane"
		identity   = "identity"
		data       = "data plane"
		policy     = "traffic and policy"
	)
	return []check{
		{kubernetes, "the Kubernetes API answers", checkReachable, "look at --context and --kubeconfig: kubectl cluster-info must work", true},
		{kubernetes, "Kubernetes is 1.29 or newer", checkServerVersion, "upgrade the cluster: Heddle's sidecars are native ones, which came with 1.29", false},
		{kubernetes, "every node runs native sidecars", checkNodeVersions, "upgrade the kubelet of these nodes to 1.29 or newer, or keep meshed pods away from them", false},
		{kubernetes, "clocks agree", checkClock, "synchronise the clocks (NTP): certificates count time", false},

		{types, "all resource types are installed and served", checkTypes, "kubectl apply --server-side -k kustomize/default", false},

		{control, "the namespace exists", checkSystemNamespace, "install Heddle: kubectl apply --server-side -k kustomize/default, or say where it is with --system-namespace", true},
		{control, "the operator is ready", checkOperatorReady, "kubectl -n heddle-system describe deployment/heddle-operator\nkubectl -n heddle-system logs deployment/heddle-operator", false},
		{control, "the operator is as new as this program", checkOperatorVersion(cli), "use the heddle of the same release as the operator", false},
		{control, "pods are injected by a webhook", checkWebhook, "kubectl apply --server-side -k kustomize/default", false},
		{control, "the API server trusts the webhook", checkWebhookTrust, "the operator writes caBundle: look for errors in its logs", false},
		{control, "the webhook has ready endpoints", checkWebhookEndpoints, "until the operator is ready no pod can start in a meshed namespace:\nkubectl -n heddle-system get pods,endpointslices", false},
		{control, "objects are validated by a webhook", checkValidator, "kubectl apply --server-side -k kustomize/default; until then mistakes are told by conditions only", false},
		{control, "the mesh configuration is valid", checkMeshConfig, "kubectl describe meshconfig default", false},

		{identity, "the certificate authority is good for another 30 days", checkAuthority, "the operator renews its authority by itself: look for errors in its logs", false},
		{identity, "every meshed namespace has the trust bundle", checkBundles, "the operator writes the ConfigMap heddle-ca: look for errors in its logs, and for a\npolicy that keeps it from writing into these namespaces", false},

		{data, "some namespace is meshed", checkMeshedNamespaces, "kubectl label namespace NAME heddle.dev/inject=enabled", false},
		{data, "every pod of a meshed namespace has its sidecar", checkInjected, "these started before the namespace was meshed: kubectl -n NAMESPACE rollout restart deployment", false},
		{data, "no meshed namespace has pods on the host's network", checkHostNetwork, "such pods can't be meshed: take hostNetwork away, or label the pod heddle.dev/inject=disabled", false},
		{data, "no exclusion covers the Services", checkExclusions, "narrow spec.egress.excludePrefixes of the MeshConfig, or the annotation of the pods, to what is no Service of the mesh;\nthen kubectl -n NAMESPACE rollout restart deployment", false},
		{data, "every sidecar is ready", checkSidecarsReady, "kubectl -n NAMESPACE logs POD -c heddle-init\nkubectl -n NAMESPACE logs POD -c heddle-proxy", false},
		{data, "every sidecar is connected to an operator", checkConnected, "kubectl -n NAMESPACE logs POD -c heddle-proxy\nand see that NetworkPolicies let the pods reach port 15012 of the operator", false},
		{data, "no sidecar refused what it was sent", checkRejected, "heddle proxy status says what and why; the sidecar keeps what it had before", false},
		{data, "sidecars are as new as the operator", checkSidecarVersions, "kubectl -n NAMESPACE rollout restart deployment", false},

		{policy, "traffic splits are in force", checkConditions(splitResource), "kubectl -n NAMESPACE describe trafficsplit NAME", false},
		{policy, "traffic targets are in force", checkConditions(targetResource), "kubectl -n NAMESPACE describe traffictarget NAME", false},
		{policy, "no canary has failed", checkCanaries, "kubectl -n NAMESPACE describe canary NAME, then mend the Deployment: the next revision is tried anew", false},
	}
}

// judge answers all checks. After a critical one fails the rest are not made.
func judge(f *facts, cli string) report {
	r := report{OK: true, Counts: map[status]int{}}
	blocked := ""
	for _, c := range checks(cli) {
		v := verdict{status: statusUnknown}
		if blocked == "" {
			v = c.judge(f)
		}
		res := checkResult{Group: c.group, Name: c.name, Status: v.status, Detail: v.detail}
		if v.status == statusFailed || v.status == statusWarning {
			res.Remedy = c.remedy
		}
		if v.status == statusFailed {
			r.OK = false
			if c.critical {
				blocked = c.name
			}
		}
		r.Counts[v.status]++
		r.Checks = append(r.Checks, res)
		if blocked != "" {
			break
		}
	}
	return r
}
