package ca

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

const system = "heddle-system"

func TestReplicasThatStartTogetherAgree(t *testing.T) {
	t.Parallel()
	kube := fake.NewClientset()
	const replicas = 8

	roots := make([][]byte, replicas)
	var done sync.WaitGroup
	for i := range replicas {
		done.Go(func() {
			a, err := LoadOrCreate(t.Context(), kube, system, mesh, start)
			if err != nil {
				t.Error(err)
				return
			}
			roots[i] = a.RootsPEM()
		})
	}
	done.Wait()
	for i := range roots {
		if !bytes.Equal(roots[0], roots[i]) {
			t.Fatalf("replica %d has another root than replica 0", i)
		}
	}
	secrets, err := kube.CoreV1().Secrets(system).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(secrets.Items) != 1 {
		t.Fatalf("%d Secrets, error %v", len(secrets.Items), err)
	}
}

func TestLoserOfTheRaceReadsWhatTheWinnerWrote(t *testing.T) {
	t.Parallel()
	winner := fake.NewClientset()
	want, err := LoadOrCreate(t.Context(), winner, system, mesh, start)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := winner.CoreV1().Secrets(system).Get(t.Context(), SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The loser looks, finds none, and by the time it creates there is one.
	loser := fake.NewClientset()
	loser.PrependReactor("create", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		_ = loser.Tracker().Add(secret)
		return false, nil, nil
	})
	got, err := LoadOrCreate(t.Context(), loser, system, mesh, start)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want.RootsPEM(), got.RootsPEM()) {
		t.Error("the loser has a root of its own")
	}
}

func TestUnreadableSecretIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	tests := map[string]map[string][]byte{
		"empty":              nil,
		"a key alone":        {corev1.TLSPrivateKeyKey: []byte("super secret")},
		"no PEM":             {corev1.TLSCertKey: []byte("x"), corev1.TLSPrivateKeyKey: []byte("super secret")},
		"a root with no key": {corev1.TLSCertKey: authority(t, start).RootsPEM()},
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kube := fake.NewClientset(&corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: SecretName}, Data: data,
			})
			_, err := LoadOrCreate(t.Context(), kube, system, mesh, start)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range []string{system + "/" + SecretName, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, "repair it", "delete it"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is missing in: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "super secret") {
				t.Errorf("the error shows the key: %v", err)
			}
			for _, action := range kube.Actions() {
				if action.GetVerb() != "get" {
					t.Errorf("it was asked to %s", action.GetVerb())
				}
			}
		})
	}
}

func TestRestartKeepsTheRoot(t *testing.T) {
	t.Parallel()
	kube := fake.NewClientset()
	before, err := LoadOrCreate(t.Context(), kube, system, mesh, start)
	if err != nil {
		t.Fatal(err)
	}
	after, err := LoadOrCreate(t.Context(), kube, system, mesh, start.Add(LeafTTL))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before.RootsPEM(), after.RootsPEM()) {
		t.Error("another root after a restart")
	}
}
