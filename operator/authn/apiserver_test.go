package authn_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/heddle-mesh/heddle/operator/authn"
)

// apiServer starts a real kube-apiserver, or skips the test where the lab has
// not built one.
func apiServer(t *testing.T) kubernetes.Interface {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Skip("no home folder to look for a kube-apiserver in:", err)
		}
		assets = filepath.Join(home, ".cache", "heddle", "lab", "envtest-v1.34.4")
	}
	if _, err := os.Stat(filepath.Join(assets, "kube-apiserver")); err != nil {
		t.Skip("no kube-apiserver; `go run ./tests/lab envtest-assets` builds one:", err)
	}
	environment := &envtest.Environment{BinaryAssetsDirectory: assets}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return kube
}

// shop is a namespace in which a test makes pods and tokens.
type shop struct {
	*testing.T
	kube kubernetes.Interface
}

func newShop(t *testing.T) shop {
	t.Helper()
	s := shop{T: t, kube: apiServer(t)}
	_, err := s.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.kube.CoreV1().ServiceAccounts("shop").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "cart"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s shop) pod(name string) *corev1.Pod {
	s.Helper()
	pod, err := s.kube.CoreV1().Pods("shop").Create(s.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{ServiceAccountName: "cart", Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return pod
}

func (s shop) remove(pod *corev1.Pod) {
	s.Helper()
	now := int64(0)
	if err := s.kube.CoreV1().Pods("shop").Delete(s.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		s.Fatal(err)
	}
}

// token is what the kubelet would project into the pod; without a pod it is
// the service account's alone.
func (s shop) token(audience string, pod *corev1.Pod) string {
	s.Helper()
	hour := int64(3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &hour}}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}
	}
	got, err := s.kube.CoreV1().ServiceAccounts("shop").CreateToken(s.Context(), "cart", request, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return got.Status.Token
}

// The tokens are real ones and so is who judges them.
func TestTokensBeforeARealAPIServer(t *testing.T) {
	s := newShop(t)
	a := authn.New(s.kube, time.Now)

	pod := s.pod("cart-1")
	good := s.token("heddle", pod)
	identity, err := a.Authenticate(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(identity.Expires); left < 59*time.Minute || left > time.Hour {
		t.Errorf("expires in %s", left)
	}
	want := authn.Identity{Namespace: "shop", ServiceAccount: "cart", PodName: "cart-1", PodUID: string(pod.UID), Expires: identity.Expires}
	if diff := cmp.Diff(want, identity); diff != "" {
		t.Errorf("identity: (-want +got)\n%s", diff)
	}
	if err := authn.CheckNode(identity, "shop/cart-1", "shop/cart", string(pod.UID)); err != nil {
		t.Error(err)
	}
	if err := authn.CheckNode(identity, "shop/cart-2", "shop/cart", string(pod.UID)); err == nil {
		t.Error("a pod may claim to be another")
	}

	gone := s.pod("cart-2")
	orphan := s.token("heddle", gone)
	s.remove(gone)
	again := s.pod("cart-3")
	stale := s.token("heddle", again)
	s.remove(again)
	s.pod("cart-3")

	head, signature := good[:strings.LastIndex(good, ".")], good[strings.LastIndex(good, "."):]
	for name, token := range map[string]string{
		"for another audience":                       s.token("vault", pod),
		"for the API server":                         s.token("https://kubernetes.default.svc.cluster.local", pod),
		"of the service account and no pod":          s.token("heddle", nil),
		"of a pod that is gone":                      orphan,
		"of a pod that another of its name replaced": stale,
		"with another's signature":                   s.token("heddle", pod)[:len(head)] + signature,
		"without a signature":                        head + ".",
		"that is no token":                           "x",
	} {
		t.Run("a token "+name, func(t *testing.T) {
			got, err := a.Authenticate(t.Context(), token)
			if !errors.Is(err, authn.ErrUnauthenticated) {
				t.Fatalf("identity %+v, error %v", got, err)
			}
			if strings.Contains(err.Error(), token) && len(token) > 10 {
				t.Errorf("the error shows the token: %v", err)
			}
			t.Log(err)
		})
	}
}
