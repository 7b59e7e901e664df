//go:build linux

package redirect

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Apply replaces the table in the current network namespace by rules, in one
// transaction: there is no moment without rules, and a failure leaves what
// was there before. Applying the same rules again changes nothing that can be
// seen. It needs CAP_NET_ADMIN.
func Apply(rules Ruleset) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	table := &nftables.Table{Name: rules.Table, Family: nftables.TableFamilyINet}
	conn.AddTable(table) // so that there is one to delete
	conn.DelTable(table)
	conn.AddTable(table)
	for _, c := range rules.Chains {
		chain, err := chainOf(table, c)
		if err != nil {
			return err
		}
		conn.AddChain(chain)
		for _, r := range c.Rules {
			exprs, err := expressions(r)
			if err != nil {
				return fmt.Errorf("chain %s: %w", c.Name, err)
			}
			conn.AddRule(&nftables.Rule{
				Table:    table,
				Chain:    chain,
				Exprs:    exprs,
				UserData: userdata.AppendString(nil, userdata.TypeComment, r.Note),
			})
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("apply nftables table %s: %w", rules.Table, err)
	}
	return nil
}

func chainOf(table *nftables.Table, c Chain) (*nftables.Chain, error) {
	kinds := map[Kind]nftables.ChainType{NAT: nftables.ChainTypeNAT, Filter: nftables.ChainTypeFilter}
	hooks := map[Hook]*nftables.ChainHook{
		Prerouting: nftables.ChainHookPrerouting,
		Input:      nftables.ChainHookInput,
		Output:     nftables.ChainHookOutput,
	}
	kind, ok := kinds[c.Kind]
	if !ok {
		return nil, fmt.Errorf("chain %s: kind %q is unknown", c.Name, c.Kind)
	}
	hook, ok := hooks[c.Hook]
	if !ok {
		return nil, fmt.Errorf("chain %s: hook %q is unknown", c.Name, c.Hook)
	}
	accept := nftables.ChainPolicyAccept
	return &nftables.Chain{
		Name:     c.Name,
		Table:    table,
		Type:     kind,
		Hooknum:  hook,
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(c.Priority)),
		Policy:   &accept,
	}, nil
}

// expressions compiles a rule for the kernel's virtual machine. Register 1
// holds what is looked at.
func expressions(r Rule) ([]expr.Any, error) {
	var out []expr.Any
	for _, m := range r.Match {
		e, err := matchExpressions(m)
		if err != nil {
			return nil, err
		}
		out = append(out, e...)
	}
	switch v := r.Verdict.(type) {
	case Return:
		return append(out, &expr.Verdict{Kind: expr.VerdictReturn}), nil
	case Drop:
		return append(out, &expr.Verdict{Kind: expr.VerdictDrop}), nil
	case Reset:
		return append(out, &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}), nil
	case Redirect:
		return append(out,
			&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(v.Port)},
			&expr.Redir{RegisterProtoMin: 1},
		), nil
	}
	return nil, fmt.Errorf("verdict %T is unknown", r.Verdict)
}

func matchExpressions(m Match) ([]expr.Any, error) {
	switch m := m.(type) {
	case IPv4:
		return meta(expr.MetaKeyNFPROTO, false, []byte{unix.NFPROTO_IPV4}), nil
	case IPv6:
		return meta(expr.MetaKeyNFPROTO, false, []byte{unix.NFPROTO_IPV6}), nil
	case TCP:
		return meta(expr.MetaKeyL4PROTO, false, []byte{unix.IPPROTO_TCP}), nil
	case PortTo:
		return append(
			meta(expr.MetaKeyL4PROTO, false, []byte{unix.IPPROTO_TCP}),
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(m.Port)},
		), nil
	case NotReset:
		const rst = 0x04
		return append(
			meta(expr.MetaKeyL4PROTO, false, []byte{unix.IPPROTO_TCP}),
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{rst}, Xor: []byte{0}},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0}},
		), nil
	case User:
		return meta(expr.MetaKeySKUID, false, binary.NativeEndian.AppendUint32(nil, m.UID)), nil
	case InterfaceIn:
		return meta(expr.MetaKeyIIFNAME, m.Not, interfaceName(m.Name)), nil
	case InterfaceOut:
		return meta(expr.MetaKeyOIFNAME, m.Not, interfaceName(m.Name)), nil
	case AddressFrom:
		return address(12, m.Prefix.Bits(), false, m.Prefix.Masked().Addr().AsSlice()), nil
	case AddressTo:
		return address(16, m.Prefix.Bits(), m.Not, m.Prefix.Masked().Addr().AsSlice()), nil
	}
	return nil, fmt.Errorf("match %T is unknown", m)
}

func meta(key expr.MetaKey, not bool, data []byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: op(not), Register: 1, Data: data},
	}
}

// address compares bits of the IPv4 header's field at offset.
func address(offset uint32, bits int, not bool, want []byte) []expr.Any {
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-bits))
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: op(not), Register: 1, Data: want},
	}
}

func op(not bool) expr.CmpOp {
	if not {
		return expr.CmpOpNeq
	}
	return expr.CmpOpEq
}

// interfaceName is padded as the kernel compares it.
func interfaceName(name string) []byte {
	out := make([]byte, unix.IFNAMSIZ)
	copy(out, name)
	return out
}
