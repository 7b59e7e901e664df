package controller

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// TestAPIServerJudgesSpecs asks a real API server which Canaries it takes.
func TestAPIServerJudgesSpecs(t *testing.T) {
	t.Parallel()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip("no home directory, so no API server:", err)
	}
	assets := filepath.Join(home, ".cache", "heddle", "lab", "envtest-v1.34.4")
	if _, err := os.Stat(filepath.Join(assets, "kube-apiserver")); err != nil {
		t.Skip("no API server to ask (make lab-up builds it):", err)
	}
	crd := os.Getenv("HEDDLE_CANARY_CRD")
	if crd == "" {
		crd = filepath.Join("..", "..", "crds", "bases", "heddle.dev_canaries.yaml")
	}
	if _, err := os.Stat(crd); err != nil {
		t.Skip("the CRD has not been generated (make generate):", err)
	}
	env := &envtest.Environment{BinaryAssetsDirectory: assets, CRDDirectoryPaths: []string{crd}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Stop() })
	scheme := runtime.NewScheme()
	if err := heddlev1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change  func(*heddlev1alpha1.CanarySpec)
		wantErr string
	}{
		"takes the least":            {func(*heddlev1alpha1.CanarySpec) {}, ""},
		"refuses falling weights":    {func(s *heddlev1alpha1.CanarySpec) { s.Analysis.StepWeights = []int32{50, 20} }, "must rise"},
		"refuses a latency below 0":  {func(s *heddlev1alpha1.CanarySpec) { s.Analysis.Latency.Duration = -1 }, "above zero"},
		"refuses a weight twice":     {func(s *heddlev1alpha1.CanarySpec) { s.Analysis.StepWeights = []int32{20, 20} }, "must rise"},
		"refuses a weight above 100": {func(s *heddlev1alpha1.CanarySpec) { s.Analysis.StepWeights = []int32{101} }, "100"},
		"refuses a negative weight":  {func(s *heddlev1alpha1.CanarySpec) { s.Analysis.StepWeights = []int32{-1} }, "stepWeights"},
		"refuses a missing port":     {func(s *heddlev1alpha1.CanarySpec) { s.Service.Port = 0 }, "port"},
		"refuses a missing target":   {func(s *heddlev1alpha1.CanarySpec) { s.TargetRef.Name = "" }, "targetRef.name"},
		"takes steps": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.Steps = []heddlev1alpha1.CanaryStep{{Weight: 5, Pause: true}, {Weight: 50}}
		}, ""},
		"takes a match without and with a weight": {func(s *heddlev1alpha1.CanarySpec) {
			insiders := &heddlev1alpha1.LocalReference{Name: "insiders"}
			s.Analysis.Steps = []heddlev1alpha1.CanaryStep{{MatchRef: insiders}, {Weight: 20, MatchRef: insiders}, {Weight: 20}}
		}, ""},
		"takes a step in which only hooks call": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.Steps = []heddlev1alpha1.CanaryStep{{Iterations: 10}}
		}, ""},
		"refuses a step without traffic": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.Steps = []heddlev1alpha1.CanaryStep{{}, {Weight: 20}}
		}, "set weight or matchRef"},
		"refuses falling steps": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.Steps = []heddlev1alpha1.CanaryStep{{Weight: 50}, {Weight: 50}}
		}, "must rise"},
		"refuses weights twice over": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.StepWeights, s.Analysis.Steps = []int32{5}, []heddlev1alpha1.CanaryStep{{Weight: 50}}
		}, "leave out stepWeights"},
		"takes a comparison": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.Comparison = &heddlev1alpha1.CanaryComparison{Alpha: "1%", ErrorIncrease: "0.25%"}
		}, ""},
		"refuses a comparison with nothing": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.Comparison = &heddlev1alpha1.CanaryComparison{Alpha: "0.0%"}
		}, "above 0%"},
		"refuses a comparison with all": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.Comparison = &heddlev1alpha1.CanaryComparison{ErrorIncrease: "100%"}
		}, "errorIncrease"},
		"refuses a comparison beside limits": {func(s *heddlev1alpha1.CanarySpec) {
			rate := int32(95)
			s.Analysis.SuccessRate, s.Analysis.Comparison = &rate, &heddlev1alpha1.CanaryComparison{}
		}, "leave out either"},
		"takes a check": {func(s *heddlev1alpha1.CanarySpec) {
			limit := resource.MustParse("0.5")
			s.Analysis.Checks, s.Analysis.OnlyChecks = []heddlev1alpha1.CanaryCheck{{Name: "queue", TemplateRef: heddlev1alpha1.LocalReference{Name: "queue"}, Max: &limit}}, true
		}, ""},
		"refuses a check that can't fail": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.Checks = []heddlev1alpha1.CanaryCheck{{Name: "queue", TemplateRef: heddlev1alpha1.LocalReference{Name: "queue"}}}
		}, "set min, max or both"},
		"refuses onlyChecks without checks": {func(s *heddlev1alpha1.CanarySpec) { s.Analysis.OnlyChecks = true }, "add a check"},
		"takes a hook": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.Hooks = []heddlev1alpha1.CanaryHook{{Name: "gate", Type: "confirm-promotion", URL: "http://gate.shop:8080/open?a=b"}}
		}, ""},
		"refuses an unknown hook": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.Hooks = []heddlev1alpha1.CanaryHook{{Name: "gate", Type: "confirm", URL: "http://gate"}}
		}, "confirm-promotion"},
		"refuses a hook with a password": {func(s *heddlev1alpha1.CanarySpec) {
			s.Analysis.Hooks = []heddlev1alpha1.CanaryHook{{Name: "gate", Type: "event", URL: "http://user:pass@gate"}}
		}, "url"},
		"refuses another target kind": {func(s *heddlev1alpha1.CanarySpec) { s.TargetRef.Kind = "StatefulSet" }, "kind"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			canary := &heddlev1alpha1.Canary{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "c-"},
				Spec:       heddlev1alpha1.CanarySpec{TargetRef: heddlev1alpha1.CanaryTargetRef{Name: "cart"}, Service: heddlev1alpha1.CanaryService{Port: 80}},
			}
			tc.change(&canary.Spec)
			err := c.Create(t.Context(), canary)
			switch {
			case tc.wantErr == "" && err != nil:
				t.Fatal(err)
			case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
				t.Fatalf("error = %v, want one with %q", err, tc.wantErr)
			}
		})
	}
}
