package build

import (
	"slices"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// makeUses notes what the objects have part in whose part has changed.
func (s *step) makeUses() {
	for object := range s.staleUses {
		use := &mesh.Use{}
		for root := range s.rootsUsing.of(object) {
			use.Ports = append(use.Ports, s.usesOf[root][object]...)
		}
		use.Identities = slices.AppendSeq(use.Identities, s.identitiesUsing.of(object))
		slices.SortFunc(use.Ports, mesh.PortKey.Compare)
		slices.SortFunc(use.Identities, mesh.Identity.Compare)
		use.Ports, use.Identities = slices.Compact(use.Ports), slices.Compact(use.Identities)
		if len(use.Ports)+len(use.Identities) == 0 {
			s.uses.Drop(object)
		} else {
			keep(s.uses, object, use)
		}
	}
}
