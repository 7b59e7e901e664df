package envoy

import (
	"net/netip"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
)

func outboundGoldens() map[string]golden {
	plain := OutboundListener(OutboundPorts{})
	one := OutboundListener(OutboundPorts{TCP: []uint16{5432}})
	mixed := OutboundListener(OutboundPorts{TCP: []uint16{443, 5432}, HTTP: []netip.AddrPort{
		netip.MustParseAddrPort("10.96.0.9:443"), netip.MustParseAddrPort("[fd00:96::9]:443"),
	}})
	return map[string]golden{
		"listener-outbound":               {resource: plain, part: outline(plain)},
		"listener-outbound-tcp-port":      {resource: one, part: outline(one)},
		"listener-outbound-http-on-a-tcp": {resource: mixed, part: outline(mixed)},
		"http-outbound":                   {resource: plain, part: httpOf(plain, "http")},
	}
}

// outline is the listener without what is inside of TLS and of HTTP.
func outline(l *listenerv3.Listener) *listenerv3.Listener {
	out, _ := proto.Clone(l).(*listenerv3.Listener)
	for _, chain := range out.GetFilterChains() {
		if chain.GetTransportSocket() != nil {
			chain.TransportSocket.ConfigType = nil
		}
		for _, filter := range chain.GetFilters() {
			if filter.GetTypedConfig().MessageIs(&hcmv3.HttpConnectionManager{}) {
				filter.ConfigType = nil
			}
		}
	}
	return out
}

// chainOf panics if there is no chain of that name.
func chainOf(l *listenerv3.Listener, chain string) *listenerv3.FilterChain {
	for _, c := range l.GetFilterChains() {
		if c.GetName() == chain {
			return c
		}
	}
	panic("no filter chain " + chain)
}

func httpOf(l *listenerv3.Listener, chain string) *hcmv3.HttpConnectionManager {
	hcm := &hcmv3.HttpConnectionManager{}
	if err := chainOf(l, chain).GetFilters()[0].GetTypedConfig().UnmarshalTo(hcm); err != nil {
		panic(err)
	}
	return hcm
}
