// Command heddle-operator watches Kubernetes, serves configuration and identities to
// the sidecars, injects them into pods and writes status. Any number of
// replicas serve; one of them, the leader, writes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

func main() {
	options := defaults()
	flags := flag.NewFlagSet("heddle-operator", flag.ExitOnError)
	options.bind(flags)
	logging := zap.Options{}
	logging.BindFlags(flags)
	if err := flags.Parse(os.Args[1:]); err != nil {
		os.Exit(2)
	}
	logger := zap.New(zap.UseFlagOptions(&logging))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	if err := run(ctrl.SetupSignalHandler(), options); err != nil {
		logger.Error(err, "heddle-operator ends")
		os.Exit(1)
	}
}

func run(ctx context.Context, options options) error {
	if err := options.check(); err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("how to reach the API server: %w", err)
	}
	operator, err := newOperator(ctx, config, options)
	if err != nil {
		return err
	}
	return operator.manager.Start(ctx)
}
