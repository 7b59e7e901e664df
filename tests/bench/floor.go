package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// plan is what the floor sends: to each stream when it has asked, and to some when
// it is told to.
type plan struct {
	Initial []message `json:"initial"`
	// Changes are by name; each goes to the first so many streams.
	Changes map[string]change `json:"changes"`
}

type change struct {
	Message message `json:"message"`
	Streams int     `json:"streams"`
}

// floor writes bytes made beforehand.
type floor struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	initial []precomputed

	mu      sync.Mutex
	streams []chan precomputed
}

// serveFloor reads the plan from a file, prints its address and certificate, and
// sends a change for every line on standard input.
func serveFloor(args []string) error {
	if len(args) != 1 {
		return errors.New("floor takes the file of its plan")
	}
	raw, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	f := &floor{}
	for i, m := range p.Initial {
		f.initial = append(f.initial, response(m.TypeURL, strconv.Itoa(i), m.Size))
	}
	changes := map[string]precomputed{}
	for name, c := range p.Changes {
		changes[name] = response(c.Message.TypeURL, name, c.Message.Size)
	}
	certificate, root, err := ownCertificate()
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}})),
		grpc.ForceServerCodec(wire{}))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, f)
	go func() { _ = server.Serve(listener) }()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"address": listener.Addr().String(), "root": root}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		f.mu.Lock()
		for _, stream := range f.streams[:min(len(f.streams), p.Changes[lines.Text()].Streams)] {
			stream <- changes[lines.Text()]
		}
		f.mu.Unlock()
	}
	server.Stop()
	return lines.Err()
}

// DeltaAggregatedResources implements the service.
func (f *floor) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	for _, m := range f.initial {
		if err := stream.SendMsg(m); err != nil {
			return err
		}
	}
	queue := make(chan precomputed, 64)
	f.mu.Lock()
	f.streams = append(f.streams, queue)
	f.mu.Unlock()
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
		}
	}()
	for {
		select {
		case m := <-queue:
			if err := stream.SendMsg(m); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

const floorName = "floor.test"

func ownCertificate() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{floorName}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}
