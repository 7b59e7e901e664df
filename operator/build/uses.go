package build

import (
	"cmp"
	"slices"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// usePort notes that the object makes the port's route.
func (b *builder) usePort(ref mesh.ObjectRef, port mesh.PortKey) {
	use := b.snapshot.Uses[ref]
	use.Ports = append(use.Ports, port)
	b.snapshot.Uses[ref] = use
}

// useIdentity notes that the object has part in the identity's policy.
func (b *builder) useIdentity(ref mesh.ObjectRef, id mesh.Identity) {
	use := b.snapshot.Uses[ref]
	use.Identities = append(use.Identities, id)
	b.snapshot.Uses[ref] = use
}

// orderUses makes the uses independent of the objects' order.
func (b *builder) orderUses() {
	for ref, use := range b.snapshot.Uses {
		slices.SortFunc(use.Ports, func(x, y mesh.PortKey) int {
			return cmp.Or(x.Service.Compare(y.Service), cmp.Compare(x.Port, y.Port))
		})
		slices.SortFunc(use.Identities, mesh.Identity.Compare)
		use.Ports, use.Identities = slices.Compact(use.Ports), slices.Compact(use.Identities)
		b.snapshot.Uses[ref] = use
	}
}
