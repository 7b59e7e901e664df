package redirect

import (
	"fmt"
	"net/netip"
	"strings"
)

// TableName is the inet table that Apply owns. Nothing else may be in it.
const TableName = "heddle"

const lo = "lo"

// Priorities relative to destination NAT, which the kernel does at -100.
const (
	beforeNAT = -150
	atNAT     = -100
	afterNAT  = 0
)

// Ruleset is one nftables table of family inet.
type Ruleset struct {
	Table  string
	Chains []Chain
}

// Chain is a base chain whose policy is accept.
type Chain struct {
	Name     string
	Kind     Kind
	Hook     Hook
	Priority int
	Rules    []Rule
}

// Kind is a chain's type.
type Kind string

// Hook is where a chain is attached.
type Hook string

// The kinds and hooks that Rules uses.
const (
	NAT    Kind = "nat"
	Filter Kind = "filter"

	Prerouting Hook = "prerouting"
	Input      Hook = "input"
	Output     Hook = "output"
)

// Rule applies Verdict where every Match holds. Note is for people.
type Rule struct {
	Note    string
	Match   []Match
	Verdict Verdict
}

// Match is one condition. Its String is nft syntax.
type Match interface {
	fmt.Stringer
	match()
}

// The conditions. PortTo is about the TCP destination port and implies TCP.
// NotReset is a TCP segment other than a reset, so that resets by which
// another rule answers can leave. User is the user who owns the sending
// socket. The address conditions only make sense after IPv4.
type (
	IPv4        struct{}
	IPv6        struct{}
	TCP         struct{}
	NotReset    struct{}
	PortTo      struct{ Port uint16 }
	User        struct{ UID uint32 }
	AddressFrom struct{ Prefix netip.Prefix }
	InterfaceIn struct {
		Name string
		Not  bool
	}
	InterfaceOut struct {
		Name string
		Not  bool
	}
	AddressTo struct {
		Prefix netip.Prefix
		Not    bool
	}
)

func (IPv4) match()         {}
func (IPv6) match()         {}
func (TCP) match()          {}
func (NotReset) match()     {}
func (PortTo) match()       {}
func (User) match()         {}
func (AddressFrom) match()  {}
func (InterfaceIn) match()  {}
func (InterfaceOut) match() {}
func (AddressTo) match()    {}

func (IPv4) String() string           { return "meta nfproto ipv4" }
func (IPv6) String() string           { return "meta nfproto ipv6" }
func (TCP) String() string            { return "meta l4proto tcp" }
func (NotReset) String() string       { return "tcp flags & rst == 0" }
func (m PortTo) String() string       { return fmt.Sprintf("tcp dport %d", m.Port) }
func (m User) String() string         { return fmt.Sprintf("meta skuid %d", m.UID) }
func (m AddressFrom) String() string  { return "ip saddr " + m.Prefix.String() }
func (m InterfaceIn) String() string  { return fmt.Sprintf("iifname %s%q", not(m.Not), m.Name) }
func (m InterfaceOut) String() string { return fmt.Sprintf("oifname %s%q", not(m.Not), m.Name) }
func (m AddressTo) String() string    { return "ip daddr " + not(m.Not) + m.Prefix.String() }

func not(yes bool) string {
	if yes {
		return "!= "
	}
	return ""
}

// Verdict is what happens to a packet that matches. Its String is nft syntax.
type Verdict interface {
	fmt.Stringer
	verdict()
}

// The verdicts. Return leaves the chain, whose policy accepts; Reset answers
// a TCP segment with a reset.
type (
	Return   struct{}
	Drop     struct{}
	Reset    struct{}
	Redirect struct{ Port uint16 }
)

func (Return) verdict()   {}
func (Drop) verdict()     {}
func (Reset) verdict()    {}
func (Redirect) verdict() {}

func (Return) String() string     { return "return" }
func (Drop) String() string       { return "drop" }
func (Reset) String() string      { return "reject with tcp reset" }
func (v Redirect) String() string { return fmt.Sprintf("redirect to :%d", v.Port) }

// String is the ruleset as `nft -f` would read it.
func (r Ruleset) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", r.Table)
	for i, c := range r.Chains {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype %s hook %s priority %d; policy accept;\n", c.Name, c.Kind, c.Hook, c.Priority)
		for _, rule := range c.Rules {
			b.WriteString("\t\t")
			for _, m := range rule.Match {
				b.WriteString(m.String() + " ")
			}
			fmt.Fprintf(&b, "%s comment %q\n", rule.Verdict, rule.Note)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}
