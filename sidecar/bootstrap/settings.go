package bootstrap

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// EnvSettings is the environment variable in which the webhook hands Settings
// to heddle-init as JSON.
const EnvSettings = "HEDDLE_SETTINGS"

// Settings is what the webhook knows about a pod when it is created and
// heddle-init needs when it runs. Everything else heddle-init takes from the
// downward API. Equal settings have equal JSON.
type Settings struct {
	// XDSAddress is host:port of the operator.
	XDSAddress string `json:"xdsAddress"`
	// XDSServerName is the DNS name that the operator's certificate must
	// carry.
	XDSServerName string `json:"xdsServerName"`
	// TrustDomain is used only for the hint in the certificate request.
	TrustDomain string `json:"trustDomain"`
	// TCPProbePorts are the pod ports whose tcpSocket probes the sidecar
	// answers, ascending.
	TCPProbePorts []uint16 `json:"tcpProbePorts,omitempty"`
	// MemoryLimitBytes is the limit of the proxy's container, 0 for none.
	MemoryLimitBytes int64 `json:"memoryLimitBytes,omitempty"`
	// Exclude lists what isn't redirected.
	Exclude Exclusions `json:"exclude,omitzero"`
}

// Exclusions is traffic that bypasses the sidecar, on purpose and unpoliced.
type Exclusions struct {
	InboundPorts     []uint16       `json:"inboundPorts,omitempty"`
	OutboundPorts    []uint16       `json:"outboundPorts,omitempty"`
	OutboundPrefixes []netip.Prefix `json:"outboundPrefixes,omitempty"`
}

// Encode returns the JSON that DecodeSettings reads.
func (s Settings) Encode() (string, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encode settings: %w", err)
	}
	return string(raw), nil
}

// DecodeSettings reads and checks what Encode wrote. The error names the
// field that can't be used.
func DecodeSettings(raw string) (Settings, error) {
	var s Settings
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		return Settings{}, fmt.Errorf("decode settings: %w", err)
	}
	if err := s.check(); err != nil {
		return Settings{}, fmt.Errorf("settings: %w", err)
	}
	return s, nil
}

func (s Settings) check() error {
	if _, _, err := SplitAddress(s.XDSAddress); err != nil {
		return fmt.Errorf("xdsAddress: %w", err)
	}
	if s.XDSServerName == "" {
		return errors.New("xdsServerName is empty")
	}
	if s.TrustDomain == "" {
		return errors.New("trustDomain is empty")
	}
	if slices.Contains(s.TCPProbePorts, 0) {
		return errors.New("tcpProbePorts: 0 is not a port")
	}
	return nil
}

// SplitAddress splits host:port and checks both.
func SplitAddress(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port: %w", address, err)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q has no usable port", address)
	}
	if host == "" {
		return "", 0, fmt.Errorf("%q has no host", address)
	}
	return host, uint16(n), nil
}
