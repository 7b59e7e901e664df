package build

import (
	"cmp"
	"slices"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Build returns the snapshot of the objects and what is to be said about
// them, which is never nil.
func Build(objects Objects) (*mesh.Snapshot, []mesh.Finding) {
	snapshot, reports := NewBuilder().Apply(objects.changes())
	return snapshot, Findings(reports)
}

// Findings returns what the reports say, ordered by object and type.
func Findings(reports mesh.Reports) []mesh.Finding {
	out := make([]mesh.Finding, 0, reports.Len())
	for report := range reports.Values() {
		out = append(out, report.Findings...)
	}
	slices.SortStableFunc(out, func(x, y mesh.Finding) int {
		return cmp.Or(cmp.Compare(x.Object.String(), y.Object.String()), cmp.Compare(x.Type, y.Type))
	})
	return out
}
