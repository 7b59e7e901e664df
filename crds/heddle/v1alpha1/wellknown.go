package v1alpha1

// Names and numbers that more than one program agrees on. They are part of
// Heddle's API: changing one breaks running pods.
const (
	// SystemNamespace is where the control plane is installed by default.
	SystemNamespace = "heddle-system"
	// OperatorName names the operator's Deployment, ServiceAccount and Service.
	OperatorName = "heddle-operator"
	// MeshConfigName is the name of the only MeshConfig that counts.
	MeshConfigName = "default"
	// DefaultTrustDomain is used until a MeshConfig says otherwise.
	DefaultTrustDomain = "cluster.local"
	// TokenAudience is the audience of the projected service account token
	// by which a sidecar proves who it is.
	TokenAudience = "heddle"
	// OperatorTokenFile holds a token of the operator's for that audience, by
	// which its replicas know each other.
	OperatorTokenFile = "/var/run/secrets/heddle.dev/token"
)

// Labels and annotations that users or the webhook set.
const (
	// LabelInject opts a namespace or pod in or out; the pod's value wins.
	LabelInject = "heddle.dev/inject"
	// InjectEnabled and InjectDisabled are the values of LabelInject.
	InjectEnabled  = "enabled"
	InjectDisabled = "disabled"
	// LabelAccess on a namespace overrides MeshConfig's access default there;
	// its values are those of AccessMode.
	LabelAccess = "heddle.dev/access"
	// LabelMTLS on a namespace overrides MeshConfig's mTLS mode there; its
	// values are those of MTLSMode.
	LabelMTLS = "heddle.dev/mtls"
	// AnnotationExcludeInboundPorts on a pod lists ports that callers reach
	// directly, without mTLS or policy: "9090,9091".
	AnnotationExcludeInboundPorts = "heddle.dev/exclude-inbound-ports"
	// AnnotationExcludeOutboundPorts on a pod lists destination ports that the
	// app reaches past its sidecar: "25". Injection adds those of the MeshConfig.
	AnnotationExcludeOutboundPorts = "heddle.dev/exclude-outbound-ports"
	// AnnotationExcludeOutboundPrefixes on a pod lists IPv4 prefixes that the
	// app reaches past its sidecar: "10.1.0.0/16,192.0.2.7". Injection adds
	// those of the MeshConfig.
	AnnotationExcludeOutboundPrefixes = "heddle.dev/exclude-outbound-prefixes"
	// AnnotationRequest on a Canary asks for something once:
	// "VERB[@REVISION] [anything]". Any other value is another request.
	AnnotationRequest = "heddle.dev/request"
	// AnnotationCohort on a TrafficSplit says what tells callers' users apart:
	// "header:NAME" or "cookie:NAME". Requests with the same value go the same way
	// while weights stay, and move only as far as weights do; requests without one
	// are shared as ever. Connections have neither.
	AnnotationCohort = "heddle.dev/cohort"
	// AnnotationInjected marks a pod that the webhook has changed.
	AnnotationInjected = "heddle.dev/injected"
)

// Containers and volumes that the webhook adds to a pod.
const (
	// ContainerInit prepares a pod's network rules, key and bootstrap.
	ContainerInit = "heddle-init"
	// ContainerProxy is the stock Envoy, a native sidecar.
	ContainerProxy = "heddle-proxy"
	// VolumeState is the memory-backed volume shared by the two.
	VolumeState = "heddle-state"
	// VolumeIdentity carries the projected token and the CA bundle.
	VolumeIdentity = "heddle-identity"
	// StateDir is where VolumeState is mounted.
	StateDir = "/var/lib/heddle"
	// IdentityDir is where VolumeIdentity is mounted.
	IdentityDir = "/var/run/secrets/heddle"
	// KeyFile holds the private key that never leaves the pod.
	KeyFile = StateDir + "/key.pem"
	// AdminSocket is Envoy's admin interface; only the proxy's container and
	// heddle-init mount the directory it lives in.
	AdminSocket = StateDir + "/admin.sock"
	// CAConfigMap is kept by the operator in every meshed namespace.
	CAConfigMap = "heddle-ca"
	// CAKey is the key of the PEM bundle in CAConfigMap.
	CAKey = "ca.crt"
	// ProxyUID is the user and group the proxy runs as.
	ProxyUID = 1337
)

// Ports in a meshed pod.
const (
	// PortOutbound receives redirected connections that the app opens.
	PortOutbound = 15001
	// PortInbound receives redirected connections to the pod.
	PortInbound = 15006
	// PortStats serves GET StatsPath and nothing else.
	PortStats = 15020
	// PortHealth serves GET /ready and GET /probe/tcp/<port>.
	PortHealth = 15021
	// PortReady is the mutual TLS listener on 127.0.0.1 that /ready checks:
	// it only answers when key, certificate and roots are in place.
	PortReady = 15022
)

// Ports of the operator.
const (
	// PortXDS serves the aggregated discovery service over TLS.
	PortXDS = 15012
	// PortWebhook serves the admission webhooks.
	PortWebhook = 9443
	// PortMetrics serves the operator's own Prometheus metrics.
	PortMetrics = 8080
	// PortProbes serves /healthz and /readyz.
	PortProbes = 8081
)

// StatsPath is where a sidecar's metrics are, in Prometheus' text format.
const StatsPath = "/stats/prometheus"

// TCPProbePath is the prefix on PortHealth under which a tcpSocket probe of
// the app is answered; the app's port follows it.
const TCPProbePath = "/probe/tcp/"
