package build

import (
	"fmt"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// config says of every MeshConfig whether it counts.
func (b *builder) config() {
	if b.objects.MeshConfig != nil {
		b.find(accepted(configRef(b.objects.MeshConfig)))
	}
	for _, other := range b.objects.OtherMeshConfigs {
		b.find(refused(configRef(other), heddlev1alpha1.ReasonIgnoredName,
			fmt.Sprintf("metadata.name: only the MeshConfig named %s counts; put its fields there", heddlev1alpha1.MeshConfigName)))
	}
}

func configRef(c *heddlev1alpha1.MeshConfig) mesh.ObjectRef {
	return mesh.ObjectRef{
		Group: heddlev1alpha1.GroupVersion.Group, Version: heddlev1alpha1.GroupVersion.Version, Kind: "MeshConfig",
		Name: c.Name, Generation: c.Generation,
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
