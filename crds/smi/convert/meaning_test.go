package convert

import (
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
)

// What follows says what an object of a version means, by the specification of
// that version and without the code that is tested.

// bodyOf returns the body of an object of any version.
func bodyOf(object map[string]any) (kind, version string, b body) {
	kind, _ = object["kind"].(string)
	_, version, _ = strings.Cut(object["apiVersion"].(string), "/")
	b, err := families[kind].kind.versions[version].layout.take(object)
	if err != nil {
		panic(err)
	}
	return kind, version, b
}

// shares tells what part of the requests each service gets: of those that the
// matches mean, or of the others. Nobody gets any where all weights are zero.
func shares(split map[string]any, matched bool) map[string]*big.Rat {
	_, _, b := bodyOf(split)
	out := map[string]*big.Rat{}
	root, _ := b["service"].(string)
	backends, _ := b["backends"].([]any)
	matches, _ := b["matches"].([]any)
	if len(backends) == 0 || len(matches) > 0 && !matched {
		return map[string]*big.Rat{root: big.NewRat(1, 1)}
	}
	sum := new(big.Rat)
	for _, backend := range backends {
		weight, service := exactly(fieldOf(backend, "weight")), fieldOf(backend, "service").(string)
		if out[service] == nil {
			out[service] = new(big.Rat)
		}
		out[service].Add(out[service], weight)
		sum.Add(sum, weight)
	}
	for service, weight := range out {
		if sum.Sign() > 0 {
			out[service] = new(big.Rat).Quo(weight, sum)
		}
	}
	return out
}

var unitOf = map[string]string{"n": "1/1000000000", "u": "1/1000000", "m": "1/1000", "k": "1000"}

func exactly(weight any) *big.Rat {
	out, unit := new(big.Rat), big.NewRat(1, 1)
	switch weight := weight.(type) {
	case int64:
		out.SetInt64(weight)
	case string:
		if factor, ok := unitOf[weight[len(weight)-1:]]; ok {
			unit.SetString(factor)
			weight = weight[:len(weight)-1]
		}
		out.SetString(weight)
	}
	return out.Mul(out, unit)
}

// call is a request, a connection or a datagram.
type call struct {
	source, protocol string
	port             int64
	// description is what of the HTTPRouteGroups it is: "one/m" is match m of
	// group one.
	description string
}

func everyCall() []call {
	var out []call
	for _, source := range []string{"a", "b", "c"} {
		for _, port := range []int64{80, 90, 100} {
			out = append(out, call{source, "tcp", port, ""}, call{source, "udp", port, ""})
			for _, description := range []string{"one/m", "one/n", "two/m", "two/n", "none/m"} {
				out = append(out, call{source, "http", port, description})
			}
		}
	}
	return out
}

// portsOf are the TCPRoutes and UDPRoutes that there are, in newest terms: one
// ends at port 80, two at every port.
var portsOf = map[string][]int64{"one": {80}, "two": {}}

// allows tells whether a TrafficTarget allows a call.
func allows(target map[string]any, c call) bool {
	_, version, b := bodyOf(target)
	sources, _ := b["sources"].([]any)
	if !slices.ContainsFunc(sources, func(s any) bool { return fieldOf(s, "name") == c.source && fieldOf(s, "port") == nil }) {
		return false
	}
	var groups, tcp, udp []any
	rules, _ := b["rules"].([]any)
	for _, rule := range rules {
		switch fieldOf(rule, "kind") {
		case "HTTPRouteGroup":
			groups = append(groups, rule)
		case "TCPRoute":
			tcp = append(tcp, rule)
		case "UDPRoute":
			udp = append(udp, rule)
		}
	}
	described := c.protocol == "http" && slices.ContainsFunc(groups, c.describedBy)
	if version != "v1alpha3" {
		port := fieldOf(b["destination"], "port")
		connects := c.protocol != "udp" && slices.ContainsFunc(tcp, func(rule any) bool {
			_, exists := portsOf[fieldOf(rule, "name").(string)]
			return exists
		})
		return (port == nil || port == c.port) && (described || connects)
	}
	if c.protocol == "udp" {
		return slices.ContainsFunc(udp, c.endsAt)
	}
	if len(groups)+len(tcp) == 0 {
		return false
	}
	return (len(groups) == 0 || described) && (len(tcp) == 0 || slices.ContainsFunc(tcp, c.endsAt))
}

func (c call) describedBy(rule any) bool {
	group, match, _ := strings.Cut(c.description, "/")
	if _, exists := portsOf[group]; !exists || fieldOf(rule, "name") != group {
		return false
	}
	picked, _ := fieldOf(rule, "matches").([]any)
	return len(picked) == 0 || slices.Contains(picked, any(match))
}

func (c call) endsAt(rule any) bool {
	name, limit, limited := strings.Cut(fieldOf(rule, "name").(string), ":")
	ports, exists := portsOf[name]
	if limited && limit != strconv.FormatInt(c.port, 10) || !exists && (name != "" || !limited) {
		return false
	}
	return len(ports) == 0 || slices.Contains(ports, c.port)
}

// request is one of those that an HTTPRouteGroup is asked about.
type request struct {
	path, method string
	headers      map[string]string
}

func everyRequest() []request {
	var out []request
	for _, path := range []string{"/", "/a", "/ab", ""} {
		for _, method := range []string{"GET", "POST", "PUT"} {
			for _, headers := range []map[string]string{nil, {"x": "1"}, {"x": "1", "y": "1"}} {
				out = append(out, request{path, method, headers})
			}
		}
	}
	return out
}

// describes tells whether a match of the name in an HTTPRouteGroup means the
// request.
func describes(group map[string]any, name string, r request) bool {
	_, _, b := bodyOf(group)
	matches, _ := b["matches"].([]any)
	return slices.ContainsFunc(matches, func(match any) bool {
		path, _ := fieldOf(match, "pathRegex").(string)
		methods, _ := fieldOf(match, "methods").([]any)
		return fieldOf(match, "name") == name &&
			(path == "" || regexp.MustCompile(`^(?:`+path+`)$`).MatchString(r.path)) &&
			(len(methods) == 0 || slices.Contains(methods, any("*")) || slices.Contains(methods, any(r.method))) &&
			r.has(fieldOf(match, "headers"))
	})
}

func (r request) has(headers any) bool {
	text, err := json.Marshal(headers)
	if err != nil {
		return false
	}
	var wanted specsv1alpha4.Headers
	if err := json.Unmarshal(text, &wanted); err != nil {
		return false
	}
	conditions, err := wanted.Conditions()
	return err == nil && !slices.ContainsFunc(conditions, func(c specsv1alpha4.HeaderCondition) bool {
		value, there := r.headers[c.Name]
		return !there || !regexp.MustCompile(`^(?:`+c.Regex+`)$`).MatchString(value)
	})
}
