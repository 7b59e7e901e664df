package differential_test

import (
	"fmt"

	"github.com/heddle-mesh/heddle/operator/explain"
)

// The corpus is every target with every method and every set of headers. The
// numbers are those of the catalogue of attacks in docs.

// prefixes are ways to begin the path of something that is not admitted (1).
var prefixes = []string{"/", "//", "///", "/./", "/.//", "/x/../", "/public/../", "/%2F", "/%2f", "/%5C", "/%5c", `/\`, `\`, "/%2e/", "/;/", "/%3b/", "/%09/", "/%20/", "/.%2f", "/public%2F..%2F"}

// ups are ways to leave an admitted folder (6).
var ups = []string{
	"../", "..//", "./../", ".//../", "%2e%2e/", "%2E%2E/", ".%2e/", "%2e./", `..\`, `%2e%2e\`, "..;/", "..;a=b/", ";/../", ";a=b/../", "%2e%2e;/", ".%2e;a=b/", "..%3b/", `..;\`, `x\..;/`,
	"..%2f", "..%2F", "%2e%2e%2f", "..%5c", "..%5C", "%2e%2e%5c",
	"%252e%252e/", "%252E%252E/", "..%252f", "..%252F", "%252e%252e%252f", "..%255c", ".%252e/", "%25252e%25252e/",
	"%25%32%65%25%32%65/", "%25%32%45%25%32%45/", "..%25%32%66", "..%25%35%63", "%252%65%252%65/", "%25%32e%25%32e/", "%2%65%2%65/", "%%32e%%32e/", "%%32%65%%32%65/", "..%2%66", "..%%32f", "..%5%63", "..%%35c",
	"%c0%ae%c0%ae/", "..%c0%af", "..%c1%9c", "%e0%80%ae%e0%80%ae/", "%ef%bc%8e%ef%bc%8e/", "..%ef%bc%8f", "%u002e%u002e/", "..%u2215",
	"..%00/", "%00/../", "..%0a/", "..%0d/", "..%0d%0a/", "..%09/", "..%20/", "%20../", "..%3f/", "..%23/", "..%ff/", "%ff/../", "..%7f/", ".../", "..../", "%2e%2e%2e/",
	"x/../../", "x/%2e%2e/%2e%2e/", "x//../..//", "./.././", "%2e/%2e%2e/", "../public/../", "../../../../",
}

// suffixes are ways to end a path (2, 3).
var suffixes = []string{"", "/", "/.", "/..", "//", "?x", "?/public/x", "?a=/../b", "#x", "#/public/x", "%23x", "%23/public/x", "%3fx", "%3f/public/x", ";a=b", "%00", "%00/public/x", "%20", "%2e", ".", "~", "%7e", "%0a", "/public/../", "?%2f", "?..%252f", "?#", "*", "+", "%2b", "%25"}

// targets composes them, and tries every byte as an escape.
func targets() []string {
	out := []string{"/", "/public", "/Public/x", "/PUBLIC/x", "/public/x", "/items/abc", "/items/%61bc", "/items/a%62c", "/items/ABC", "/team", "/team/a", "/Admin", "/x/open", "/%61dmin/open", "/admin/open", "/bdmin/open", "//admin/open", "/%2561dmin/open", "/%41dmin/open", "//", "///", "/%252e", "/100%25", "/50%25%20off"}
	for _, p := range prefixes {
		out = append(out, p+"admin", p+"public/x", p+"team", p+"items/abc")
	}
	for _, up := range ups {
		out = append(out, "/public/"+up+"admin", "/items/"+up+"admin", "/x/"+up+"public/y")
	}
	for _, s := range suffixes {
		out = append(out, "/admin"+s, "/public/x"+s, "/team"+s, "/items/abc"+s)
	}
	for c := range 256 {
		out = append(out, fmt.Sprintf("/public/%%%02x/x", c), fmt.Sprintf("/%%%02xpublic/x", c), fmt.Sprintf("/items/a%%%02X", c))
	}
	return out
}

// methods include one in lower case and one that is nobody's (10).
var methods = []string{"GET", "POST", "DELETE", "HEAD", "get", "BREW"}

// headerSets are ways to have a role that one has not (7), to speak for the
// mesh (8), to write a name differently (9) and to override a method (10).
var headerSets = [][]explain.Header{
	nil,
	{{Name: "x-role", Value: "admin"}},
	{{Name: "x-role", Value: "user"}, {Name: "x-role", Value: "admin"}},
	{{Name: "x-role", Value: "admin"}, {Name: "x-role", Value: "admin"}},
	{{Name: "x-role", Value: "user,admin"}},
	{{Name: "x-role", Value: "Admin"}},
	{{Name: "x-role", Value: ""}},
	{{Name: "x_role", Value: "admin"}},
	{{Name: "x-envoy-original-path", Value: "/public/x"}, {Name: "x-heddle-path", Value: "/public/x"}, {Name: "x-original-url", Value: "/public/x"}, {Name: "x-rewrite-url", Value: "/public/x"}},
	{{Name: "x-forwarded-client-cert", Value: "URI=spiffe://cluster.local/ns/ops/sa/admin"}, {Name: "x-envoy-internal", Value: "true"}, {Name: "x-heddle-dst", Value: "10.96.0.1:80"}, {Name: "x-heddle-cluster", Value: "inbound"}},
	{{Name: "x-http-method-override", Value: "GET"}, {Name: "x-method-override", Value: "GET"}},
}

// hosts are ways to write who is meant (4, 5).
var hosts = []string{"cart", "CART.Shop", "cart.shop:80", "cart.shop.svc.cluster.local.:9091", "evil.example", "10.96.0.1", "[::1]:80"}
