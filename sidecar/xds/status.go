package xds

import "time"

// ProxyStatus is what the server knows about one connected proxy. It is the
// JSON that the operator's debug endpoint (/debug/proxies on the loopback
// interface) returns in a ProxyList and that `heddle proxy status` prints.
type ProxyStatus struct {
	Namespace      string `json:"namespace"`
	Pod            string `json:"pod"`
	PodUID         string `json:"podUID"`
	ServiceAccount string `json:"serviceAccount"`
	// Version is that of the heddle-init that prepared the pod.
	Version string `json:"version,omitempty"`
	// ConnectedAt is when the stream was opened.
	ConnectedAt time.Time `json:"connectedAt"`
	// CertificateExpires is the end of the identity last sent, zero before.
	CertificateExpires time.Time `json:"certificateExpires,omitzero"`
	// Synced is true when everything sent has been acknowledged and nothing
	// waits.
	Synced bool         `json:"synced"`
	Types  []TypeStatus `json:"types"`
	// Rejected lists the resources this proxy refused; it keeps serving the
	// version before.
	Rejected []Rejection `json:"rejected,omitempty"`
}

// TypeStatus counts one resource type of one proxy.
type TypeStatus struct {
	// Type is the short name: CDS, EDS, LDS, RDS, VHDS, SDS.
	Type string `json:"type"`
	// Sent is the number of resources the proxy holds or has been sent.
	Sent int `json:"sent"`
	// Acked is of how many of them it has acknowledged the version last sent.
	Acked int `json:"acked"`
	// Pending is the number of names queued to be sent.
	Pending int `json:"pending"`
}

// Rejection is one resource that a proxy refused.
type Rejection struct {
	Type    string    `json:"type"`
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Origin  string    `json:"origin,omitempty"`
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
}

// ProxyList is the body of /debug/proxies.
type ProxyList struct {
	// Operator is the name of the replica that answers.
	Operator string        `json:"operator"`
	Proxies  []ProxyStatus `json:"proxies"`
}
