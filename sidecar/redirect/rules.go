package redirect

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// PassSource is the source address of connections that the inbound listener
// forwards to the app.
var PassSource = netip.AddrFrom4([4]byte{127, 0, 0, 6})

var loopback = netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, 0, 0}), 8)

// Config says what is redirected where.
type Config struct {
	// OutboundPort and InboundPort are the sidecar's listeners.
	OutboundPort uint16
	InboundPort  uint16
	// OpenPorts are the sidecar's ports that others reach directly.
	OpenPorts []uint16
	// ProxyUID is the user whose connections aren't redirected.
	ProxyUID uint32
	// ExcludeInboundPorts, ExcludeOutboundPorts and ExcludeOutboundPrefixes
	// bypass the sidecar.
	ExcludeInboundPorts     []uint16
	ExcludeOutboundPorts    []uint16
	ExcludeOutboundPrefixes []netip.Prefix
}

// Check reports what makes c unusable.
func (c Config) Check() error {
	switch {
	case c.OutboundPort == 0 || c.InboundPort == 0:
		return errors.New("outbound and inbound port must be set")
	case c.OutboundPort == c.InboundPort:
		return fmt.Errorf("outbound and inbound port are both %d", c.InboundPort)
	case c.ProxyUID == 0:
		return errors.New("the proxy can't be user 0: every root process would bypass it")
	}
	for _, p := range slices.Concat(c.OpenPorts, c.ExcludeInboundPorts) {
		if p == c.OutboundPort || p == c.InboundPort || p == 0 {
			return fmt.Errorf("port %d can't be reached directly", p)
		}
	}
	if slices.Contains(c.ExcludeOutboundPorts, 0) {
		return errors.New("0 is not a port")
	}
	for _, p := range c.ExcludeOutboundPrefixes {
		if !p.IsValid() || !p.Addr().Is4() {
			return fmt.Errorf("%v is not an IPv4 prefix", p)
		}
	}
	return nil
}

// Rules returns the table for c. It is a pure function: equal configurations,
// whatever the order of their lists, give equal rulesets.
func Rules(c Config) (Ruleset, error) {
	if err := c.Check(); err != nil {
		return Ruleset{}, fmt.Errorf("redirection: %w", err)
	}
	direct := sorted(slices.Concat(c.OpenPorts, c.ExcludeInboundPorts))
	return Ruleset{Table: TableName, Chains: []Chain{
		{Name: "guard-inbound", Kind: Filter, Hook: Prerouting, Priority: beforeNAT, Rules: guardInbound(c)},
		{Name: "guard-outbound", Kind: Filter, Hook: Output, Priority: beforeNAT, Rules: guardOutbound(c)},
		{Name: "refuse-inbound", Kind: Filter, Hook: Input, Priority: afterNAT, Rules: []Rule{
			{Note: "IPv6 fails closed", Match: []Match{IPv6{}, TCP{}, InterfaceIn{Name: lo, Not: true}}, Verdict: Reset{}},
		}},
		{Name: "inbound", Kind: NAT, Hook: Prerouting, Priority: atNAT, Rules: inbound(c, direct)},
		{Name: "outbound", Kind: NAT, Hook: Output, Priority: atNAT, Rules: outbound(c, direct)},
	}}, nil
}

// guardInbound drops what dials the redirection ports from elsewhere: as
// their original destination it would name the proxy itself.
func guardInbound(c Config) []Rule {
	var rules []Rule
	for _, port := range sorted([]uint16{c.OutboundPort, c.InboundPort}) {
		rules = append(rules, Rule{
			Note:    "never dialled directly",
			Match:   []Match{InterfaceIn{Name: lo, Not: true}, PortTo{port}},
			Verdict: Drop{},
		})
	}
	return rules
}

// guardOutbound keeps the proxy from dialling its own redirection ports, and
// refuses IPv6.
func guardOutbound(c Config) []Rule {
	var rules []Rule
	for _, port := range sorted([]uint16{c.OutboundPort, c.InboundPort}) {
		rules = append(rules, Rule{
			Note:    "the proxy never calls itself",
			Match:   []Match{IPv4{}, User{c.ProxyUID}, InterfaceOut{Name: lo}, PortTo{port}},
			Verdict: Reset{},
		})
	}
	return append(rules, Rule{
		Note:    "IPv6 fails closed",
		Match:   []Match{IPv6{}, NotReset{}, InterfaceOut{Name: lo, Not: true}},
		Verdict: Reset{},
	})
}

func inbound(c Config, direct []uint16) []Rule {
	rules := []Rule{{Note: "within the pod", Match: []Match{InterfaceIn{Name: lo}}, Verdict: Return{}}}
	for _, port := range direct {
		rules = append(rules, Rule{Note: "reached directly", Match: []Match{IPv4{}, PortTo{port}}, Verdict: Return{}})
	}
	return append(rules, Rule{Note: "to the sidecar", Match: []Match{IPv4{}, TCP{}}, Verdict: Redirect{c.InboundPort}})
}

func outbound(c Config, direct []uint16) []Rule {
	own := []Match{IPv4{}, User{c.ProxyUID}, InterfaceOut{Name: lo}, AddressTo{Prefix: loopback, Not: true}}
	rules := []Rule{
		{
			Note:    "forwarded by the inbound listener",
			Match:   []Match{IPv4{}, InterfaceOut{Name: lo}, AddressFrom{netip.PrefixFrom(PassSource, PassSource.BitLen())}},
			Verdict: Return{},
		},
	}
	for _, port := range direct {
		rules = append(rules, Rule{Note: "reached directly", Match: append(slices.Clone(own), PortTo{port}), Verdict: Return{}})
	}
	rules = append(
		rules,
		Rule{Note: "the proxy calls its own pod", Match: append(slices.Clone(own), TCP{}), Verdict: Redirect{c.InboundPort}},
		Rule{Note: "the proxy", Match: []Match{User{c.ProxyUID}}, Verdict: Return{}},
		Rule{Note: "within the pod", Match: []Match{InterfaceOut{Name: lo}}, Verdict: Return{}},
		Rule{Note: "loopback addresses", Match: []Match{IPv4{}, AddressTo{Prefix: loopback}}, Verdict: Return{}},
	)
	for _, prefix := range sortedPrefixes(c.ExcludeOutboundPrefixes) {
		rules = append(rules, Rule{Note: "excluded", Match: []Match{IPv4{}, AddressTo{Prefix: prefix}}, Verdict: Return{}})
	}
	for _, port := range sorted(c.ExcludeOutboundPorts) {
		rules = append(rules, Rule{Note: "excluded", Match: []Match{IPv4{}, PortTo{port}}, Verdict: Return{}})
	}
	return append(rules, Rule{Note: "to the sidecar", Match: []Match{IPv4{}, TCP{}}, Verdict: Redirect{c.OutboundPort}})
}

func sorted(ports []uint16) []uint16 {
	out := slices.Clone(ports)
	slices.Sort(out)
	return slices.Compact(out)
}

func sortedPrefixes(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		out = append(out, p.Masked())
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	return slices.Compact(out)
}
