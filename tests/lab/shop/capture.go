package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// heard is what passed the interface to and from one peer.
type heard struct {
	// TLSBytes and PlainBytes are TCP payload, of connections that begin with
	// a TLS record in that direction and of those that do not.
	TLSBytes   int `json:"tlsBytes"`
	PlainBytes int `json:"plainBytes"`
}

// report is printed every second; it only grows.
type report struct {
	Peers map[string]*heard `json:"peers"`
	// Dropped is how many frames the kernel had no room to hand over.
	Dropped int `json:"dropped"`
}

// capture listens on an interface, as somebody on the wire would, and tells
// how much of what it hears is TLS. It needs NET_RAW.
func capture(args []string) error {
	flags := flag.NewFlagSet("capture", flag.ContinueOnError)
	name := flags.String("i", "eth0", "interface")
	if err := flags.Parse(args); err != nil {
		return err
	}
	link, err := net.InterfaceByName(*name)
	if err != nil {
		return err
	}
	socket, err := listen(link.Index)
	if err != nil {
		return fmt.Errorf("listen on %s (is NET_RAW granted?): %w", *name, err)
	}
	defer func() { _ = unix.Close(socket) }()
	t := newTap()
	frame := make([]byte, 1<<16)
	for next := time.Now(); ; {
		n, _, err := unix.Recvfrom(socket, frame, 0)
		switch err {
		case nil:
			t.frame(frame[:n])
		case unix.EAGAIN, unix.EINTR: // nothing came for a while
		default:
			return err
		}
		if now := time.Now(); now.After(next) {
			next = now.Add(time.Second)
			if err := t.print(socket); err != nil {
				return err
			}
		}
	}
}

// listen opens a socket that hears both directions and wakes at least twice a
// second.
func listen(link int) (int, error) {
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in the network's byte order
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
	if err != nil {
		return 0, err
	}
	for _, set := range []error{
		unix.Bind(socket, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link}),
		unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20),
		unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 500_000}),
	} {
		if set != nil {
			_ = unix.Close(socket)
			return 0, set
		}
	}
	return socket, nil
}

// direction is one way of one connection.
type direction struct{ from, to netip.AddrPort }

type tap struct {
	// tls is whether a direction's first payload was a TLS record.
	tls    map[direction]bool
	report report
}

func newTap() *tap {
	return &tap{tls: map[direction]bool{}, report: report{Peers: map[string]*heard{}}}
}

func (t *tap) print(socket int) error {
	// Reading the statistics resets them.
	if s, err := unix.GetsockoptTpacketStats(socket, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		t.report.Dropped += int(s.Drops)
	}
	return json.NewEncoder(os.Stdout).Encode(t.report)
}

// frame books the payload of an Ethernet frame under both its ends: one of
// them is the peer. What is not TCP over IPv4 or IPv6 carries no payload of
// the apps'.
func (t *tap) frame(frame []byte) {
	d, payload, ok := segment(frame)
	if !ok || len(payload) == 0 {
		return
	}
	tls, seen := t.tls[d]
	if !seen {
		tls = record(payload)
		t.tls[d] = tls
	}
	for _, end := range []netip.Addr{d.from.Addr(), d.to.Addr()} {
		h := t.report.Peers[end.String()]
		if h == nil {
			h = &heard{}
			t.report.Peers[end.String()] = h
		}
		if tls {
			h.TLSBytes += len(payload)
		} else {
			h.PlainBytes += len(payload)
		}
	}
}

// record is whether bytes begin as a TLS record does (RFC 8446, 5.1): a type
// from change_cipher_spec to application_data, then version 3.x.
func record(b []byte) bool { return len(b) >= 3 && b[0] >= 20 && b[0] <= 23 && b[1] == 3 && b[2] <= 4 }

// segment takes a frame apart.
func segment(frame []byte) (d direction, payload []byte, ok bool) {
	if len(frame) < 14 {
		return d, nil, false
	}
	var source, destination netip.Addr
	packet := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		if len(packet) < 20 || packet[9] != unix.IPPROTO_TCP {
			return d, nil, false
		}
		header, total := int(packet[0]&15)*4, int(binary.BigEndian.Uint16(packet[2:]))
		if header < 20 || total < header || total > len(packet) {
			return d, nil, false
		}
		source, destination = netip.AddrFrom4([4]byte(packet[12:16])), netip.AddrFrom4([4]byte(packet[16:20]))
		packet = packet[header:total]
	case unix.ETH_P_IPV6:
		if len(packet) < 40 || packet[6] != unix.IPPROTO_TCP {
			return d, nil, false
		}
		total := 40 + int(binary.BigEndian.Uint16(packet[4:]))
		if total > len(packet) {
			return d, nil, false
		}
		source, destination = netip.AddrFrom16([16]byte(packet[8:24])), netip.AddrFrom16([16]byte(packet[24:40]))
		packet = packet[40:total]
	default:
		return d, nil, false
	}
	if len(packet) < 20 {
		return d, nil, false
	}
	header := int(packet[12]>>4) * 4
	if header < 20 || header > len(packet) {
		return d, nil, false
	}
	d = direction{
		from: netip.AddrPortFrom(source, binary.BigEndian.Uint16(packet)),
		to:   netip.AddrPortFrom(destination, binary.BigEndian.Uint16(packet[2:])),
	}
	return d, packet[header:], true
}
