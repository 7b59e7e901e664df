package main

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// frameOf builds an Ethernet frame of IPv4 and TCP.
func frameOf(from, to byte, payload string) []byte {
	tcp := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(tcp, 1000+uint16(from))
	binary.BigEndian.PutUint16(tcp[2:], 1000+uint16(to))
	tcp[12] = 5 << 4
	tcp = append(tcp, payload...)
	ip := make([]byte, 20, 20+len(tcp))
	ip[0], ip[9] = 4<<4|5, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(tcp)))
	copy(ip[12:], []byte{10, 0, 0, from})
	copy(ip[16:], []byte{10, 0, 0, to})
	ethernet := make([]byte, 14, 64+len(tcp))
	binary.BigEndian.PutUint16(ethernet[12:], unix.ETH_P_IP)
	return append(append(append(ethernet, ip...), tcp...), "padding"...)
}

func TestTapTellsTLSFromPlaintext(t *testing.T) {
	t.Parallel()
	tap := newTap()
	for _, f := range [][]byte{
		frameOf(1, 2, ""), frameOf(1, 2, "\x16\x03\x01hello"), frameOf(1, 2, "GET / inside a connection of TLS"),
		frameOf(1, 3, "GET /"), frameOf(1, 3, "\x16\x03\x01"), frameOf(4, 1, "\x17\x03\x03data"),
	} {
		tap.frame(f)
	}
	want := map[string]*heard{
		"10.0.0.1": {TLSBytes: 8 + 32 + 7, PlainBytes: 5 + 3},
		"10.0.0.2": {TLSBytes: 8 + 32}, "10.0.0.3": {PlainBytes: 8}, "10.0.0.4": {TLSBytes: 7},
	}
	if diff := cmp.Diff(want, tap.report.Peers); diff != "" {
		t.Error(diff)
	}
}

// FuzzSegment: no frame takes the tap down.
func FuzzSegment(f *testing.F) {
	f.Add(frameOf(1, 2, "hello"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if _, payload, ok := segment(frame); ok && len(payload) > len(frame)-54 {
			t.Errorf("a payload of %d bytes in a frame of %d", len(payload), len(frame))
		}
	})
}
