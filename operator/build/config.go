package build

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// applyConfigs says of every MeshConfig whether it counts.
func (s *step) applyConfigs(changes Of[*heddlev1alpha1.MeshConfig]) {
	for name, config := range changes {
		if before := s.configs[name.Name]; before != nil {
			s.reports.Drop(configRef(before).Key())
			delete(s.configs, name.Name)
		}
		if config == nil {
			continue
		}
		s.configs[name.Name] = config
		if ref := configRef(config); name.Name == heddlev1alpha1.MeshConfigName {
			s.say(ref, accepted(ref))
		} else {
			s.say(ref, refused(ref, heddlev1alpha1.ReasonIgnoredName,
				fmt.Sprintf("metadata.name: only the MeshConfig named %s counts; put its fields there", heddlev1alpha1.MeshConfigName)))
		}
	}
	before := s.settings
	s.settings = settings(s.configs[heddlev1alpha1.MeshConfigName])
	if s.settings.Strict != before.Strict {
		s.staleWorkloads.addAll(s.Builder.snapshot.Workloads.Keys())
	}
	if s.settings.Access != before.Access {
		s.staleIdentities.addAll(s.Builder.snapshot.Policies.Keys())
	}
}

// applyNamespaces reads the labels that override the mesh's defaults. A label
// that says neither is taken for the stricter word: a typo must not open a
// namespace.
func (s *step) applyNamespaces(changes Of[*corev1.Namespace]) {
	for key, namespace := range changes {
		var labels map[string]string
		if namespace != nil {
			labels = namespace.Labels
		}
		wasStrict, hadMode := s.strict[key.Name]
		label, hasMode := labels[heddlev1alpha1.LabelMTLS]
		isStrict := heddlev1alpha1.MTLSMode(label) != heddlev1alpha1.MTLSPermissive
		if hasMode {
			s.strict[key.Name] = isStrict
		} else {
			delete(s.strict, key.Name)
		}
		if hadMode != hasMode || hasMode && isStrict != wasStrict {
			s.staleWorkloads.addAll(s.workloadsIn.of(key.Name))
		}
		before, hadAccess := s.access.Lookup(key.Name)
		label, hasAccess := labels[heddlev1alpha1.LabelAccess]
		access := namespaceAccess(label)
		if hasAccess {
			s.access.Put(key.Name, access)
		} else {
			s.access.Drop(key.Name)
		}
		if hadAccess != hasAccess || hasAccess && access != before {
			s.staleIdentities.addAll(s.identitiesIn.of(key.Name))
		}
	}
}

func namespaceAccess(label string) mesh.Access {
	switch mode := heddlev1alpha1.AccessMode(label); mode {
	case heddlev1alpha1.AccessAllow, heddlev1alpha1.AccessAllowUnlessTargeted:
		return accessOf(mode)
	default:
		return mesh.Deny
	}
}

// accessIn is the access mode that holds in the namespace by now.
func (s *step) accessIn(namespace string) mesh.Access {
	if access, ok := s.access.Lookup(namespace); ok {
		return access
	}
	return s.settings.Access
}

func configRef(c *heddlev1alpha1.MeshConfig) mesh.ObjectRef {
	return mesh.ObjectRef{
		Group: heddlev1alpha1.GroupVersion.Group, Version: heddlev1alpha1.GroupVersion.Version, Kind: "MeshConfig",
		Name: c.Name, Generation: c.Generation, UID: string(c.UID),
	}
}

func settings(config *heddlev1alpha1.MeshConfig) mesh.Settings {
	var spec heddlev1alpha1.MeshConfigSpec
	if config != nil {
		spec = config.Spec
	}
	spec = spec.WithDefaults()
	return mesh.Settings{
		TrustDomain:  spec.TrustDomain,
		Strict:       spec.MTLS.Mode == heddlev1alpha1.MTLSStrict,
		Access:       accessOf(spec.Access.Default),
		EgressDenied: spec.Egress.Mode == heddlev1alpha1.EgressDeny,
	}
}

func accessOf(mode heddlev1alpha1.AccessMode) mesh.Access {
	switch mode {
	case heddlev1alpha1.AccessDeny:
		return mesh.Deny
	case heddlev1alpha1.AccessAllow:
		return mesh.Allow
	default:
		return mesh.AllowUnlessTargeted
	}
}
