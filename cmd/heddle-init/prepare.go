package main

import (
	"fmt"
	"io"
	"log/slog"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/bootstrap"
	"github.com/heddle-mesh/heddle/sidecar/redirect"
)

// prepare does everything, redirection last.
func prepare(o options, log *slog.Logger) error {
	rules, err := redirect.Rules(redirection(o.settings))
	if err != nil {
		return err
	}
	key, made, err := loadOrMakeKey(heddlev1alpha1.KeyFile, heddlev1alpha1.ProxyUID)
	if err != nil {
		return err
	}
	log.Info("the key is ready", "file", heddlev1alpha1.KeyFile, "made", made)
	csr, err := request(key, o.settings.TrustDomain, o.namespace, o.serviceAccount)
	if err != nil {
		return err
	}
	files, err := render(o, csr)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := writeFile(f.path, f.content, fileMode, heddlev1alpha1.ProxyUID); err != nil {
			return err
		}
		log.Info("the file is written", "file", f.path)
	}
	if err := redirect.Apply(rules); err != nil {
		return err
	}
	log.Info("traffic is redirected", "table", rules.Table)
	return nil
}

// preview prints what prepare would write, with a placeholder for the
// certificate request, as no key is made.
func preview(o options, out io.Writer) error {
	rules, err := redirect.Rules(redirection(o.settings))
	if err != nil {
		return err
	}
	files, err := render(o, "(made from the key)")
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := fmt.Fprintf(out, "# %s\n%s\n", f.path, f.content); err != nil {
			return fmt.Errorf("print %s: %w", f.path, err)
		}
	}
	if _, err := fmt.Fprintf(out, "# nftables\n%s", rules); err != nil {
		return fmt.Errorf("print rules: %w", err)
	}
	return nil
}

type file struct {
	path    string
	content []byte
}

// render makes the files in the order in which they are written: the
// bootstrap last, so that Envoy never finds it without the others.
func render(o options, csr string) ([]file, error) {
	token, err := bootstrap.TokenSecret()
	if err != nil {
		return nil, fmt.Errorf("token secret: %w", err)
	}
	ca, err := bootstrap.XDSCASecret()
	if err != nil {
		return nil, fmt.Errorf("CA secret: %w", err)
	}
	b, err := bootstrap.Render(bootstrap.Params{
		Namespace:      o.namespace,
		Pod:            o.pod,
		ServiceAccount: o.serviceAccount,
		PodUID:         o.podUID,
		PodIP:          o.podIP,
		InitVersion:    version,
		CSR:            csr,
		Settings:       o.settings,
	})
	if err != nil {
		return nil, err
	}
	raw, err := bootstrap.JSON(b)
	if err != nil {
		return nil, err
	}
	return []file{
		{path: bootstrap.TokenFile, content: token},
		{path: bootstrap.XDSCAFile, content: ca},
		{path: bootstrap.ConfigFile, content: raw},
	}, nil
}

// redirection is the pod's network as the rules see it.
func redirection(s bootstrap.Settings) redirect.Config {
	return redirect.Config{
		OutboundPort:            heddlev1alpha1.PortOutbound,
		InboundPort:             heddlev1alpha1.PortInbound,
		OpenPorts:               []uint16{heddlev1alpha1.PortStats, heddlev1alpha1.PortHealth},
		ProxyUID:                heddlev1alpha1.ProxyUID,
		ExcludeInboundPorts:     s.Exclude.InboundPorts,
		ExcludeOutboundPorts:    s.Exclude.OutboundPorts,
		ExcludeOutboundPrefixes: s.Exclude.OutboundPrefixes,
	}
}
