package workload

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Root is the root service: its name, and the port it gets if it has to be
// made.
type Root struct {
	Name string
	Port corev1.ServicePort
}

// EnsureBackends keeps the Services of primary and candidate. Their ports are
// those of the root service, if there is one.
func (p Pair) EnsureBackends(ctx context.Context, root Root) error {
	key, err := p.appLabel()
	if err != nil {
		return err
	}
	existing, err := p.service(ctx, root.Name)
	if err != nil {
		return err
	}
	ports := []corev1.ServicePort{root.Port}
	if existing != nil {
		ports = nil
		for _, port := range existing.Spec.Ports {
			port.NodePort = 0
			ports = append(ports, port)
		}
	}
	selector := p.Target.Spec.Selector.MatchLabels
	primary := maps.Clone(selector)
	primary[key] = PrimaryName(p.Target.Name)
	if err := p.ensure(ctx, root.Name+"-primary", primary, ports); err != nil {
		return err
	}
	return p.ensure(ctx, root.Name+"-canary", maps.Clone(selector), ports)
}

func (p Pair) ensure(ctx context.Context, name string, selector map[string]string, ports []corev1.ServicePort) error {
	s, err := p.service(ctx, name)
	switch {
	case err != nil:
		return err
	case s == nil:
		return p.createService(ctx, name, selector, ports)
	case s.Labels[LabelCanary] != p.Canary:
		return fmt.Errorf("service %s exists and isn't this Canary's; rename it: %w", name, ErrOwnedElsewhere)
	case maps.Equal(s.Spec.Selector, selector):
		return nil
	}
	s.Spec.Selector = selector
	if err := p.Client.Update(ctx, s); err != nil {
		return fmt.Errorf("update Service %s: %w", name, err)
	}
	return nil
}

// SelectPrimary makes the root service select the primary's pods. Nothing else
// of a Service that is there changes.
func (p Pair) SelectPrimary(ctx context.Context, root Root) error {
	key, err := p.appLabel()
	if err != nil {
		return err
	}
	primary := PrimaryName(p.Target.Name)
	s, err := p.service(ctx, root.Name)
	if err != nil {
		return err
	}
	if s == nil {
		selector := maps.Clone(p.Target.Spec.Selector.MatchLabels)
		selector[key] = primary
		return p.createService(ctx, root.Name, selector, []corev1.ServicePort{root.Port})
	}
	if s.Spec.Selector[key] == primary {
		return nil
	}
	if s.Spec.Selector == nil {
		return fmt.Errorf("service %s has no selector, so it can't be made to select the primary: %w", root.Name, ErrUnsupported)
	}
	s.Spec.Selector[key] = primary
	if err := p.Client.Update(ctx, s); err != nil {
		return fmt.Errorf("update Service %s: %w", root.Name, err)
	}
	return nil
}

// service returns a copy to change, or nil when there is none.
func (p Pair) service(ctx context.Context, name string) (*corev1.Service, error) {
	s := &corev1.Service{}
	err := p.Client.Get(ctx, client.ObjectKey{Namespace: p.Target.Namespace, Name: name}, s)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // absent is no error here
	}
	if err != nil {
		return nil, fmt.Errorf("get Service %s: %w", name, err)
	}
	return s, nil
}

func (p Pair) createService(ctx context.Context, name string, selector map[string]string, ports []corev1.ServicePort) error {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Namespace: p.Target.Namespace, Name: name, Labels: map[string]string{LabelCanary: p.Canary},
	}, Spec: corev1.ServiceSpec{Selector: selector, Ports: ports}}
	if err := p.Client.Create(ctx, s); err != nil {
		return fmt.Errorf("create Service %s: %w", name, err)
	}
	return nil
}
