package main

import "testing"

// FuzzParseKey: what is in the file may be anything after a crash. An error
// must not quote it, as it may be part of a key.
func FuzzParseKey(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		key, err := parseKey(raw)
		if (key == nil) == (err == nil) {
			t.Fatalf("key %v, error %v", key != nil, err)
		}
		if err != nil && len(err.Error()) > 40 {
			t.Fatalf("the error is longer than any this code writes: %d bytes", len(err.Error()))
		}
	})
}
