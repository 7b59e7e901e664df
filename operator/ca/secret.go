package ca

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// SecretName is the Secret that holds the root's certificate and key.
const SecretName = "heddle-ca-key"

// LoadOrCreate returns the authority of the Secret, making one where there is
// no Secret. Replicas that start together agree: one creates, the others
// read. A Secret that can't be read is an error and never overwritten.
func LoadOrCreate(ctx context.Context, client kubernetes.Interface, namespace string, trustDomain spiffeid.TrustDomain, now time.Time) (*Authority, error) {
	secrets := client.CoreV1().Secrets(namespace)
	secret, err := secrets.Get(ctx, SecretName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		secret, err = create(ctx, client, namespace, trustDomain, now)
	}
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", namespace, SecretName, err)
	}
	authority, err := Parse(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %s and %s: %w; repair it, or delete it to have a new root made (every pod must then be restarted)",
			namespace, SecretName, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	return authority, nil
}

func create(ctx context.Context, client kubernetes.Interface, namespace string, trustDomain spiffeid.TrustDomain, now time.Time) (*corev1.Secret, error) {
	certPEM, keyPEM, err := newPEM(trustDomain, now)
	if err != nil {
		return nil, err
	}
	secrets := client.CoreV1().Secrets(namespace)
	created, err := secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: SecretName, Namespace: namespace},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{corev1.TLSCertKey: certPEM, corev1.TLSPrivateKeyKey: keyPEM},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return secrets.Get(ctx, SecretName, metav1.GetOptions{})
	}
	return created, err
}

func newPEM(trustDomain spiffeid.TrustDomain, now time.Time) (certPEM, keyPEM []byte, err error) {
	authority, err := New(trustDomain, now)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(authority.key)
	if err != nil {
		return nil, nil, fmt.Errorf("marshal the root key: %w", err)
	}
	return authority.pem, encode("PRIVATE KEY", der), nil
}
