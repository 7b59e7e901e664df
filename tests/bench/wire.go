package main

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// wire passes responses on as bytes: a proxy of the fleet looks at what it needs
// and no more, since its work is not what is measured.
type wire struct{}

// received is a response as it came.
type received []byte

// precomputed is a message that is sent as it is.
type precomputed []byte

// Name implements encoding.Codec; it is that of protocol buffers.
func (wire) Name() string { return "proto" }

// Marshal implements encoding.Codec.
func (wire) Marshal(v any) ([]byte, error) {
	switch m := v.(type) {
	case precomputed:
		return m, nil
	case proto.Message:
		return proto.Marshal(m)
	}
	return nil, fmt.Errorf("can't send a %T", v)
}

// Unmarshal implements encoding.Codec.
func (wire) Unmarshal(raw []byte, v any) error {
	switch m := v.(type) {
	case *received:
		*m = append((*m)[:0], raw...)
		return nil
	case proto.Message:
		return proto.Unmarshal(raw, m)
	}
	return fmt.Errorf("can't receive a %T", v)
}

// Numbers of fields of DeltaDiscoveryResponse.
const (
	fieldResources = 2
	fieldTypeURL   = 4
	fieldNonce     = 5
	fieldRemoved   = 6
)

// heads returns what a proxy needs of a response to acknowledge it, and how many
// resources are in it.
func (r received) heads() (typeURL, nonce string, resources int, err error) {
	for b := []byte(r); len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return "", "", 0, protowire.ParseError(n)
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return "", "", 0, protowire.ParseError(n)
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return "", "", 0, protowire.ParseError(n)
		}
		switch int(number) {
		case fieldTypeURL:
			typeURL = string(value)
		case fieldNonce:
			nonce = string(value)
		case fieldResources, fieldRemoved:
			resources++
		}
		b = b[n:]
	}
	return typeURL, nonce, resources, nil
}

// response of that size, with what heads reads.
func response(typeURL, nonce string, size int) precomputed {
	out := protowire.AppendTag(nil, fieldTypeURL, protowire.BytesType)
	out = protowire.AppendString(out, typeURL)
	out = protowire.AppendTag(out, fieldNonce, protowire.BytesType)
	out = protowire.AppendString(out, nonce)
	out = protowire.AppendTag(out, fieldResources, protowire.BytesType)
	return protowire.AppendBytes(out, make([]byte, max(0, size-len(out)-4)))
}
