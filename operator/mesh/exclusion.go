package mesh

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// Exclusion are destinations that are reached past a sidecar.
type Exclusion struct {
	// Ports are ordered, Prefixes masked.
	Ports    []uint16
	Prefixes []netip.Prefix
}

// Covers returns what excludes the destination, a port or a prefix; "" if
// nothing does.
func (x Exclusion) Covers(dst netip.AddrPort) string {
	for _, prefix := range x.Prefixes {
		if prefix.Contains(dst.Addr()) {
			return prefix.String()
		}
	}
	if slices.Contains(x.Ports, dst.Port()) {
		return "port " + strconv.Itoa(int(dst.Port()))
	}
	return ""
}

// Covered are addresses of Services within excluded prefixes, ordered.
type Covered []CoveredAddress

// CoveredAddress is an address of a Service, and the first prefix that it is in.
type CoveredAddress struct {
	Address netip.Addr
	Prefix  netip.Prefix
	Service ServiceKey
}

// Covered returns the addresses of Services that the prefixes cover. That of the
// API server is left out: nobody calls it through the mesh.
func (s *Snapshot) Covered(prefixes []netip.Prefix) Covered {
	if len(prefixes) == 0 {
		return nil
	}
	var out Covered
	for key, service := range s.Services.All() {
		if key == (ServiceKey{"default", "kubernetes"}) {
			continue
		}
		for _, addr := range service.Addresses {
			if i := slices.IndexFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) }); i >= 0 {
				out = append(out, CoveredAddress{addr, prefixes[i], key})
			}
		}
	}
	slices.SortFunc(out, func(x, y CoveredAddress) int {
		return cmp.Or(x.Address.Compare(y.Address), x.Service.Compare(y.Service))
	})
	return out
}

// String says what is wrong with that; "" of nothing.
func (c Covered) String() string {
	if len(c) == 0 {
		return ""
	}
	return fmt.Sprintf("%s excludes the service range: it covers Service %s at %s%s, and calls to them pass no sidecar of the caller: "+
		"no mutual TLS, no identity, no shares; exclude only what is no Service of the mesh",
		c[0].Prefix, c[0].Service, c[0].Address, more(len(c)-1))
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}
