package v1alpha3

import (
	"strconv"
	"strings"
)

// LimitToPort returns the name by which a rule refers to a TCPRoute on one port
// only; with an empty route it stands for that port by itself. No object can
// have such a name, so whoever doesn't know about it finds no route and allows
// nothing.
func LimitToPort(route string, port int) string { return route + ":" + strconv.Itoa(port) }

// PortLimit takes the name of a TCPRoute in a rule apart. A name without a
// limit is returned as it is. One that has a colon and isn't what LimitToPort
// makes is not ok: it refers to nothing.
func PortLimit(name string) (route string, port int, limited, ok bool) {
	route, text, limited := strings.Cut(name, ":")
	if !limited {
		return name, 0, false, true
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 || LimitToPort(route, port) != name {
		return "", 0, true, false
	}
	return route, port, true, true
}
